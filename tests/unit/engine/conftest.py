"""Fixtures of the engine's tests."""

from __future__ import annotations

from attacks.waiting import desk

__all__ = ["desk"]
