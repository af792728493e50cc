"""What earlier versions wrote verifies for ever (DESIGN.md section 7). The files were written by version 0.1."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from navicert.model.errors import VerificationError
from navicert.model.trust import Trust
from navicert.verification.log import verify_log

DATA = Path(__file__).resolve().parents[2] / "data"
TRUST = msgspec.json.decode((DATA / "trust-0.1.json").read_bytes(), type=Trust)
LOG = (DATA / "log-0.1.jsonl").read_bytes().splitlines()


def test_a_log_of_version_0_1_verifies():
    found = verify_log(LOG, TRUST)

    assert found.entries == len(LOG)
    assert [item.name for item in found.waiting] == ["crm.delete", "deploy.start"]


def test_a_log_of_version_0_1_that_was_changed_does_not():
    changed = [line.replace(b'"STEP_UP"', b'"ALLOW"') for line in LOG]

    with pytest.raises(VerificationError):
        verify_log(changed, TRUST)
