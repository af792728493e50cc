"""`navicert session ID`: one session from its request to its end, with every action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, emit, pad, wrap
from navicert.core.inert import brief, inert

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.cli.view import View
    from navicert.model.context import SessionContext


@click.command()
@click.argument("session_id", metavar="ID")
@common
def verb(session_id: str, home: str | None, as_json: bool) -> int:
    """Show one session: the request, who stands behind it, what it has read, and every action with its verdict."""
    from navicert.audit import open_archive

    place, _ = home_of(home)
    with open_archive(place) as archive:
        document = describe_session(archive, session_id)
    if as_json:
        emit(document)
    else:
        _show(Terminal(), document)
    return FINE


def describe_session(archive: Archive, session_id: str) -> dict[str, Any]:
    """Return everything about one session; what was purged after its retention is null."""
    from navicert.cli.sessions import followed, summary
    from navicert.cli.view import view
    from navicert.core.times import rfc3339

    context = archive.find_session(session_id)
    receipts = [view(archive, row) for row in archive.log(session=session_id)]
    if context is None and not receipts:
        raise Misused(f"there is no session `{session_id}` here; `navicert sessions` lists them")
    return {
        "format": "navicert/session/1",
        "session": session_id,
        "summary": summary(context, followed(archive, context)) if context else None,
        "said": list(context.said) if context else None,
        "scope": list(context.claims.scope) if context else None,
        "roles": list(context.claims.roles) if context else None,
        "facts": [
            {
                "name": fact.name,
                "value": fact.value,
                "source": fact.source,
                "at": rfc3339(fact.at),
                "conflicting": fact.conflicting,
            }
            for fact in (context.facts if context else ())
        ],
        "chain": _chain(archive, context),
        "receipts": receipts,
    }


def _chain(archive: Archive, context: SessionContext | None) -> dict[str, Any] | None:
    """Fold the entries anew, and say whether they make the context that the engine uses (R2.f)."""
    from navicert.core.accumulate import fold

    if context is None:
        return None
    folded = fold([entry for _, entry in archive.entries(context.session_id)])
    return {"length": context.length, "head": context.head, "sound": folded == context}


def _show(out: Terminal, document: dict[str, Any]) -> None:
    from navicert.asking.words import value_text
    from navicert.cli.sessions import carried
    from navicert.cli.view import labels_word

    item = document["summary"]
    out.title(document["session"], f"{item['opened'][:19].replace('T', ' ')} UTC, {item['state']}" if item else "")
    if item is None:
        out.say("  the context was purged after its retention; the receipts stay")
    else:
        facts = [f"{fact['name']} = {value_text(fact['value'])} ({fact['source']})" for fact in document["facts"]]
        chain = document["chain"]
        sound = "its entries make the context in use" if chain["sound"] else "BROKEN: run `navicert verify`"
        out.fields(
            [
                ("request", brief(item["request"], 240)),
                *[("and then", brief(text, 240)) for text in document["said"]],
                ("for", brief(f"{item['human']}, through agent {item['agent']}", 160)),
                ("may use", brief(", ".join(document["scope"]), 240)),
                ("intent", brief(item["intent"] or "", 120)),
                ("parent", item["parent"] or ""),
                ("carries", carried(item)),
                ("risk", f"{item['risk']} points" if item["risk"] else ""),
                ("facts", brief("; ".join(facts), 300)),
                ("open", ", ".join(item["open"])),
                ("context", f"{chain['length']} entries, head {chain['head'][:16]}: {sound}"),
            ]
        )
    out.say()
    outcomes = {receipt["action"]["id"]: receipt for receipt in document["receipts"] if receipt["kind"] == "outcome"}
    for receipt in document["receipts"]:
        if receipt["kind"] in {"decision", "resolution"}:
            _row(out, receipt, outcomes.get(receipt["action"]["id"]), labels_word(receipt["context"]))


def _row(out: Terminal, receipt: View, outcome: View | None, labels: str) -> None:
    from navicert.cli.view import call_text, labels_word, release_text, resolution_text, shadow_text

    action, decision, wait = receipt["action"], receipt["decision"], receipt["wait"]
    how = resolution_text(receipt)
    call = call_text(receipt)
    room = out.width - (2 + 8 + 2 + 9 + 2 + 16 + 2 + 2 + 18)
    out.say(
        f"  {receipt['at'][11:19]}  {out.verdict(decision['verdict'])}  {pad(action['name'], 16)}  "
        f"{pad(call, room)}  {pad(labels, 18)}"
    )
    notes = [f"after its wait: {how}"] if how else []
    if decision["verdict"] not in {"ALLOW", "MODIFY"}:
        notes.append(decision["reason"] or "")
    elif outcome is None:
        notes.append(f"open: no outcome; find out whether it ran, then navicert settle {action['id']}")
    elif not outcome["execution"]["success"]:
        notes.append(f"failed: {outcome['execution']['error']}")
    elif labels_word(outcome["execution"]) not in {labels, "INTERNAL", "PUBLIC"}:
        notes.append(f"gave back {labels_word(outcome['execution'])}")
    if outcome is not None and outcome["execution"]["released"]:
        notes.append(f"result {release_text(outcome['execution'])}")
    if wait is not None and (not how or decision["verdict"] in {"STEP_UP", "DEFER"}):
        notes.append(f"held as {wait['handle']} until {wait['deadline'][11:16]} UTC")
    if decision["shadow"] is not None and decision["shadow"]["verdict"] != decision["verdict"]:
        notes.append(f"in shadow: {shadow_text(decision)}")
    for note in notes:
        for line in wrap(inert(note), out.width - 23):
            out.say(out.style(f"{'':23}{line}", "dim"))
