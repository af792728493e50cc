"""Fixtures of the rows."""

from __future__ import annotations

from attacks.waiting import desk

__all__ = ["desk"]
