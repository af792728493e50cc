"""The page on which a person decides: digest first, then what would run, and all else they must see (R4.a).

* What an agent or a user wrote stands behind a bar, inert, and nothing of ours does: the one cannot be taken for the
  other, whatever it says. In the sentence on intent, it stands in quotes that it cannot end (`intent.wording`).
* What an action reaches is shown whole. Of long content head and tail are shown, and how much is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from navicert.asking.deciding import NOT_GRANTED
from navicert.asking.decoded import decoded
from navicert.asking.question import Leaf, leaves, runs
from navicert.asking.words import at, chain, count, left, value_text
from navicert.cli.terminal import Terminal, cut, pad, wrap
from navicert.core.inert import brief, columns, inert
from navicert.explain.asked import ANSWERS, phrase_of, rows, stood
from navicert.explain.origins import origin_words

if TYPE_CHECKING:
    from navicert.model.action import ToolProfile
    from navicert.model.suspension import Wait

LONGEST: Final = 2_400
"""So much is shown of content, in columns."""
MOST: Final = 20_000
"""So long may a parameter be that plays no declared role, in characters, and is shown whole."""
REACHED: Final = frozenset({"destination", "resource", "amount"})
PRIOR: Final = 12
BAR: Final = "│ "
SAID: Final = "┊ "
"""Before each line of the one sentence that quotes others: no line of it can pose as another of ours."""
_WIDE: Final = 84
QUOTED: Final = 480
"""So much is shown of what decided on the intent of an action, in columns."""
RISKS: Final = {
    "low": ("note", "dim"),
    "medium": ("note", ""),
    "high": ("warning", "yellow"),
    "critical": ("error", "red"),
}


def show_question(out: Terminal, wait: Wait, document: dict[str, Any], now: int, profile: ToolProfile | None) -> None:
    """Write the whole page. document: `question.wait_document` of the same wait. profile: of its tool, where known."""
    out.say(f"{out.style('digest', 'dim')}  {_whole(out, document['digest'])}")
    out.say(out.style("─" * out.width, "dim"))
    head = f"{out.verdict(document['verdict'], 11)}{inert(wait.action.name)}"
    break_ = "   " if out.width >= _WIDE else "\n" + " " * 11
    out.say(f"{head}{break_}{risk(out, document['risk'])}   {left(document['deadline'], now)}   {count(document)}")
    _section(out, "The user asked")
    block(out, document["request"] or "", none="not available")
    for text in document["said"]:
        out.say(out.style("  and then", "dim"))
        block(out, text)
    _asked(out, document)
    _what(out, wait, document, profile)
    _prior(out, document)
    _grounds(out, document)
    _for_whom(out, document)
    _why(out, document)
    _who_decides(out, document, now)


def risk(out: Terminal, word: str, width: int = 0) -> str:
    """Return a risk: shape, word and colour."""
    shape, colour = RISKS.get(word, ("note", ""))
    text = f"{out.mark(shape)} {out.style(f'risk {word}', *([colour] if colour else []))}"
    return text + " " * (width - len(f"x risk {word}"))


def block(out: Terminal, text: str, *, none: str = "empty", whole: bool = False, indent: int = 4) -> None:
    """Write foreign text behind a bar, inert; head and tail where it is long, unless it has to be seen whole."""
    if not text:
        out.say(" " * indent + out.style(f"({none})", "dim"))
        return
    for line in wrap(inert(text) if whole else brief(text, LONGEST), out.width - indent - len(BAR)):
        out.say(" " * indent + out.style(BAR, "dim") + line)


def _whole(out: Terminal, digest: str) -> str:
    """Return a digest; in two halves where the line is narrow."""
    if out.width >= len(digest) + 8:
        return out.style(digest, "bold")
    half = len(digest) // 2
    return out.style(digest[:half], "bold") + "\n" + " " * 8 + out.style(digest[half:], "bold")


def _section(out: Terminal, name: str, right: str = "") -> None:
    out.say()
    out.say(out.style(name, "bold") + (f"   {out.style(right, 'dim')}" if right else ""))


def _asked(out: Terminal, document: dict[str, Any]) -> None:
    said = document["intent"]
    if said is None:
        _section(out, "Asked for?", "not judged")
        out.fields([("because", brief(document["unjudged"], 240))])
        return
    _section(out, "Asked for?", ANSWERS.get(said["finding"], ""))
    for line in wrap(inert(said["why"]), out.width - 2 - len(SAID)):
        out.say("  " + out.style(SAID, "dim") + line)
    out.fields([("“you”", brief(document["identity"]["human"], 120))])
    tell_intent(out, said, document["reading"])


def tell_intent(out: Terminal, said: dict[str, str], read_out: dict[str, Any], width: int = 14) -> None:
    """Write what a judgement of intent rests on: the target, where it stood, in what words; the request as read."""
    phrase = phrase_of(said, read_out)
    _behind(out, "target", said.get("target", ""), width)
    if said.get("target"):
        out.fields([("seen", stood(said)), ("given by", brief(said.get("source", ""), 120))], width)
    if not phrase:
        _behind(out, "the words", said.get("passage", ""), width)
    for index, row in enumerate(rows(read_out, phrase)):
        out.fields([("" if index else "request", row.head)], width)
        for text in (row.words, ", ".join(row.targets)):
            _behind(out, "", text, width)


def _behind(out: Terminal, head: str, text: str, width: int) -> None:
    """Write a field of foreign text, as `block` does."""
    for index, line in enumerate(wrap(brief(text, QUOTED), out.width - width - 2 - len(BAR))):
        out.say(out.style(f"  {'' if index else head:<{width}}{BAR}", "dim") + line)


def _what(out: Terminal, wait: Wait, document: dict[str, Any], profile: ToolProfile | None) -> None:
    effect = f"effect: {profile.effect.value}" if profile is not None else ""
    _section(out, "What exactly would run", effect)
    out.fields([("tool", inert(wait.action.tool)), ("operation", inert(wait.action.operation))])
    found = leaves(runs(wait), profile)
    if not found:
        out.say(out.style("  no parameters", "dim"))
    for leaf in found:
        _leaf(out, leaf)
    if document["asked_for"] is not None:
        ran = {leaf.path: leaf.text for leaf in found}
        _section(out, "The policy changed this", "it was asked for as")
        for leaf in leaves(wait.action.parameters, profile):
            if ran.get(leaf.path) != leaf.text:
                _leaf(out, leaf)
    files = [(brief(name, 60), digest) for name, digest in document["files"].items()]
    if files:
        _section(out, "Files that it names", "SHA-256 of their content; another content voids every answer")
        for name, digest in files:
            out.say(f"  {name}")
            out.say(f"    {digest}")


def _leaf(out: Terminal, leaf: Leaf) -> None:
    path = brief(leaf.path, 48)
    head = f"  {out.style(path, 'cyan')}{' ' * (12 - columns(path))}"
    out.say(f"{head}  {out.style(' · '.join(filter(None, (leaf.role, leaf.kind))), 'dim')}")
    whole = leaf.role in REACHED or (not leaf.role and len(leaf.text) <= MOST)
    block(out, leaf.text, whole=whole)
    if not whole and len(brief(leaf.text, LONGEST)) < len(inert(leaf.text)):
        out.say(out.style("    head and tail only; the whole stands in --json", "yellow"))
    for name, text in decoded(leaf.text):
        for index, line in enumerate(wrap(inert(text), out.width - 8 - len(name))):
            out.say("    " + out.style(f"= {name}: " if index == 0 else " " * (len(name) + 4), "dim") + line)


def _prior(out: Terminal, document: dict[str, Any]) -> None:
    prior, total = document["prior"][-PRIOR:], document["prior_count"]
    _section(out, "Before it, in this session", f"the last {len(prior)} of {total}" if total > len(prior) else "")
    if not prior:
        out.say("  nothing")
    for item in prior:
        gave = "" if item["gave"] == "PUBLIC" else f"gave {item['gave']}"
        name = pad(item["name"], 20)
        out.say(f"  {item['at'][11:19]}  {out.verdict(item['verdict'])}  {name}  {cut(gave, max(out.width - 43, 8))}")


def _grounds(out: Terminal, document: dict[str, Any]) -> None:
    _section(out, "What is at stake")
    confidence = document["confidence"]
    sure = "not measured" if confidence is None else f"{confidence:.0%}"
    out.fields(
        [
            ("data", document["labels"] + origin_words(document["labels_from"])),
            ("distance", "not measured" if document["distance"] is None else str(document["distance"])),
            ("risk", document["risk"]),
            ("confidence", sure),
        ]
    )


def _for_whom(out: Terminal, document: dict[str, Any]) -> None:
    _section(out, "For whom")
    most = {"roles": 240, "scope": 480, "delegated": 240, "identity": 480}
    out.fields([(name, brief(text, most.get(name, 120))) for name, text in chain(document["identity"])])


def _why(out: Terminal, document: dict[str, Any]) -> None:
    _section(out, "Why you are asked", document["source"])
    rules = [(item["id"], item["reason"] or document["reason"]) for item in document["rules"]]
    for name, reason in rules:
        out.fields([("rule", inert(name)), ("", brief(reason, 480))])
    if not rules or all(reason != document["reason"] for _, reason in rules):
        out.fields([("reason", brief(document["reason"], 480))])
    for item in document["tries"]:
        came = item["problem"] or value_text(item["value"])
        out.fields([("tried", brief(f"{at(item['at'])}  {item['fact']} from {item['source']}: {came}", 240))])
    if document["verdict"] == "DEFER":
        out.fields([("tries left", str(document["tries_left"]))])
    for item in document["facts"]:
        out.fields([("found out", brief(f"{item['name']} = {value_text(item['value'])} ({item['source']})", 240))])
    for name, asks in document["asks"].items():
        out.fields([(f"{brief(name, 48)}", brief(asks, 240)), ("", f"navicert answer {document['handle']} …")])
    out.fields([("waits for", ", ".join(document["depends_on"]))])


def _who_decides(out: Terminal, document: dict[str, Any], now: int) -> None:
    _section(out, "Who decides", count(document))
    if document["void"]:
        void = document["void"]
        said = "1 answer to an earlier question does" if void == 1 else f"{void} answers to earlier questions do"
        out.fields([("asked anew", f"{said} not count any more")])
    for item in document["answers"]:
        word = {"approve": "approved", "deny": "refused", "state": "stated a fact"}[item["answer"]]
        out.fields([(brief(item["approver"], 48), brief(f"{word} at {at(item['at'])}: {item['reason']}", 240))])
    facts = document["asks"] and document["verdict"] == "DEFER"
    may = [document["identity"]["human"]] if facts else document["asked"]
    later = document["backups"] if not set(document["backups"]) <= set(document["asked"]) else []
    out.fields(
        [
            ("may answer", brief(", ".join(may) or "nobody: a fact decides", 240)),
            ("later", brief(f"{', '.join(later)}, from {at(document['escalate_at'])}", 240) if later else ""),
            ("handle", document["handle"]),
            ("until", f"{at(document['deadline'])}, {left(document['deadline'], now)}; then it is denied"),
        ]
    )
    _section(out, "What an approval does not grant")
    for text in NOT_GRANTED:
        for index, line in enumerate(wrap(text, out.width - 4)):
            out.say(("  · " if index == 0 else "    ") + line)
