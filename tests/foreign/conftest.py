"""A browser for the page (that of tests/console); logs, made before there is one; and what our exporter writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

import navicert
from console.conftest import chromium
from foreign.make import honest
from navicert.assemble import Home, read_trust
from navicert.evidence import export, export_dsse
from navicert.verification.bundle_lines import Scope
from navicert.verification.keyring import fingerprint
from records.corpus import copied

__all__ = ["chromium"]
LATER = 1_900_000_000_000_000


class Exported(NamedTuple):
    """The corpus with a checkpoint over it, as `navicert export` hands it out. bundles: by scope. dsse: its lines."""

    mark: str
    bundles: dict[str, bytes]
    dsse: list[dict[str, object]]


def exported_from(folder: Path, algorithm: str) -> Exported:
    place = copied(folder, algorithm)
    with navicert.open(place):
        pass  # a running engine signs a checkpoint
    receipts = [json.loads(data) for data in honest(algorithm).entries]
    answered = next(receipt for receipt in receipts if receipt["kind"] == "resolution" and receipt.get("approval"))
    scopes = {
        "log": Scope(log=True),
        "action": Scope(action=answered["action"]["id"]),
        "session": Scope(session=answered["session"]["id"]),
    }
    for name, scope in scopes.items():
        export(place, folder / name, scope, made_at=LATER)
    export_dsse(place, folder / "dsse")
    return Exported(
        mark=fingerprint(read_trust(Home(place).trust)),
        bundles={name: (folder / name).read_bytes() for name in scopes},
        dsse=[json.loads(line) for line in (folder / "dsse").read_text().splitlines()],
    )


@pytest.fixture(scope="session", autouse=True)
def exported(tmp_path_factory) -> dict[str, Exported]:
    """By algorithm of all first keys. A corpus runs a loop of its own, and a driven browser leaves no room for one."""
    return {
        algorithm: exported_from(tmp_path_factory.mktemp(algorithm), algorithm) for algorithm in ("Ed25519", "ES256")
    }
