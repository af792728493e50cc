"""`navicert show ID`: one action, with everything that its decision rested on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.action import show_action, show_receipts, show_records
from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, people_home, shown_path
from navicert.cli.terminal import Terminal, emit
from navicert.cli.view import View, earlier, view, view_of
from navicert.core.digest import bytes_digest
from navicert.model.errors import IntegrityError

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive, LogRow
    from navicert.audit import VerifiedPackage
    from navicert.model.action import ToolProfile
    from navicert.model.context import SessionContext
    from navicert.model.suspension import Wait
    from navicert.people import Seen

PRIOR: Final = 16


@click.command()
@click.argument("name", metavar="ID")
@click.option(
    "--package",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the receipt package, for a stranger to verify.",
)
@common
def verb(name: str, package: Path | None, home: str | None, as_json: bool) -> int:
    """Show what ID stands for: an action, a receipt, a wait's handle, or a place in the log.

    Of an action that waits: the page on which its approvers decide, its digest first.

    Text that an agent wrote is shown inert: what cannot be seen stands as its number, like U+202E.
    """
    from navicert.adapters.system import SystemClock
    from navicert.asking.question import grounds, wait_document
    from navicert.audit import package_of
    from navicert.cli.page import show_question
    from navicert.people import look

    place = people_home(home)
    now = SystemClock().now()
    question: View | None = None
    profile: ToolProfile | None = None
    with look(place) as seen:
        archive = seen.archive
        rows = archive.find(name) if archive is not None else []
        wait = _waiting(seen, name, rows)
        if wait is not None:
            policy = grounds(archive, wait)
            question = wait_document(wait, seen.approvers, now, reasons=policy.reasons, void=policy.void)
            profile = policy.profile
        document: View
        if archive is None and wait is not None:
            document = {"format": "navicert/show/1", "action_id": wait.action.action_id, "wait": question}
        elif archive is None or not rows:
            raise Misused(f"nothing here is named `{name}`; `navicert tail` lists the newest receipts")
        elif rows[0].action is not None:
            document = {**action_document(archive, rows[0].action), "wait": question}
            if package is not None:
                _write(package, package_of(archive, name))
        elif package is not None:
            raise Misused(f"`{name}` is a record of the log's own, not an action; it has no package")
        else:
            document = {"format": "navicert/show/1", "receipts": [view(archive, row) for row in rows]}
    if as_json:
        emit(document)
        return FINE
    out = Terminal()
    if wait is not None and question is not None:
        show_question(out, wait, question, now, profile)
        show_receipts(out, document.get("receipts", []))
    elif "action_id" in document:
        show_action(out, document)
    else:
        show_records(out, document["receipts"])
    if package is not None:
        out.say()
        out.say(f"{out.mark('ok')} wrote {shown_path(package)}; anyone verifies it with `navicert verify --trust FILE`")
    return FINE


def _waiting(seen: Seen, name: str, rows: list[LogRow]) -> Wait | None:
    """Return the wait that a name stands for: its handle, its action, or one of its receipts."""
    action = rows[0].action if rows else None
    return next((wait for wait in seen.waits if name == wait.handle or wait.action.action_id in {action, name}), None)


def _write(path: Path, data: bytes) -> None:
    if path.exists():
        raise Misused(f"{path}: it exists, and nothing is overwritten; name another file")
    path.write_bytes(data)


def action_document(archive: Archive, action_id: str) -> dict[str, Any]:
    """Return everything about one action of a store."""
    receipts = [view(archive, row) for row in archive.log(action=action_id)]
    first = receipts[0]
    context = None
    if first["session"] is not None and first["context"] is not None:
        try:
            context = archive.context_at(first["session"]["id"], first["context"]["length"] - 1)
        except IntegrityError:
            context = None  # purged after its retention
    return _document(receipts, context)


def package_document(found: VerifiedPackage) -> dict[str, Any]:
    """Return everything about the action of a verified package."""
    import msgspec

    receipts = []
    for receipt, values in zip(found.receipts, found.disclosed, strict=True):
        hidden = {pointer: msgspec.json.decode(value) for pointer, value in values.items()}
        receipts.append(view_of(receipt, bytes_digest(msgspec.json.encode(receipt, order="sorted")), hidden))
    return _document(receipts, found.context)


def _document(receipts: list[View], context: SessionContext | None) -> dict[str, Any]:
    from navicert.core.times import rfc3339

    first, last = receipts[0], receipts[-1]
    return {
        "format": "navicert/show/1",
        "action_id": first["action"]["id"],
        "state": _state(last),
        "request": context.request if context else None,
        "said": list(context.said) if context else None,
        "prior": [
            {
                "action_id": item.action_id,
                "name": item.name,
                "verdict": item.verdict.value,
                "at": rfc3339(item.at),
                "gave": item.labels.words(),
            }
            for item in context.recent[-PRIOR:]
        ]
        if context
        else None,
        "prior_count": sum(context.verdicts.values()) if context else None,
        "earlier": earlier(first, context.labels if context else None) or None,
        "wait": None,
        "receipts": receipts,
    }


def _state(last: View) -> str:
    if last["kind"] == "outcome":
        return "succeeded" if last["execution"]["success"] else "failed"
    verdict = last["decision"]["verdict"]
    return {"DENY": "refused", "STEP_UP": "waiting", "DEFER": "waiting"}.get(verdict, "open")
