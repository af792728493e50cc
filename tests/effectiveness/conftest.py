"""The benchmark's modules are scripts beside each other; here they are importable too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "effectiveness"))
