"""The checks, by requirement; importing this registers all of them, in the order of the catalogue."""

from navicert.conformance.checks import r1, r2, r3, r4, r5, r6, r789  # noqa: F401 - registers its checks
from navicert.conformance.trial import CHECKS

__all__ = ["CHECKS"]
