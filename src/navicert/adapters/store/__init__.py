"""Stores: the journal over SQLite."""
