"""Verification: what an auditor runs. Bytes and a trust file in, a report or a `VerificationError` out (R5); no I/O.

It knows nothing of how the records were made beyond the formats of `core`, and nobody who makes them imports it.
"""
