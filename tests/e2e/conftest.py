"""Fixtures of the end-to-end tests."""

from console.conftest import chromium

__all__ = ["chromium"]
