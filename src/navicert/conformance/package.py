"""The evidence package of a run: a folder, or the same as one file, that anybody re-checks offline.

    statement.json      DSSE envelope over an in-toto statement: SHA-256 of every other file, and what it comes to
    results.json        every check on every surface: result, why, twins, times; the table
    transcripts/…       per surface and check: all that was said, seen and expected
    evidence/…          what each deployment exported: receipts with proofs, verifiable by itself
    report.html         the same, for people

* It is signed with a key of whoever ran the kit, whose fingerprint goes another way than the package.
* It says when it expires: a system that has changed since is not the one that was looked at.
"""

from __future__ import annotations

import os
import platform
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.conformance.catalogue import ORGANISATIONAL
from navicert.conformance.contract import Hello
from navicert.conformance.runner import Judged
from navicert.conformance.summary import TableRow, Verdict, standing, table, verdicts
from navicert.conformance.trial import Check, Outcome
from navicert.core.seal import b64
from navicert.core.signature import ED25519
from navicert.core.times import rfc3339
from navicert.evidence import envelope
from navicert.model.value import Value

FORMAT: Final = "navicert/conformance/1"
KIND: Final = "urn:navicert:conformance:1"
STATEMENT: Final = "statement.json"
RESULTS: Final = "results.json"
REPORT: Final = "report.html"
WORDING: Final = "self-assessed against AARM v1.0, evidence attached"
GOOD_DAYS: Final = 90
_DAY_US: Final = 86_400_000_000
_LIBRARIES: Final = ("msgspec", "cryptography", "google-re2", "PyYAML", "rfc8785", "joserfc", "aiohttp", "click")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class TwinPart(Value, frozen=True, kw_only=True):
    """A twin of a check. what: the protection that was taken out. why: what the check noticed, or that it did not."""

    twin: str
    caught: bool
    why: str


class CheckPart(Value, frozen=True, kw_only=True):
    """A check on one surface. evidence: the file that its records stand in, empty where there is none.

    verified: the product's own verifier accepted it.
    """

    surface: str
    check: str
    title: str
    serves: tuple[str, ...]
    result: str
    why: str
    milliseconds: int
    twins: tuple[TwinPart, ...]
    transcript: str
    evidence: str
    verified: bool = True


class Results(Value, frozen=True, kw_only=True):
    """All that a run came to.

    roots: by evidence file, the root that it is verified by. serves: of every check of the kit, what it holds.
    """

    format: str
    statement: str
    level: str
    started_at: str
    made_at: str
    expires_at: str
    key: dict[str, str]
    surfaces: tuple[Hello, ...]
    environment: dict[str, Any]
    registry: dict[str, Any]
    verdicts: tuple[Verdict, ...]
    table: tuple[TableRow, ...]
    checks: tuple[CheckPart, ...]
    roots: dict[str, str]
    organisational: tuple[str, ...] = ORGANISATIONAL
    parity: dict[str, Any] | None = None
    serves: dict[str, tuple[str, ...]] = {}


class Transcripts(Value, frozen=True, kw_only=True):
    """One check on one surface, in full: the outcome, and that of each twin."""

    outcome: Outcome
    twins: dict[str, Outcome]


def write_package(  # noqa: PLR0913 - what a package is made of
    folder: Path,
    key: FileKey,
    *,
    level: str,
    surfaces: Sequence[Hello],
    judged: Sequence[Judged],
    checks: Mapping[str, Check],
    started_at: int,
    now: int,
    parity: dict[str, Any] | None = None,
) -> Results:
    """Write a package into a folder that holds the run's `evidence` already; returns what it says."""
    from navicert.conformance.report import report

    serves = {name: each.serves for name, each in checks.items()}
    rows = table(judged, serves, [hello.surface for hello in surfaces])
    parts = []
    for each in judged:
        name = f"transcripts/{each.surface}/{each.check.replace('/', '_')}.json"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        twins = {item.twin: item.outcome for item in each.twins}
        path.write_bytes(msgspec.json.encode(Transcripts(outcome=each.outcome, twins=twins), order="sorted"))
        result, why = standing(each)
        parts.append(
            CheckPart(
                surface=each.surface,
                check=each.check,
                title=checks[each.check].title,
                serves=checks[each.check].serves,
                result=result,
                why=why,
                milliseconds=each.outcome.milliseconds,
                twins=tuple(TwinPart(twin=x.twin, caught=x.caught, why=x.outcome.why) for x in each.twins),
                transcript=name,
                evidence=f"evidence/{each.evidence.file}" if each.evidence else "",
                verified=each.evidence is None or each.evidence.verified,
            )
        )
    found = Results(
        format=FORMAT,
        statement=WORDING,
        level=level,
        started_at=rfc3339(started_at),
        made_at=rfc3339(now),
        expires_at=rfc3339(now + GOOD_DAYS * _DAY_US),
        key=key_part(key),
        surfaces=tuple(surfaces),
        environment=environment(),
        registry=registry(surfaces),
        verdicts=verdicts(rows),
        table=rows,
        checks=tuple(parts),
        roots={f"evidence/{each.evidence.file}": each.evidence.root for each in judged if each.evidence},
        parity=parity,
        serves=serves,
    )
    (folder / RESULTS).write_bytes(msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=1))
    (folder / REPORT).write_text(report(found), encoding="utf-8")
    subjects = {name: sha256((folder / name).read_bytes()).hexdigest() for name in files_of(folder)}
    predicate = {
        "statement": WORDING,
        "made_at": found.made_at,
        "expires_at": found.expires_at,
        "key": found.key,
        "verdicts": found.verdicts,
    }
    signed = envelope(subjects, KIND, predicate, key)
    (folder / STATEMENT).write_bytes(msgspec.json.format(msgspec.json.encode(signed), indent=1))
    return found


def files_of(folder: Path) -> list[str]:
    """Return the files of a package folder, by name, but for the statement over them."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in names if name != STATEMENT]


def as_one_file(folder: Path, target: Path) -> None:
    """Write a package folder as one file (ZIP); the same folder gives the same bytes."""
    with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
        for name in [STATEMENT, *files_of(folder)]:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, (folder / name).read_bytes())


# the key of whoever ran it


def key_path() -> Path:
    """Return where the key is kept: with the user's own state, not in a home."""
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return state / "navicert" / "assessor.pem"


def assessor_key(path: Path) -> FileKey:
    """Return the key in a file, made there where there is none."""
    if path.exists():
        return load_key(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = new_key(ED25519)
    save_key(key, path)
    return key


def key_part(key: FileKey) -> dict[str, str]:
    """Return a key as a package names it."""
    return {"key_id": key.key_id, "algorithm": key.algorithm, "public": b64(key.public)}


def fingerprint(algorithm: str, public: str) -> str:
    """Return what names a key by word of mouth: 160 bits of SHA-256 in groups of four."""
    digits = sha256(f"navicert/assessor/1\0{algorithm}\0{public}".encode()).hexdigest()[:40]
    return " ".join(digits[place : place + 4] for place in range(0, 40, 4))


# what it was run on


def environment() -> dict[str, Any]:
    """Return what the checks ran on: versions, machine, commit."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "user": "root" if os.geteuid() == 0 else "unprivileged",
        "commit": _commit(),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
    }


def registry(surfaces: Sequence[Hello]) -> dict[str, Any]:
    """Return the facts that a registry of such systems asks for."""
    return {
        "product": sorted({f"{each.product} {each.version}" for each in surfaces}),
        "architectures": {each.surface: each.architecture for each in surfaces},
        "policy_model": sorted({each.policy_model for each in surfaces}),
        "decisions": sorted({word for each in surfaces for word in each.decisions}),
        "specification": "AARM v1.0",
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the source that runs, `+` behind it where the tree has changes; None outside of one."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],  # noqa: S607 - git, as the user has it
            cwd=here, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
