"""`navicert status`: what is in force, what waits, what is open. Exits 0 whatever it finds: `doctor` judges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.kill import LEVELS, MEANS
from navicert.cli.terminal import WIDTH, Terminal, emit, pad
from navicert.core.builtin import PREFIX
from navicert.core.inert import inert
from navicert.model.errors import PolicyError

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.assemble import Home
    from navicert.config import Config


_WORDS: Final = {
    "failed": "what must be denied was not seen to be denied ({result}); run `navicert canary`",
    "overdue": "the last one is older than two intervals: whoever sends them has stopped; is `navicert up` running?",
    "never": "no canary was ever sent there; `navicert up` sends them, or `navicert canary`",
    "unknown": "which surfaces there are cannot be told: {result}",
}
"""What a canary's state means, where it is red."""


@click.command()
@common
def verb(home: str | None, as_json: bool) -> int:
    """Show the state of this deployment: policy, log, sessions, waiting and open actions."""
    place, config = home_of(home)
    document = describe_status(place, config)
    if as_json:
        emit(document)
    else:
        _show(Terminal(), place, document)
    return FINE


def describe_status(home: Home, config: Config) -> dict[str, Any]:
    """Return the state of a home as `--json` shows it."""
    from navicert.assemble import load_cedar, load_policy
    from navicert.audit import open_archive

    document: dict[str, Any] = {
        "format": "navicert/status/1",
        "home": str(home.folder),
        "origin": config.origin,
        "service": config.service,
        "identity": identity_word(config),
        "policy": {"file": config.policy, "error": None},
        "in_force": None,
        "log": {"entries": 0, "head": None, "last_at": None, "checkpoint": 0, "cosigned": 0},
        "sessions": {"open": 0, "ended": 0},
        "verdicts": {},
        "authority": [],
        "waiting": [],
        "open": [],
        "canaries": [],
    }
    try:
        compiled, _ = load_policy(home.folder / config.policy, load_cedar(home.folder, config))
        policy = compiled.policy
        document["policy"] |= {
            "id": policy.policy,
            "version": policy.version,
            "hash": compiled.hash,
            "posture": policy.posture.value,
            "rules": sum(not rule.id.startswith(PREFIX) for rule in policy.rules),  # as in the file
            "shadow": sum(rule.shadow for rule in policy.rules),
            "tools": len(policy.tools),
        }
    except PolicyError as error:
        document["policy"]["error"] = str(error)
    if home.store.exists():
        with open_archive(home) as archive:
            _add_store(document, archive)
            _add_waits(document, home, archive)
            _add_canaries(document, home, config, archive)
    else:
        _add_canaries(document, home, config, None)
    return document


def identity_word(config: Config) -> str:
    """Return how identity is established here, in words."""
    return config.identity if isinstance(config.identity, str) else f"tokens of {config.identity.issuer}"


def _add_store(document: dict[str, Any], archive: Archive) -> None:
    from navicert.adapters.store.archive import receipt_of
    from navicert.verification.disclosed import plain

    seq, head = archive.head()
    rows = archive.find(str(seq))
    newest, cosigned = archive.checkpoint(), archive.checkpoint(cosigned=True)
    document["log"] = {
        "entries": seq,
        "head": head,
        "last_at": receipt_of(rows[0]).at if rows else None,
        "checkpoint": newest.size if newest is not None else 0,
        "cosigned": cosigned.size if cosigned is not None else 0,
    }
    policies = [receipt_of(row).policy for row in archive.log(kind="policy")]
    if policies and policies[-1] is not None:
        part = policies[-1]
        document["in_force"] = {"id": plain(part.id), "version": part.version, "hash": part.hash}
    for context in archive.sessions():
        document["sessions"]["open" if context.ended_at is None else "ended"] += 1
        for verdict, count in context.verdicts.items():
            document["verdicts"][verdict] = document["verdicts"].get(verdict, 0) + count
    for receipt in archive.open_actions():
        if receipt.action is not None:
            name = f"{plain(receipt.action.tool)}.{plain(receipt.action.operation)}"
            document["open"].append({"action_id": receipt.action.id, "name": name, "at": receipt.at})


def _add_waits(document: dict[str, Any], home: Home, archive: Archive) -> None:
    from navicert.adapters.system import SystemClock
    from navicert.cli.authority import standing_list
    from navicert.core.times import rfc3339
    from navicert.people import Seen

    now = SystemClock().now()
    seen = Seen(tuple(archive.waits()), archive.approvers(), archive.standings(), archive)
    document["authority"] = standing_list(home, seen)
    for wait in seen.waits:
        document["waiting"].append(
            {
                "handle": wait.handle,
                "action_id": wait.action.action_id,
                "name": wait.action.name,
                "verdict": wait.question.verdict.value,
                "approvers": list(wait.question.approvers),
                "risk": wait.risk,
                "deadline": rfc3339(wait.question.deadline),
                "overdue": wait.question.deadline <= now,
            }
        )


def _add_canaries(document: dict[str, Any], home: Home, config: Config, archive: Archive | None) -> None:
    from navicert.adapters.system import SystemClock
    from navicert.canary.standing import standings_of

    try:
        document["canaries"] = [item._asdict() for item in standings_of(home, config, archive, SystemClock().now())]
    except PolicyError as error:  # which servers there are cannot be told
        unknown = {"surface": "mcp", "state": "unknown", "red": True, "result": str(error)}
        document["canaries"] = [{**unknown, "at": None, "age_s": None, "action_id": None}]


def _show(out: Terminal, home: Home, document: dict[str, Any]) -> None:
    out.title(f"{document['origin']}   {shown_path(home.folder)}", document["service"])
    for item in document["authority"]:
        word = out.mark(LEVELS[item["state"]], f"{item['state'].upper()}: {inert(item['subject'])}")
        out.say(f"  {out.style(word, 'bold')}")
        out.text(f"{MEANS[item['state']]}; by {inert(item['by'])}: {inert(item['reason'])}", 4)
    if document["authority"]:
        out.say()
    _alarms(out, document["canaries"])
    policy, force, log = document["policy"], document["in_force"], document["log"]
    if policy["error"]:
        out.say(f"  {out.mark('error', 'the policy file does not load')}")
        out.text(policy["error"], 4)
    else:
        shadow = f" ({policy['shadow']} in shadow)" if policy["shadow"] else ""
        rules = f"{policy['rules']} rules{shadow}, posture {policy['posture']}"
        out.fields([("policy", f"{policy['id']} version {policy['version']}, {rules}, sha256 {policy['hash'][:16]}")])
        if force is not None and force["hash"] != policy["hash"]:
            then = "a running guard takes it up at its next action"
            out.fields([("in force", f"{force['id']} version {force['version']}, sha256 {force['hash'][:16]}; {then}")])
    out.fields(
        [
            ("identity", _identity(document["identity"])),
            ("log", f"{log['entries']} entries, the last at {(log['last_at'] or '–')[:19].replace('T', ' ')} UTC"),
            ("head", log["head"] or ""),
            ("checkpoint", f"covers {log['checkpoint']} entries; cosigned by a quorum: {log['cosigned'] or 'none'}"),
            ("sessions", f"{document['sessions']['open']} open, {document['sessions']['ended']} ended"),
        ]
    )
    verdicts = "   ".join(
        f"{out.mark(word, word)} {document['verdicts'][word]}"
        for word in ("ALLOW", "MODIFY", "STEP_UP", "DEFER", "DENY")
        if word in document["verdicts"]
    )
    if verdicts:
        head = f"  {'verdicts':<14}"
        out.say(f"{out.style(head, 'dim')}{verdicts}")
    _list(out, "Canaries", [item for item in document["canaries"] if item["at"]], _canary)
    _list(out, "Waiting", document["waiting"], _wait)
    _list(out, "Open: permitted, and nobody has reported what came of it", document["open"], _open)


def _alarms(out: Terminal, canaries: list[dict[str, Any]]) -> None:
    red = [item for item in canaries if item["red"]]
    for item in red:
        word = out.mark("error", f"CANARY {item['state'].upper()}: {inert(item['surface'])}")
        out.say(f"  {out.style(word, 'bold')}")
        out.text(_WORDS[item["state"]].format(result=inert((item["result"] or "").replace("_", " "))), 4)
    if red:
        out.say()


def _identity(word: str) -> str:
    return f"{word}: claims on the application's word" if word == "development" else inert(word)


def _list(out: Terminal, name: str, items: list[dict[str, Any]], line: Any) -> None:
    out.say()
    out.say(out.style(name, "bold") + ("" if items else ": nothing"))
    for item in items:
        out.say("  " + line(out, item))


def _canary(out: Terminal, item: dict[str, Any]) -> str:
    hours, minutes = divmod(item["age_s"] // 60, 60)
    age = f"{hours} h {minutes:02} min ago" if hours else f"{minutes} min ago"
    word = out.mark("error" if item["red"] else "ok", item["result"].replace("_", " "), 12)
    return f"{word}  {pad(item['surface'], 34)}  {pad(age, 18)}  {item['action_id'] or ''}"


def _wait(out: Terminal, item: dict[str, Any]) -> str:
    due = "time is over" if item["overdue"] else f"until {item['deadline'][11:16]} UTC"
    who = f"for {', '.join(item['approvers'])}" if item["approvers"] else "for a fact"
    line = f"{out.verdict(item['verdict'])}  {pad(item['name'], 18)}  {pad(who, 14)}  {pad(due, 15)}"
    return f"{line}  {item['handle']}" if out.width >= WIDTH else f"{line.rstrip()}\n{'':13}{item['handle']}"


def _open(out: Terminal, item: dict[str, Any]) -> str:
    del out
    return f"{item['at'][:19].replace('T', ' ')}  {pad(item['name'], 18)}  navicert settle {item['action_id']}"
