"""`navicert verify BUNDLE`: step by step, and then what it shows, what nobody else has seen, and what is open (R5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from navicert.cli.faults import FINE
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.core.inert import inert
from navicert.model.errors import VerificationError

if TYPE_CHECKING:
    from navicert.verification.bundle import VerifiedBundle


def verify_file(path: Path, root: str | None, *, as_json: bool) -> int:
    """Verify a bundle; shows its steps as they pass, and exits as `verify` does."""
    from navicert.verification.bundle import STEPS, verify_bundle

    steps: list[dict[str, Any]] = []
    out = Terminal()

    def progress(number: int, name: str, found: str) -> None:
        steps.append({"number": number, "name": name, "found": found})
        if not as_json:
            word, _, what = name.partition(": ")
            out.say(
                f"  {out.mark('ok')} {number:2}/{len(STEPS)}  {pad(word, 12)} {pad(cut(what, 50), 50)}"
                f"  {cut(inert(found), 25)}"
            )

    try:
        with path.open("rb") as file:
            found = verify_bundle(file, root=root, progress=progress)
    except VerificationError as error:
        if as_json:
            emit(_document(None, steps, error))
        else:
            word, _, what = STEPS[len(steps)].partition(": ")
            out.say(f"  {out.mark('error')} {len(steps) + 1:2}/{len(STEPS)}  {pad(word, 12)} {what}")
        raise
    if as_json:
        emit(_document(found, steps, None))
        return FINE
    _show(out, found)
    return FINE


def _show(out: Terminal, found: VerifiedBundle) -> None:
    log, scope = found.log, found.manifest.scope
    of = "the whole log" if scope.log else f"action {scope.action}" if scope.action else f"session {scope.session}"
    verdicts = ", ".join(f"{count} {word}" for word, count in sorted(log.verdicts.items()))
    out.say()
    out.fields(
        [
            ("bundle", f"of {of}, made {found.manifest.made_at[:19].replace('T', ' ')} UTC"),
            ("log", f"{inert(log.origin)}, {found.size} entries under the newest checkpoint"),
            ("entries", f"{found.manifest.entries} here; {verdicts or 'no decision'}"),
            ("revealed", f"{found.disclosed} values, {found.undisclosed} not"),
            ("witnesses", ", ".join(f"{inert(item.name)} ({inert(item.operator)})" for item in found.cosigned_by)),
            ("erased", ", ".join(found.erased)),
            ("pruned", f"{found.pruned} entries, on record" if found.pruned else ""),
            ("lost", "; ".join(f"epoch {part.epoch} began where {part.size} were known" for part in found.restores)),
            ("unseen", f"{found.unseen} answers of people whose statement is not here" if found.unseen else ""),
            ("fingerprint", found.fingerprint),
        ]
    )
    out.say()
    for line in tail_lines(found.tail, found.tail_s):
        out.text(line, 2)
    out.say(f"  open actions: {len(log.open) or 'none'}")
    for item in log.open:
        out.say(f"    {item.at[:19].replace('T', ' ')}  {pad(inert(item.name), 24)}  {item.action_id}")
    out.say()
    if found.authentic:
        out.say(f"  {out.mark('ok', 'verified')}, by the root whose fingerprint you brought")
        return
    out.say(f"  {out.mark('warning', 'integrity holds, authenticity not established')}")
    out.text("Bring the root's fingerprint with --root, got by another way: a stranger's log would look the same.", 4)


def tail_lines(tail: int | None, tail_s: int | None) -> list[str]:
    """Return what nobody but the log's owner has seen, in words."""
    if tail is None:
        return ["unwitnessed tail: the whole log; the trust file names no witness"]
    seconds = "no quorum has cosigned yet" if tail_s is None else f"{tail_s} seconds"
    return [f"unwitnessed tail: {tail} entries, {seconds}"]


def _document(
    found: VerifiedBundle | None, steps: list[dict[str, Any]], error: VerificationError | None
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "format": "navicert/verify-bundle/1",
        "verified": error is None,
        "authentic": found is not None and found.authentic,
        "steps": steps,
        "code": error.code if error else None,
        "error": str(error) if error else None,
        "report": None,
    }
    if found is not None:
        log, scope = found.log, found.manifest.scope
        document["report"] = {
            "origin": log.origin,
            "fingerprint": found.fingerprint,
            "scope": "log" if scope.log else scope.action or scope.session,
            "made_at": found.manifest.made_at,
            "entries": found.manifest.entries,
            "checkpoint": found.size,
            "epoch": found.epoch,
            "witnesses": found.witnesses,
            "cosigned": found.cosigned,
            "cosigned_by": [
                {"name": item.name, "operator": item.operator, "at": item.at} for item in found.cosigned_by
            ],
            "tail": found.tail,
            "tail_s": found.tail_s,
            "disclosed": found.disclosed,
            "undisclosed": found.undisclosed,
            "unseen": found.unseen,
            "erased": list(found.erased),
            "pruned": found.pruned,
            "restores": len(found.restores),
            "verdicts": log.verdicts,
            "open": [item.action_id for item in log.open],
            "waiting": [item.action_id for item in log.waiting],
        }
    return document
