"""What a comparison of policies came to, on a terminal, as a document, and as Markdown for a pull request.

* What an agent or an author of a policy wrote cannot become markup: on a terminal it is inert; in Markdown it stands in
  `<code>`, every character that Markdown could take as a reference, so that it is neither markup, nor a link, nor a
  mention.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from navicert.cli.terminal import Terminal, cut, pad
from navicert.cli.view import call_text
from navicert.core.canonical import decode_parameters
from navicert.core.compare import DAY_US
from navicert.core.inert import brief, columns
from navicert.core.times import micros, rfc3339

if TYPE_CHECKING:
    from navicert.core.compare import Change, Group, Load, Rate, Report
    from navicert.core.rejudge import Recorded
    from navicert.model.decision import Decision

_TERMS: Final = {"parameters": "other parameters", "people": "other people or times", "grounds": "other grounds"}
_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
_MARKUP: Final = re.compile(r"((?<=[^\W_])(?<!www)[-.](?=[^\W_]))|[^\w ]|_", re.IGNORECASE)
"""What Markdown could take; or, as group 1, a hyphen or dot within a word, which it does not, but of `www.`."""
UNCHANGED: Final = "Nothing that was recorded would be decided otherwise, so nobody would be asked more or less often."
_Document = dict[str, Any]


def report_document(found: Report) -> _Document:
    """Return a report as `--json` shows it."""
    return {
        "decisions": found.compared,
        "sessions": found.sessions,
        "from": rfc3339(found.first_at) if found.first_at is not None else None,
        "to": rfc3339(found.last_at) if found.last_at is not None else None,
        "days": found.days,
        "partial": found.partial,
        "changed": found.changed,
        "certain": found.certain,
        "verdicts": {"old": found.verdicts[0], "new": found.verdicts[1]},
        "groups": [_group(group) for group in found.groups],
        "forecast": [_load(item) for item in found.forecast],
    }


def _group(group: Group) -> _Document:
    return {
        "old": group.old.value,
        "new": group.new.value,
        "what": group.what.value,
        "direction": group.direction,
        "count": group.count,
        "certain": group.certain,
        "examples": [change_document(change) for change in group.examples],
    }


def change_document(change: Change) -> _Document:
    """Return one recorded decision under both policies."""
    record, given = change.record, change.record.given
    return {
        "seq": record.seq,
        "action_id": given.action.action_id,
        "session": given.context.session_id,
        "at": rfc3339(given.now),
        "kind": record.kind,
        "action": given.action.name,
        "parameters": decode_parameters(record.submitted),
        "call": _call(record, record.submitted),
        "what": change.what.value,
        "certain": not change.conditional,
        "partial": record.partial,
        "old": _decision(record, change.old),
        "new": _decision(record, change.new),
    }


def unlike_document(record: Recorded) -> _Document:
    """Return a recorded decision that its own policy does not reproduce."""
    return {
        "seq": record.seq,
        "action_id": record.given.action.action_id,
        "action": record.given.action.name,
        "verdict": record.verdict.value,
        "rules": list(record.rules),
        "reason_code": record.reason_code,
        "policy": record.policy,
    }


def _decision(record: Recorded, decision: Decision) -> _Document:
    effective = decision.effective
    return {
        "verdict": decision.verdict.value,
        "rules": list(decision.rules),
        "reason_code": decision.reason_code,
        "reason": decision.reason,
        "approvers": list(decision.approvers),
        "approvals": decision.approvals,
        "backups": list(decision.backups),
        "escalate_s": decision.escalate_s,
        "timeout_s": decision.timeout_s,
        "effective": decode_parameters(effective) if effective is not None else None,
        "call": _call(record, effective if effective is not None else record.submitted),
    }


def _call(record: Recorded, parameters: bytes) -> str:
    profile = msgspec.to_builtins(record.given.action.profile)
    action = {"effective": None, "parameters": decode_parameters(parameters)}
    return brief(call_text({"action": action, "decision": {"evaluated": {"profile": profile}}}), 200)


def _load(item: Load) -> _Document:
    return {"person": item.person or None, "old": _rate(item.old), "new": _rate(item.new)}


def _rate(rate: Rate) -> _Document:
    return {"total": rate.total, "mean": round(rate.mean, 3), "worst": rate.worst}


def why(item: _Document, what: str) -> str:
    """Return what one policy says, as far as it is what differs; not yet inert."""
    if what == "parameters":
        return str(item["call"])
    if what == "people":
        more = [f"{item['approvals']} of them"] if item["approvals"] > 1 else []
        more += [f"then {', '.join(item['backups'])} after {item['escalate_s']} s"] if item["backups"] else []
        more += [f"within {item['timeout_s']} s"] if item["timeout_s"] is not None else []
        return "; ".join((", ".join(item["approvers"]) or "nobody", *more))
    said = item["reason"] if item["effective"] is None else f"as {item['call']}"
    return f"{', '.join(item['rules']) or item['reason_code']}: {said}"


def notes(document: _Document) -> list[str]:
    """Return in words what is not in a comparison, and what is only in part."""
    found: list[str] = []
    own = ", ".join(f"{number} {code}" for code, number in sorted(document["engine"].items()))
    if own:
        found.append(f"left out: {sum(document['engine'].values())} that no policy makes ({own})")
    for name, words in (("purged", "context was purged"), ("erased", "disclosures were erased")):
        lost = document[name]
        if lost:
            sessions = ", ".join(list(lost)[:3]) + (" …" if len(lost) > 3 else "")
            found.append(f"cannot be replayed: {sum(lost.values())} whose {words} ({sessions})")
    unlike, partial = len(document["not_reproduced"]), document["partial"]
    if unlike:
        found.append(f"left out: {unlike} that their own policy does not reproduce; see `navicert replay`")
    if partial:
        found.append(f"in part: {partial} judged from what they were modified to, not from what was asked")
    return found


def covered(document: _Document) -> str:
    """Return what a comparison rests on, in words."""
    if not document["decisions"]:
        return "no decision that could be judged again"
    days = f"{document['days']} day{'' if document['days'] == 1 else 's'}"
    first, last = document["from"][:10], document["to"][:10]
    span = first if first == last else f"{first} to {last}"
    return (
        f"{counted(document['decisions'], 'decision')} in {counted(document['sessions'], 'session')}, {span} ({days})"
    )


def counted(number: int, word: str) -> str:
    """Return `1 session`, `2 sessions`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def changed(document: _Document) -> str:
    """Return how much changes, in words."""
    if not document["changed"]:
        return "none"
    certain = document["certain"]
    return f"{document['changed']:,}: {certain:,} certain, {document['changed'] - certain:,} conditional"


def policy_words(item: _Document) -> str:
    """Return a policy in words."""
    return f"{item['id']} v{item['version']}, {item['hash'][:8]} ({item['name']})"


# on a terminal


def show(out: Terminal, document: _Document) -> None:
    """Show a comparison."""
    out.title("navicert diff", "nothing was executed")
    head(out, document, [("old", policy_words(document["old"])), ("new", policy_words(document["new"]))])
    for group in document["groups"]:
        out.say()
        certain = f"{group['count']:,}, {group['certain']:,} certain"
        heading(out, group_mark(out, group), certain)
        for item in group["examples"]:
            show_change(out, item)
        more = group["count"] - len(group["examples"])
        if more:
            out.say(out.style(f"  … and {more:,} more", "dim"))
    tail(out, document)


def head(out: Terminal, document: _Document, pairs: list[tuple[str, str]]) -> None:
    """Show what is compared, what it rests on, and how much changes."""
    out.fields([(name, cut(text, out.width - 16)) for name, text in pairs])
    out.fields(
        [
            ("record", f"{covered(document)}; verified"),
            *[("" if index else "notes", brief(text, 240)) for index, text in enumerate(notes(document))],
            ("changes", changed(document)),
        ]
    )


def group_mark(out: Terminal, group: _Document) -> str:
    """Return what a group of changes has in common."""
    if group["what"] == "verdict":
        return f"{out.mark(group['old'], group['old'])} → {out.mark(group['new'], group['new'])}"
    return f"{out.mark(group['new'], group['new'])}, {_TERMS[group['what']]}"


def heading(out: Terminal, left: str, right: str) -> None:
    """Write a heading that may be styled, over a hairline."""
    gap = out.width - columns(_STYLE.sub("", left)) - columns(right)
    out.say(left + " " * gap + out.style(right, "dim"))
    out.say(out.style("─" * out.width, "dim"))


def show_change(out: Terminal, item: _Document, *, verdicts: bool = False) -> None:
    """Show one decision that would change; verdicts: of both policies too."""
    sure = "certain" if item["certain"] else "conditional"
    after = " (after its wait)" if item["kind"] == "resolution" else ""
    at = item["at"][5:19].replace("T", " ")
    room = out.width - 55
    call = pad(item["call"] + after, room)
    word = out.style(sure, "bold" if item["certain"] else "dim")
    out.say(f"  {'#' + str(item['seq']):>6}  {at}  {pad(item['action'], 14)}  {call}  {word}")
    for name in ("old", "new"):
        verdict = out.verdict(item[name]["verdict"]) + "  " if verdicts else ""
        text = cut(why(item[name], item["what"]), out.width - 15 - 11 * verdicts)
        out.say(out.style(f"{'':10}{name}  ", "dim") + verdict + text)


def tail(out: Terminal, document: _Document) -> None:
    """Show the forecast, and what a replay cannot show."""
    if not document["changed"]:
        out.say()
        out.text(UNCHANGED)
        return
    if document["forecast"]:
        out.say()
        heading(out, out.style("Approvals asked for", "bold"), _over(document))
        rows = [(_who(item), *_rates(item)) for item in document["forecast"]]
        out.table(("  who", "old: mean", "worst", "new: mean", "worst"), rows, (40, 10, 10, 10, 10))
    out.say()
    for text in document["limits"]:
        out.text(text)


def _over(document: _Document) -> str:
    """Return what a forecast rests on, in words."""
    if micros(document["to"]) - micros(document["from"]) < DAY_US:
        return "from less than a day of record: no rate to rely on"
    return f"a day, over {counted(document['days'], 'day')}"


def _who(item: _Document) -> str:
    return "  " + (item["person"] if item["person"] is not None else "all together")


def _rates(item: _Document) -> tuple[str, ...]:
    return tuple(text for name in ("old", "new") for text in (f"{item[name]['mean']:.1f}", f"{item[name]['worst']}"))


# as Markdown


def code(text: str, limit: int = 160) -> str:
    """Return text that somebody else wrote as Markdown that shows it and is nothing else."""
    shown = brief(text, limit)
    return f"<code>{_MARKUP.sub(lambda found: found[1] or f'&#{ord(found[0])};', shown)}</code>"


def show_markdown(stream: TextIO, document: _Document) -> None:
    """Write a comparison as Markdown: one section a kind of change, DENY → ALLOW first."""
    of = counted(document["decisions"], "recorded decision")
    both = f"{_policy(document['old'])} → {_policy(document['new'])}"
    lines = [f"### navicert: {document['changed']:,} of {of} would change", ""]
    lines += [f"{both}. Record: {covered(document)}, verified. Changes: {changed(document)}."]
    for group in document["groups"]:
        both = f"{group['old']} → {group['new']}"
        title = both if group["what"] == "verdict" else f"{group['new']}, {_TERMS[group['what']]}"
        lines += ["", f"#### {title}: {group['count']:,}, {group['certain']:,} certain"]
        if group["examples"]:
            lines += ["", "| # | action | with | old | new | |", "|---|---|---|---|---|---|"]
        for item in group["examples"]:
            cells = [code(item["action"], 48), code(item["call"])]
            cells += [code(why(item[name], item["what"])) for name in ("old", "new")]
            sure = "**certain**" if item["certain"] else "conditional"
            lines.append(f"| {item['seq']} | {' | '.join(cells)} | {sure} |")
        if group["count"] > len(group["examples"]):
            lines += ["", f"… and {group['count'] - len(group['examples']):,} more."]
    if document["forecast"] and document["changed"]:
        lines += ["", f"#### Approvals asked for, {_over(document)}", ""]
        lines += ["| who | old: mean | worst | new: mean | worst |", "|---|---|---|---|---|"]
        for item in document["forecast"]:
            who = code(item["person"]) if item["person"] is not None else "all together"
            lines.append(f"| {' | '.join((who, *_rates(item)))} |")
    lines += ["", *(f"* {code(text, 240)}" for text in notes(document)), ""]
    lines.append(" ".join(document["limits"]) if document["changed"] else UNCHANGED)
    stream.write("\n".join(lines) + "\n")


def _policy(item: _Document) -> str:
    return f"{code(item['id'])} version {item['version']} ({item['hash'][:8]}, {code(item['name'])})"
