"""A package checked again, offline: who signed it, that nothing was changed, and that it comes to what it says (R5).

Every result is derived anew from the transcripts, every record in them is looked up in the evidence, and the evidence
is verified under the root that the statement names. What cannot be checked here is said, never passed over.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from navicert.conformance.checks import CHECKS
from navicert.conformance.package import FORMAT, KIND, RESULTS, STATEMENT, Results, Transcripts, files_of, fingerprint
from navicert.conformance.runner import Evidence, Judged, TwinOutcome
from navicert.conformance.summary import standing, table, verdicts
from navicert.conformance.trial import Outcome
from navicert.core.seal import unb64
from navicert.core.signature import ES256, PublicKey
from navicert.core.times import micros
from navicert.evidence import PAYLOAD, pae
from navicert.model.errors import VerificationError
from navicert.verification.bundle import squeezed, verify_bundle

STEPS: Final = (
    "statement: signed, by whoever has this fingerprint",
    "files: each is the one that was signed, and there is no other",
    "results: each is what its transcript comes to",
    "table: rows and clauses are what the results come to",
    "evidence: each export verifies under its root",
    "records: what the transcripts quote stands in the evidence",
    "time: it has not expired",
)
PRODUCT: Final = "navicert"
_MOST_BYTES: Final = 512 * 1024 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
Progress = Callable[[int, str, str], None]


class Verified(NamedTuple):
    """What a package shows. quoted, unproven: records quoted in transcripts, and those among them without evidence.

    unproven: of deployments that a check broke on purpose, which leave no export, and of another product, whose export
    is for that product's own verifier.
    """

    results: Results
    fingerprint: str
    authentic: bool
    quoted: int
    unproven: int


def verify_package(path: Path, *, root: str | None, now: int, progress: Progress = lambda *_: None) -> Verified:
    """Verify a package, a folder or one file; raises `VerificationError` at the first fault (docs/reference/verify.md).

    root: the fingerprint of whoever ran the kit, got by another way. Without it, whose it is is not established.
    """
    passed = 0

    def step(found: str) -> None:
        nonlocal passed
        passed += 1
        progress(passed, STEPS[passed - 1], found)

    with _opened(path) as package:
        subjects, mark = _statement(package, root)
        step(f"fingerprint {mark}" if root else f"fingerprint {mark}, not compared")
        _same_files(package, subjects)
        step(f"{len(subjects)} files")
        results = _results(package)
        judged, quoted = _judged(package, results)
        step(f"{len(judged)} checks, {sum(len(each.twins) for each in judged)} twins")
        _same_table(results, judged)
        own = {name: each.serves for name, each in CHECKS.items()}
        kit = "" if results.serves == own else ", by the checks of another version of the kit"
        step(f"{len(results.table)} rows and clauses{kit}")
        ours = {hello.surface for hello in results.surfaces if hello.product == PRODUCT}
        by_us = {part.evidence for part in results.checks if part.surface in ours}
        entries = {name: _entries(package, name, mark) for name, mark in results.roots.items() if name in by_us}
        others = len(results.roots) - len(entries)
        foreign = f"; {others} of another product, for its own verifier" if others else ""
        step(f"{sum(map(len, entries.values()))} entries in {len(entries)} exports{foreign}")
        unproven = _stand(package, results, quoted, entries)
        where = f", {unproven} of them without an export of ours" if unproven else ""
        step(f"{sum(map(len, quoted))} quoted{where}")
        if micros(results.expires_at) <= now:
            raise VerificationError("package_expired", f"it was good until {results.expires_at}; run the kit again")
        step(f"good until {results.expires_at[:10]}")
    return Verified(results, mark, root is not None, sum(map(len, quoted)), unproven)


class _Package:
    """The files of a package, wherever they lie."""

    def __init__(self, names: list[str], read: Callable[[str], bytes]) -> None:
        self.names = names
        self._read = read

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        if name not in self.names:
            raise VerificationError("package_incomplete", f"the package has no `{name:.80}`")
        return self._read(name)


@contextmanager
def _opened(path: Path) -> Iterator[_Package]:
    if path.is_dir():
        if any(each.is_symlink() for each in path.rglob("*")):
            raise VerificationError("package_malformed", "a package has no links in it")
        names = [*([STATEMENT] if (path / STATEMENT).is_file() else []), *files_of(path)]
        yield _Package(_checked(names), lambda name: (path / name).read_bytes())
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise VerificationError("package_malformed", f"{path}: neither a folder nor a file of one: {error}") from None
    with archive:
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > _MOST_BYTES:
            raise VerificationError("package_malformed", f"{path}: it is larger than {_MOST_BYTES} bytes")
        yield _Package(_checked([info.filename for info in infos]), partial(_unpacked, archive))


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise VerificationError("package_changed", f"`{name:.80}` does not unpack: {error}") from None


def _checked(names: list[str]) -> list[str]:
    for name in names:
        if _NAME.fullmatch(name) is None or ".." in PurePosixPath(name).parts:
            raise VerificationError("package_malformed", f"`{name:.80}` is no name of a file in a package")
    if len(set(names)) < len(names):
        raise VerificationError("package_malformed", "a file stands twice in it")
    return names


def _statement(package: _Package, root: str | None) -> tuple[dict[str, str], str]:
    """Return name → SHA-256 of every file, as signed, and the fingerprint of who signed."""
    try:
        envelope = msgspec.json.decode(package.read(STATEMENT))
        payload = b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        statement = msgspec.json.decode(payload)
        key = statement["predicate"]["key"]
        algorithm, public = str(key["algorithm"]), str(key["public"])
        subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
        right = (envelope["payloadType"], statement["predicateType"]) == (PAYLOAD, KIND)
        raw = b64decode(signature["sig"], validate=True)
        if algorithm == ES256:
            r, s = decode_dss_signature(raw)
            raw = r.to_bytes(32) + s.to_bytes(32)
        verifier = PublicKey(algorithm, unb64(public))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise VerificationError("package_malformed", f"{STATEMENT} is not in its form: {error}") from None
    if not right:
        raise VerificationError("package_malformed", f"{STATEMENT} is of another kind")
    try:
        verifier.verifies(pae(payload), raw)
    except ValueError as error:
        raise VerificationError("bad_signature", f"{STATEMENT}: {error}") from None
    mark = fingerprint(algorithm, public)
    if root is not None and squeezed(root) != squeezed(mark):
        raise VerificationError("root_mismatch", f"the fingerprint is {mark}, and you brought `{root:.80}`")
    return subjects, mark


def _same_files(package: _Package, subjects: dict[str, str]) -> None:
    others = {*package.names} - {*subjects, STATEMENT}
    if others:
        raise VerificationError("package_extra", f"`{min(others):.80}` is in the package, and nobody signed it")
    for name, digest in subjects.items():
        if sha256(package.read(name)).hexdigest() != digest:
            raise VerificationError("package_changed", f"`{name:.80}` is not the file that was signed")


def _results(package: _Package) -> Results:
    try:
        results = msgspec.json.decode(package.read(RESULTS), type=Results)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationError("package_malformed", f"{RESULTS}: {error}") from None
    if results.format != FORMAT:
        raise VerificationError("package_malformed", f"its format is `{results.format:.40}`, not `{FORMAT}`")
    return results


def _judged(package: _Package, results: Results) -> tuple[list[Judged], list[list[dict[str, Any]]]]:
    """Derive every outcome from its transcript again; returns them, and by check the records that it quotes."""
    judged, quoted = [], []
    for part in results.checks:
        try:
            held = msgspec.json.decode(package.read(part.transcript), type=Transcripts)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise VerificationError("package_malformed", f"{part.transcript}: {error}") from None
        where = f"{part.check} on {part.surface}"
        for outcome in (held.outcome, *held.twins.values()):
            _derived(outcome, where)
        twins = tuple(
            TwinOutcome(twin=name, caught=outcome.by == "expectation", outcome=outcome)
            for name, outcome in held.twins.items()
        )
        order = {each.twin: place for place, each in enumerate(part.twins)}
        twins = tuple(sorted(twins, key=lambda each: order.get(each.twin, len(order))))
        left = Evidence(file=part.evidence, root="", verified=part.verified) if part.evidence else None
        found = Judged(surface=part.surface, check=part.check, outcome=held.outcome, twins=twins, evidence=left)
        said = (part.result, part.why, [(each.twin, each.caught) for each in part.twins])
        if (*standing(found), [(each.twin, each.caught) for each in twins]) != said:
            raise VerificationError("result_mismatch", f"{where}: the transcript comes to `{standing(found)[0]}`")
        judged.append(found)
        quoted.append(_quoted(held.outcome))
    return judged, quoted


def _derived(outcome: Outcome, where: str) -> None:
    """Hold an outcome against its expectations: a pass needs some, and all of them; a caught twin needs one broken."""
    held = [line.expected.holds for line in outcome.transcript if line.expected is not None]
    right = {
        "pass": bool(held) and all(held) and not outcome.by,
        "unmeasurable": all(held) and not outcome.by,
        "fail": (outcome.by == "expectation") is (not all(held)),
    }[outcome.result]
    if not right:
        raise VerificationError("result_mismatch", f"{where}: `{outcome.result}` is not what its expectations come to")


def _quoted(outcome: Outcome) -> list[dict[str, Any]]:
    return [
        record
        for line in outcome.transcript
        if line.answered is not None
        for record in line.answered.get("records", ())
    ]


def _same_table(results: Results, judged: list[Judged]) -> None:
    rows = table(judged, results.serves, [hello.surface for hello in results.surfaces])
    if rows != results.table or verdicts(rows) != results.verdicts:
        raise VerificationError("result_mismatch", "the table is not what the checks come to")


def _entries(package: _Package, name: str, root: str) -> frozenset[str]:
    """Verify an export of ours; returns the SHA-256 of its entries."""
    data = package.read(name)
    verify_bundle(BytesIO(data), root=root)
    lines = (msgspec.json.decode(line) for line in data.splitlines())
    return frozenset(sha256(line["entry"].encode()).hexdigest() for line in lines if "entry" in line)


def _stand(
    package: _Package, results: Results, quoted: list[list[dict[str, Any]]], entries: dict[str, frozenset[str]]
) -> int:
    """Look up every record that a transcript quotes; returns how many are of deployments without an export."""
    unproven = 0
    for part, records in zip(results.checks, quoted, strict=True):
        if part.evidence not in entries:
            unproven += len(records)
            if part.evidence and not all(_contains(package.read(part.evidence), each["raw"]) for each in records):
                raise VerificationError("record_missing", f"{part.check} quotes a record that the evidence lacks")
            continue
        for record in records:
            raw = record["raw"]
            if sha256(raw.encode()).hexdigest() not in entries[part.evidence]:
                raise VerificationError("record_missing", f"{part.check} quotes a record that the evidence lacks")
            signed = msgspec.json.decode(raw)
            said = (record["kind"], record["action"], record["verdict"], record["policy_hash"], record["session"])
            decision = signed["decision"]
            is_so = (
                signed["kind"], signed["action"]["id"], decision["result"], decision["policy"]["hash"],
                signed["requester_context"]["session"],
            )  # fmt: skip
            if said != is_so:
                raise VerificationError("record_mismatch", f"{part.check} quotes a record as what it is not")
    return unproven


def _contains(data: bytes, raw: str) -> bool:
    """Tell whether another product's evidence holds a record's bytes: as they are, as JSON text, or in base64."""
    plain = raw.encode()
    forms = (plain, msgspec.json.encode(raw)[1:-1], b64encode(plain), urlsafe_b64encode(plain).rstrip(b"="))
    return bool(raw) and any(form in data for form in forms)
