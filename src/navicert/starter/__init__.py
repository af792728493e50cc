"""Policies to start from, each with its tests: read one in five minutes, change the names, play the tests."""
