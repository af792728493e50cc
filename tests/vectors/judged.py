"""What the public vectors have in common: where they lie, that they are the pinned bytes, and what a result is.

* A corpus is external data, installed by `scripts/vectors` and held to the SHA-256 in `PINS` before a vector is run.
* `pass`: navicert did what the corpus expects, and where that is a refusal, for a cause that the table of the corpus
  names for its reason (`means`). `fail`: it did something else. `skip`: the kit's own word for a capability that is not
  offered. `unmeasurable`: nothing of ours would be judged, with the reason. Nothing is ever marked by its name alone:
  what is unmeasurable says so by what the vector asks for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / ".peers" / "vectors"
EVIDENCE: Final = "agent_evidence_vectors/corpora"
PINS: Final = {
    "agent-hooks": (
        "agent_hooks/ctk/vectors",
        "0f52645eef38834ed06156e9b4944d512f3f1d2186c48db4076897f62b5b004c",
    ),
    "approval-binding": (
        f"{EVIDENCE}/vectors-approval-binding",
        "a4413bd78fbeacef54c73815ac25f92fa74112037c0a6fd4ea0e0c7de972d92f",
    ),
    "authority-at-dispatch": (
        f"{EVIDENCE}/vectors-authority-at-dispatch",
        "2afa66d335f173a609005538409c4ccca0f3408a11b20b0250c95a9d32f64da6",
    ),
    "converted-argument-binding": (
        f"{EVIDENCE}/vectors-converted-argument-binding",
        "6065ad1500df4e3c8d74a427ce93bda2c14b8d8dcfab4a530cf67b8f62a2c943",
    ),
    "dispatch-fence": (
        f"{EVIDENCE}/vectors-dispatch-fence",
        "c1e60ed12c182e0cb4e36b487b0f0e5edd71747ce77a5e5686ece60f9735e50e",
    ),
    "identity-binding": (
        f"{EVIDENCE}/vectors-identity-binding",
        "7fa564a15b497faa5991b5f1f1dbf461459285127eaa76082a5e5248adae5286",
    ),
    "receipt-chain-end": (
        f"{EVIDENCE}/vectors-receipt-chain-end",
        "df6e4df2f13b073182e4ed5c526ce97f053ad584e78fe482d4e31072ae12f2ec",
    ),
}
"""Each corpus: its folder in the installed package, and the SHA-256 of its bytes (`digest_of`)."""
STATES: Final = ("pass", "fail", "skip", "unmeasurable")
RAN: Final = "ran"


class Result(NamedTuple):
    """What came of one vector. said: what navicert answered; why: what a fail means, or why nothing was measured."""

    vector: str
    result: str
    expected: str
    said: str
    why: str = ""


class Unmeasurable(Exception):
    """The vector asks for something of which navicert has nothing that could be judged."""


def digest_of(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of every file under a folder."""
    whole = sha256()
    for path in sorted(item for item in folder.rglob("*") if item.is_file() and "__pycache__" not in item.parts):
        whole.update(f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n".encode())
    return whole.hexdigest()


def corpus(name: str, place: Path = PLACE) -> Path:
    """Return the folder of a corpus; raises `ValueError` where it is missing, or its bytes are not the pinned ones."""
    folder, pinned = PINS[name]
    path = place / folder
    if not path.is_dir():
        raise ValueError(f"{name}: the corpus is not installed; run scripts/vectors")
    if (found := digest_of(path)) != pinned:
        raise ValueError(f"{name}: the bytes are not the pinned ones ({found}); run scripts/vectors, or look at them")
    return path


def cases(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of a corpus' manifest."""
    entries: list[dict[str, Any]] = json.loads((folder / "MANIFEST.json").read_text())["vectors"]
    return entries


def play(
    folder: Path,
    judge: Callable[[Path], str],
    means: Mapping[str, frozenset[str]],
    fails: Mapping[str, str],
    accepts: Mapping[str, str],
) -> list[Result]:
    """Judge every case of an evidence corpus.

    judge: what navicert says of the case in a folder: one of `accepts`, or the code of a refusal; raises
    `Unmeasurable`. means: by reason of the corpus, the codes of ours that are a refusal for that reason. fails: by
    vector, what its fail means. accepts: the word of the corpus for each answer that is no refusal.
    """
    results = []
    for case in cases(folder):
        expected = case["expected"]
        wanted = f"{expected['decision']}: {expected['reason']}"
        try:
            said = judge(folder / case["path"])
        except Unmeasurable as reason:
            results.append(Result(case["id"], "unmeasurable", wanted, "", str(reason)))
            continue
        held = (
            accepts[said] == expected["decision"]
            if said in accepts
            else said in means.get(expected["reason"], frozenset())
        )
        why = "" if held else fails.get(case["id"], "not explained yet")
        results.append(Result(case["id"], "pass" if held else "fail", wanted, said, why))
    return results


def reachable(place: Path = PLACE) -> None:
    """Have the packages of the vectors importable, behind everything of ours."""
    if str(place) not in sys.path:
        sys.path.append(str(place))
