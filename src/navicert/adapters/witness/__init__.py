"""Clients of witnesses: who cosigns the checkpoints of this log."""
