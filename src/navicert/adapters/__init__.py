"""Adapters: one folder per port, one file per technology; none imports another."""
