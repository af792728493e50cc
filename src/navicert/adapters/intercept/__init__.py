"""Interception: where actions are caught."""
