"""`navicert explain`: one decision as a tree: of a receipt, or of an action that is only supposed (R1.d, R3.d).

For those who write policy. An agent is told the short reason, so that explanations do not teach evasion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit, wrap
from navicert.core.inert import brief, inert

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive, LogRow
    from navicert.assemble import Home
    from navicert.cli.view import View
    from navicert.core.compile import CompiledPolicy
    from navicert.core.rejudge import Recorded
    from navicert.explain import Explanation
    from navicert.model.action import ToolProfile
    from navicert.model.labels import Labels
    from navicert.rehearsal.suppose import Supposed
    from navicert.syntax import Spans

_REASON: Final = 1_200
_WHY: Final = {
    "engine": "the engine decided this by itself, before or beside the policy",
    "purged": "its context was purged after its retention",
    "erased": "what it rested on was erased",
}

ASKED_AGAIN: Final = "(asked again: "
"""With this the engine says in a reason why a question was renewed."""


class Explained(NamedTuple):
    """One decision: what it is of, and the explanation, or why there is none. heading: for people."""

    heading: str
    found: Explanation | None
    why: str = ""
    receipt: dict[str, Any] | None = None


class _Places(NamedTuple):
    """Where the rules of one policy set stand; spans None where that file is not known."""

    spans: Spans | None
    source: str
    hash: str


@click.command()
@click.argument("name", required=False, metavar="[ID]")
@click.option("--call", metavar="TOOL", help="Suppose an action: the full name of a tool, email.send.")
@click.option("--with", "parameters", metavar="JSON", help="Its parameters, an object (default: {}).")
@click.option("--policy", metavar="FILE", type=click.Path(path_type=Path), help="Another policy than the home's.")
@click.option(
    "--declared", metavar="YAML", help="What the code declares of the tool: '{effect: send, destination: to}'."
)
@click.option("--human", default="user", show_default=True, metavar="NAME", help="For whom.")
@click.option("--agent", default="agent", show_default=True, metavar="NAME", help="By which agent.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role of the agent; may be repeated.")
@click.option(
    "--scope", "scope", multiple=True, metavar="PATTERN", help="What it may use; may be repeated (default: *)."
)
@click.option("--request", default="", metavar="TEXT", help="What the user asked for.")
@click.option("--intent", metavar="NAME", help="What the session was opened for.")
@click.option("--label", metavar="LEVEL[,CATEGORY…]", help="What the session has read: CONFIDENTIAL,PII.")
@click.option("--fact", "facts", multiple=True, metavar="NAME=VALUE", help="A fact that the application has reported.")
@click.option("--done", multiple=True, metavar="TOOL", help="What the session was permitted before.")
@click.option("--all", "everything", is_flag=True, help="Show the conditions of rules that do not match, too.")
@common
def verb(name: str | None, call: str | None, everything: bool, home: str | None, as_json: bool, **rest: Any) -> int:
    """Show step by step how a decision came about: of ID (as `show` takes it), or of a call that is only supposed.

    Every step of precedence, the rules that were looked at, and the values that they met, with file and line. Nothing
    is executed. The decision is the policy's own; detectors really measure.
    """
    if (name is None) is (call is None):
        raise Misused("name one receipt or action (`navicert tail` lists them), or suppose one with `--call TOOL`")
    given = [word for word, value in rest.items() if value and value not in {"user", "agent"}]
    if name is not None and given:
        option = "with" if given[0] == "parameters" else given[0].removesuffix("s")
        raise Misused(f"`--{option}` is for a supposed action; leave it out, or write `--call`")
    if name is not None:
        places, found = _recorded(name, home)
    else:
        places, found = _supposed(call or "", home, **rest)
    if as_json:
        emit({"format": "navicert/explain/1", "decisions": [_document(each, places) for each in found]})
        return FINE
    out = Terminal()
    for number, each in enumerate(found):
        if number:
            out.say()
        _show(out, each, places, everything=everything)
    return FINE


def _show(out: Terminal, each: Explained, places: _Places, *, everything: bool) -> None:
    from navicert.cli.page import tell_intent
    from navicert.cli.tree import lines
    from navicert.explain import origin_words

    receipt = each.receipt or {}
    out.title(each.heading, receipt.get("at", ""))
    if each.found is None:
        out.say(f"  {out.verdict(receipt['verdict'])}  {inert(receipt['reason_code'])}")
        out.text(f"{each.why}; see `navicert show {receipt['action_id']}`", 2)
        return
    decision = each.found.decision
    for index, line in enumerate(wrap(brief(decision.reason, _REASON), out.width - 13)):
        out.say((f"  {out.verdict(decision.verdict.value)}  " if not index else " " * 13) + line)
    said = each.found.intent
    for line in wrap(brief(said.get("why", ""), _REASON), out.width - 13):
        out.say(" " * 13 + line)
    pairs = [("parameters", brief(each.found.rounds[0].parameters.decode(), 240))]
    parts = {name: labels.words() for name, labels in each.found.origins.items()}
    pairs.append(("labels", inert(each.found.labels.words() + origin_words(parts))))
    if said:
        known = (f"{name} {said[name]}" for name in ("origin", "trust", "asked") if said.get(name))
        pairs.append(("intent", " · ".join((said.get("finding", "?"), *known))))
    changed = f"sha256 {places.hash[:16]}…: its file has changed since, so no lines are shown"
    pairs.append(("policy", changed if places.spans is None else inert(places.source)))
    if each.why:
        pairs.append(("note", each.why))
    for head, text in pairs:
        for index, line in enumerate(wrap(text, out.width - 14)):
            out.say(out.style(f"  {head if not index else '':<11}", "dim") + line)
    tell_intent(out, said, each.found.reading, 11)
    out.say()
    for line in lines(out, each.found, places.spans, places.source, everything=everything):
        out.say(line)


# ------------------------------------------------------------------------------------------------------------- receipts


def _recorded(name: str, home: str | None) -> tuple[_Places, list[Explained]]:
    """Explain what a name stands for: one receipt, or every decision on one action."""
    from navicert.audit import open_archive
    from navicert.records import policies
    from navicert.verification.disclosed import verify_policies

    place, _ = home_of(home)
    if not place.store.exists():
        raise Misused(f"nothing here is named `{name}`; there is no log yet")
    with open_archive(place) as archive, archive.snapshot():
        rows = archive.find(name)
        if not rows:
            raise Misused(f"nothing here is named `{name}`; `navicert tail` lists the newest receipts")
        if rows[0].action is None:
            raise Misused(f"`{name}` is a record of the log's own: nothing was decided in it")
        verify_policies((), archive.policies())
        kept = policies(archive)
        wanted = {row.seq for row in rows}
        judged = [row for row in archive.log(action=rows[0].action) if row.kind in {"decision", "resolution"}]
        # an outcome is explained by the decision that it completes
        chosen = [row for row in judged if row.seq in wanted] or judged[-1:]
        found = list(_explained(archive, kept, rows[0].action, chosen))
    hashed = found[-1].receipt["policy"] if found[-1].receipt else ""
    return _places_of(place, home, hashed), found


def _explained(
    archive: Archive, kept: dict[str, CompiledPolicy], action: str, chosen: list[LogRow]
) -> Iterator[Explained]:
    from navicert.adapters.store.archive import receipt_of
    from navicert.cli.view import view
    from navicert.core.rejudge import Recorded
    from navicert.model.errors import VerificationError
    from navicert.records import records
    from navicert.verification.disclosed import plain

    by_place = {row.seq: row for row in chosen}
    for item in records(archive, kept, upto=chosen[-1].seq, action=action):
        row = by_place.get(item.seq)
        if row is None:
            continue
        receipt = receipt_of(row)
        part, of = receipt.decision, receipt.action
        if part is None or of is None:
            raise VerificationError("schema", f"entry {row.seq}: a decision without its parts; run `navicert verify`")
        if part.policy.hash not in kept:
            raise VerificationError("policy_unknown", f"policy {part.policy.hash} is not kept; run `navicert verify`")
        shown = {"seq": row.seq, "kind": row.kind, "receipt_id": receipt.receipt_id, "at": receipt.at}
        shown |= {"action_id": of.id, "verdict": part.result, "reason_code": part.reason_code}
        shown |= {"policy": part.policy.hash}
        heading = f"{plain(of.tool)}.{plain(of.operation)}   {row.kind} #{row.seq}   {of.id}"
        again = _again(view(archive, row))
        if not isinstance(item, Recorded):
            yield Explained(heading, None, "; ".join((_WHY[item.why], *again)), shown)
            continue
        for found in _trees(item, kept[item.policy], heading, shown):
            yield found._replace(why="; ".join(filter(None, (*again, found.why))))


def _again(item: View) -> list[str]:
    """Return why a question was asked anew, whose answers do not count for it, and what the action waits for."""
    verdict, reason = item["decision"]["verdict"], item["decision"]["reason"] or ""
    why = reason.rpartition(ASKED_AGAIN)[2].removesuffix(")") if ASKED_AGAIN in reason else ""
    found = [reason] if item["decision"]["reason_code"] == "depends" else []
    found += [reason[at + 2 : -1]] if (at := reason.find(" (it also depends on")) >= 0 else []
    if item["kind"] != "resolution" or verdict not in {"STEP_UP", "DEFER"}:
        return found
    people = [part["approver"] or part["approver_id"] for part in item["approval"]]
    return [
        f"asked again: {why or 'judged again, it is another question than before'}",
        *([f"what {' and '.join(people)} answered to the earlier question does not count any more"] if people else []),
        *found,
    ]


def _trees(item: Recorded, policy: CompiledPolicy, heading: str, shown: dict[str, Any]) -> Iterator[Explained]:
    """Explain a record; of a wait that ended otherwise than its last state alone would say, on its first state too."""
    from navicert.core.rounds import as_asked
    from navicert.explain import explain

    found = explain(item.given, policy)
    notes = ["from what would run: its first form was not measured again"] if item.partial else []
    if item.then is not None and found.decision.verdict is not item.verdict:
        yield Explained(heading, found, "on the state in which its wait ended; the stricter of two stands", shown)
        before = explain(as_asked(item.then, item.given), policy)
        yield Explained(heading, before, "on the state in which it was asked for", shown)
        return
    if found.decision.verdict is not item.verdict and not item.partial:
        notes.append(f"the record says {item.verdict.value}: the engine added to what the policy says")
    yield Explained(heading, found, "; ".join(notes), shown)


def _places_of(place: Home, home: str | None, hashed: str) -> _Places:
    """Return where the rules of a recorded policy stand, as long as its file says what it said then."""
    from navicert.assemble import load_cedar, load_policy
    from navicert.model.errors import PolicyError
    from navicert.syntax import read_policy

    _, config = home_of(home)
    path = place.folder / config.policy
    try:
        if load_policy(path, load_cedar(place.folder, config))[0].hash != hashed:
            return _Places(None, "", hashed)
        return _Places(read_policy(path.read_bytes().decode())[1], shown_path(path), hashed)
    except PolicyError:  # what is in the file now judged nothing: the record explains itself without it
        return _Places(None, "", hashed)


# ----------------------------------------------------------------------------------------------------- supposed actions


def _supposed(call: str, home: str | None, **rest: Any) -> tuple[_Places, list[Explained]]:
    from navicert.cli.lint import policy_text
    from navicert.core.builtin import with_builtin
    from navicert.core.compile import compile_policy
    from navicert.explain import explain
    from navicert.rehearsal.suppose import supposed
    from navicert.syntax import policy_hash, read_policy

    path, text = policy_text(rest["policy"], home)
    policy, spans = read_policy(text, shown_path(path))
    detectors, digest = _detectors(path, home, own=rest["policy"] is None)
    whole = with_builtin(policy, digest)
    compiled = compile_policy(whole, policy_hash(whole))
    given, measured = supposed(_what(call, **rest), compiled, detectors)
    found = explain(given, compiled, measured)
    return _Places(spans, shown_path(path), compiled.hash), [Explained(f"{call}   supposed", found)]


def _detectors(path: Path, home: str | None, *, own: bool) -> tuple[tuple[Any, ...], str | None]:
    """Return the detectors of the home (own), or those of every deployment; and the digest of its Cedar policies."""
    from navicert.adapters.detect.protected import ProtectedResources
    from navicert.assemble import identity_files, load_cedar, make_detectors

    if not own:
        return (ProtectedResources((path.parent / ".navicert", path)), *make_detectors()), None
    place, config = home_of(home)
    cedar = load_cedar(place.folder, config)
    files = (place.folder, path, *identity_files(place.folder, config))
    found = (ProtectedResources(files), *make_detectors(config.files_root, config.embeddings))
    return (*found, cedar) if cedar is not None else found, cedar.digest if cedar is not None else None


def _what(call: str, **rest: Any) -> Supposed:
    from navicert.core.canonical import canonical_parameters, decode_parameters, parse_parameters
    from navicert.model.identity import Claims
    from navicert.model.labels import NOTHING
    from navicert.rehearsal.suppose import Supposed

    if "." not in call.strip("."):
        raise Misused(f"`{call}` is no full tool name; write `tool.operation`")
    text = rest["parameters"] if rest["parameters"] is not None else "{}"
    claims = Claims(
        human=rest["human"],
        agent=rest["agent"],
        roles=rest["roles"],
        scope=rest["scope"] or ("*",),
        intent=rest["intent"],
    )
    return Supposed(
        call=call,
        parameters=decode_parameters(canonical_parameters(parse_parameters(text.encode()))),
        claims=claims,
        request=rest["request"],
        profile=_declared(call, rest["declared"]) if rest["declared"] else None,
        labels=_label(rest["label"]) if rest["label"] else NOTHING,
        facts=dict(map(_fact, rest["facts"])),
        done=rest["done"],
    )


def _declared(call: str, text: str) -> ToolProfile:
    from navicert.syntax import read_policy

    head = "policy: declared\nversion: 1\nposture: deny\ntools:\n  "
    return read_policy(f"{head}{call}: {text}\n", "--declared")[0].tools[0]


def _label(text: str) -> Labels:
    from navicert.model.labels import Labels, Level

    level, *categories = text.split(",")
    if level not in Level.__members__:
        raise Misused(f"`{level}` is no level; write one of {', '.join(Level.__members__)}")
    return Labels(level=Level[level], categories=tuple(sorted({*filter(None, categories)})))


def _fact(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise Misused(f"`{text}` is no fact; write NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # as in `navicert answer`: what is no JSON is text


# ----------------------------------------------------------------------------------------------------------------- JSON


def _document(each: Explained, places: _Places) -> dict[str, Any]:
    import msgspec

    found = each.found
    document: dict[str, Any] = {"receipt": each.receipt, "note": each.why or None}
    if found is None:
        none: dict[str, Any] = {"decision": None, "rounds": [], "beside": [], "shadow": None, "labels": None}
        none |= {"intent": None, "reading": None}
        return document | {"policy": places.hash, "file": None} | none
    lines = places.spans.rules if places.spans is not None else {}

    def rules(considered: Any) -> list[dict[str, Any]]:
        places = ((rule, lines.get(rule.rule, (None,))[0]) for rule in considered)
        return [msgspec.to_builtins(rule) | {"line": line} for rule, line in places]

    return document | {
        "policy": places.hash,
        "file": str(Path(places.source).resolve()) if places.source else None,
        "decision": _decision(found.decision),
        "rounds": [
            {
                "parameters": json.loads(item.parameters),
                "decision": _decision(item.decision),
                "step": item.step,
                "steps": [msgspec.to_builtins(step) | {"rules": rules(step.rules)} for step in item.steps],
                "others": item.others,
            }
            for item in found.rounds
        ],
        "beside": rules(found.beside),
        "shadow": msgspec.to_builtins(found.shadow),
        "labels": {"at_stake": found.labels.words()} | {name: each.words() for name, each in found.origins.items()},
        "intent": found.intent or None,
        "reading": found.reading,
    }


def _decision(decision: Any) -> dict[str, Any]:
    names = ("reason_code", "reason", "rules", "undetermined")
    return {"verdict": decision.verdict.value} | {
        name: list(value) if isinstance(value := getattr(decision, name), tuple) else value for name in names
    }
