"""Public fakes: a frozen clock, counted ids, a journal in memory, ports that fail on demand, and a guard made of them.

* They stand in for ports (`navicert.ports`) and change nothing in what is judged.
* For tests only: nothing here is durable, secret or random.
"""

from __future__ import annotations

from navicert.adapters.store.memory import MemoryJournal
from navicert.testing.clock import CountingIds, FrozenClock
from navicert.testing.deployment import Bench, open_bench
from navicert.testing.faulty import (
    Fault,
    FaultyClassifier,
    FaultyClock,
    FaultyDetector,
    FaultyJournal,
    FaultyKeys,
    FaultySigner,
    FaultyVerifier,
)

__all__ = [
    "Bench",
    "CountingIds",
    "Fault",
    "FaultyClassifier",
    "FaultyClock",
    "FaultyDetector",
    "FaultyJournal",
    "FaultyKeys",
    "FaultySigner",
    "FaultyVerifier",
    "FrozenClock",
    "MemoryJournal",
    "open_bench",
]
