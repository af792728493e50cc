"""`navicert verify [PACKAGE]`: a whole home, or a receipt package by itself, step by step (R5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.model.errors import VerificationError

if TYPE_CHECKING:
    from navicert.audit import Audit, Step
    from navicert.model.trust import Trust


@click.command()
@click.argument("package", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--trust",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Your own trust file, got by another way than the log (default: the home's).",
)
@click.option("--root", metavar="FINGERPRINT", help="The root's fingerprint, got by another way than the log.")
@common
def verify(package: Path | None, trust: Path | None, root: str | None, home: str | None, as_json: bool) -> int:
    """Verify the log of a home with all that belongs to it; or a bundle, or one receipt package, from a file.

    They come from `navicert export`, and from `navicert show --package`. Exits with 5 at the first fault. A log and its
    own trust file show that they agree with each other; to know who wrote it, bring the root's fingerprint with --root
    (for a home or a package: or a trust file with --trust).
    """
    from navicert.assemble import read_trust
    from navicert.cli.bundle import tail_lines, verify_file
    from navicert.verification.bundle_lines import is_bundle

    if package is not None and is_bundle(_start(package)):
        if trust is not None:
            raise Misused("a bundle brings its trust file along; bring the fingerprint with --root")
        return verify_file(package, root, as_json=as_json)
    believed = read_trust(trust) if trust is not None else None
    if root is not None:
        believed = _rooted(believed or read_trust(home_of(home)[0].trust), root)
    own = believed is not None
    if package is not None:
        believed = believed or read_trust(home_of(home)[0].trust)
        return _package(package, believed, own=own, as_json=as_json)
    place, _ = home_of(home)
    if not place.store.exists():
        raise Misused(f"{place.store}: there is no log yet; the first guard that is opened begins one")
    out = Terminal()
    steps: list[Step] = []
    try:
        found = run_audit(place.folder, believed, out if not as_json else None, steps)
    except VerificationError as error:
        if as_json:
            emit(audit_document(None, steps, error))
        raise
    if as_json:
        emit(audit_document(found, steps, None))
        return FINE
    out.say()
    out.fields(
        [
            ("log", f"{found.log.origin}, {found.log.entries} entries"),
            ("from, to", f"{_time(found.log.first_at)}, {_time(found.log.last_at)} UTC"),
            ("head", found.log.head),
            ("fingerprint", found.fingerprint),
            ("keys", ", ".join(found.log.keys)),
            ("open", ", ".join(item.action_id for item in found.log.open)),
            ("waiting", ", ".join(item.action_id for item in found.log.waiting)),
            ("purged", ", ".join(found.purged)),
            ("erased", f"{found.erased} values, by records in the log" if found.erased else ""),
            ("checkpoint", f"covers {found.covered.size} entries" if found.covered.size else "none"),
            ("anchor", f"knows {found.covered.anchored} entries" if found.covered.anchored is not None else "none"),
            ("witnesses", ", ".join(found.covered.by)),
        ]
    )
    out.say()
    for line in tail_lines(found.covered.tail, found.covered.tail_s):
        out.text(line, 2)
    out.say()
    whose = (
        "the root that you named" if root is not None else "your trust file" if own else "this home's own trust file"
    )
    out.say(f"  {out.mark('ok', 'verified')}, with {whose}")
    out.text(_beyond(own=own), 4)
    return FINE


verb = verify


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise Misused(f"{path}: it cannot be read ({error.strerror})") from None


def _rooted(trust: Trust, root: str) -> Trust:
    """Return a trust file of the root whose fingerprint the reader knows; raises `VerificationError`."""
    from navicert.verification.bundle import squeezed
    from navicert.verification.keyring import fingerprint

    mark = fingerprint(trust)
    if squeezed(mark) != squeezed(root):
        raise VerificationError("root_mismatch", f"the fingerprint is {mark}, and you brought `{root:.80}`")
    return trust


def _time(at: str | None) -> str:
    return (at or "")[:19].replace("T", " ")


def _beyond(*, own: bool) -> str:
    if own:
        return "An end that was cut off shows by the anchor, by a witness, or by a head that you have noted."
    return "Compare the fingerprint by another way to know whose it is."


def run_audit(folder: Path, trust: Trust | None, out: Terminal | None, steps: list[Step]) -> Audit:
    """Audit a home; steps are shown as they pass, and collected."""
    from navicert.audit import STEPS, audit

    def progress(step: Step) -> None:
        steps.append(step)
        if out is not None:
            name, _, what = step.name.partition(": ")
            found = step.found.partition(",")[0]
            out.say(f"  {out.mark('ok')} {step.number}/{len(STEPS)}  {pad(name, 12)} {pad(what, 52)}  {cut(found, 25)}")

    try:
        return audit(folder, trust=trust, progress=progress)
    except VerificationError:
        if out is not None:
            name, _, what = STEPS[len(steps)].partition(": ")
            out.say(f"  {out.mark('error')} {len(steps) + 1}/{len(STEPS)}  {pad(name, 12)} {what}")
        raise


def audit_document(found: Audit | None, steps: list[Step], error: VerificationError | None) -> dict[str, Any]:
    """Return an audit as `--json` shows it."""
    document: dict[str, Any] = {
        "format": "navicert/verify/1",
        "verified": error is None,
        "steps": [{"number": step.number, "name": step.name, "found": step.found} for step in steps],
        "code": error.code if error else None,
        "error": str(error) if error else None,
        "report": None,
    }
    if found is not None:
        document["report"] = {
            "fingerprint": found.fingerprint,
            "origin": found.log.origin,
            "entries": found.log.entries,
            "head": found.log.head,
            "first_at": found.log.first_at,
            "last_at": found.log.last_at,
            "verdicts": found.log.verdicts,
            "keys": list(found.log.keys),
            "open": [item.action_id for item in found.log.open],
            "waiting": [item.action_id for item in found.log.waiting],
            "policies": found.policies,
            "disclosures": found.disclosures,
            "contexts": found.contexts,
            "purged": list(found.purged),
            "erased": found.erased,
            "checkpoint": found.covered.size,
            "anchored": found.covered.anchored,
            "cosigned": found.covered.cosigned,
            "cosigned_by": list(found.covered.by),
            "tail": found.covered.tail,
            "tail_s": found.covered.tail_s,
        }
    return document


def _package(path: Path, trust: Trust, *, own: bool, as_json: bool) -> int:
    from navicert.audit import verify_package
    from navicert.cli.action import show_action
    from navicert.cli.show import package_document
    from navicert.verification.keyring import fingerprint

    found = None
    try:
        found = verify_package(path.read_bytes(), trust)
    except VerificationError as error:
        if as_json:
            emit({"format": "navicert/verify/1", "verified": False, "code": error.code, "error": str(error)})
        raise
    document = package_document(found)
    if as_json:
        emit({"format": "navicert/verify/1", "verified": True, "code": None, "error": None, "action": document})
        return FINE
    out = Terminal()
    show_action(out, document)
    out.say()
    out.say(f"  {out.mark('ok', 'verified')}: {len(found.receipts)} receipts, with all that they commit to")
    out.fields([("fingerprint", fingerprint(trust))])
    out.text(_beyond(own=own), 4)
    return FINE


__all__ = ["audit_document", "run_audit", "verb", "verify"]
