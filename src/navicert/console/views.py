"""Views: what the templates get: the facts of `navicert show` in the order of reading (R4.a; T1).

* What decides (where it goes, what it touches, how much) stands before content, and nothing of an agent is long
  enough to push it away: long text is folded, long lists too, and what does not fit at all is said not to be there.
* Every text that is not ours is inert before a template sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from markupsafe import Markup, escape

from navicert.asking.deciding import NOT_GRANTED, refusal
from navicert.asking.decoded import decoded
from navicert.asking.inbox import inbox
from navicert.asking.question import Leaf, grounds, leaves, runs, wait_document
from navicert.asking.words import at, chain, count, left, value_text
from navicert.console.inert import REACHED, SHORT, Paper, Shown, chips, foreign, sentence
from navicert.core.digest import bytes_digest
from navicert.core.times import rfc3339
from navicert.explain.asked import ANSWERS, phrase_of, rows, stood
from navicert.explain.origins import origin_words
from navicert.model.suspension import Answer

if TYPE_CHECKING:
    from navicert.model.action import ToolProfile
    from navicert.model.suspension import Approvers, Question, Wait
    from navicert.people import Seen

ROLES: Final = frozenset({"destination", "resource", "amount"})
FIRST: Final = 24
"""So many parameters stand on the page at once."""
MOST: Final = 400
"""So many at all; the others are counted, and said not to be there."""
PRIOR: Final = 12
QUOTED: Final = 320
"""So much is shown of what decided on the intent, in columns."""
VERDICTS: Final = {"STEP_UP": ("▲", "a person must decide"), "DEFER": ("◌", "a fact is missing")}
RISKS: Final = {"low": "○", "medium": "●", "high": "▲", "critical": "■"}
WORDS: Final = {"approve": "approved", "deny": "refused", "state": "stated a fact"}


class Parameter(NamedTuple):
    """One value that would run: its place, what it is, and its text. forms: decoded, with their names."""

    path: Markup
    what: str
    text: Shown
    forms: list[tuple[str, Markup]]


class Part(NamedTuple):
    """Parameters of one kind. more: folded; missing: how many are not on the page at all."""

    first: list[Parameter]
    more: list[Parameter]
    missing: int


class Choice(NamedTuple):
    """Somebody who may be at this page. can: what they may answer, in words."""

    name: str
    shown: Markup
    can: str


def question_id(question: Question) -> str:
    """Return what stands for a whole question in a form: rules, labels, files, nonce and deadline too."""
    return bytes_digest(msgspec.json.encode(question, order="deterministic"))


def wait_view(wait: Wait, seen: Seen, now: int) -> dict[str, Any]:
    """Return the page of a waiting action. Raises `IntegrityError` where its digest is not that of what would run."""
    policy = grounds(seen.archive, wait)
    document = wait_document(wait, seen.approvers, now, reasons=policy.reasons, void=policy.void)
    paper = Paper()
    phrase = phrase_of(document["intent"] or {}, document["reading"])
    return {
        "document": document,
        "question": question_id(wait.question),
        "verdict": VERDICTS[document["verdict"]],
        "stands": "approved, and not taken up yet" if document["approved"] else VERDICTS[document["verdict"]][1],
        "risk": RISKS.get(wait.risk, "■"),
        "name": foreign(wait.action.name, 120),
        "tool": foreign(wait.action.tool, 240),
        "operation": foreign(wait.action.operation, 240),
        "until": at(document["deadline"]),
        "left": left(document["deadline"], now),
        "made": at(rfc3339(now)),
        "request": paper.show(document["request"], 400, phrase) if document["request"] else None,
        "said": [paper.show(text, 240, phrase) for text in document["said"][-5:]],
        "unsaid": max(0, len(document["said"]) - 5),
        "intent": _intent(document, phrase),
        **_what(wait, document, policy.profile, paper),
        "prior": [_prior(item) for item in document["prior"][-PRIOR:]],
        "stake": _stake(document),
        "whom": [(name, foreign(text)) for name, text in chain(document["identity"]) if text],
        "why": _why(document, paper),
        "who": _who(document),
        "asks": [(name, foreign(name, 120), paper.show(text)) for name, text in document["asks"].items()],
        "choices": choices(wait, seen.approvers, now),
        "not_granted": NOT_GRANTED,
    }


def _intent(document: dict[str, Any], phrase: str) -> dict[str, Any]:
    said = document["intent"]
    if said is None:
        return {"unjudged": foreign(document["unjudged"], 240)}
    return {
        "answer": ANSWERS.get(said["finding"], ""),
        "why": sentence(said["why"] or said["finding"]),
        "you": foreign(document["identity"]["human"], 80),
        "target": foreign(said["target"], QUOTED),
        "stood": stood(said),
        "tool": foreign(said["source"], 120),
        "passage": foreign("" if phrase else said["passage"], QUOTED),
        "rows": [
            (row.head, foreign(row.words, QUOTED), foreign(", ".join(row.targets), QUOTED))
            for row in rows(document["reading"], phrase)
        ],
    }


def _what(wait: Wait, document: dict[str, Any], profile: ToolProfile | None, paper: Paper) -> dict[str, Any]:
    found = leaves(runs(wait), profile)
    ran = {leaf.path: leaf.text for leaf in found}
    before = leaves(wait.action.parameters, profile) if document["asked_for"] is not None else []
    changed = [leaf for leaf in before if ran.get(leaf.path) != leaf.text]
    return {
        "effect": profile.effect.value if profile is not None else "",
        "decides": _part([leaf for leaf in found if leaf.role in ROLES], paper),
        "carries": _part([leaf for leaf in found if leaf.role not in ROLES], paper),
        "changed": _part(changed, paper),
        "was_changed": bool(before),
        "files": [(foreign(name, 120), digest) for name, digest in document["files"].items()],
    }


def _part(found: list[Leaf], paper: Paper) -> Part:
    shown = [_parameter(leaf, paper) for leaf in found[:MOST]]
    return Part(shown[:FIRST], shown[FIRST:], len(found) - len(shown))


def _parameter(leaf: Leaf, paper: Paper) -> Parameter:
    text = paper.show(leaf.text, REACHED if leaf.role in ROLES else SHORT)
    forms = [(name, foreign(form, REACHED)) for name, form in decoded(leaf.text)]
    return Parameter(foreign(leaf.path, 80), ", ".join(filter(None, (leaf.role, leaf.kind))), text, forms)


def _prior(item: dict[str, Any]) -> dict[str, Any]:
    gave = "" if item["gave"] == "PUBLIC" else item["gave"]
    return {"at": at(item["at"]), "verdict": item["verdict"], "name": foreign(item["name"], 80), "gave": foreign(gave)}


def _stake(document: dict[str, Any]) -> list[tuple[str, Markup]]:
    confidence = document["confidence"]
    sure = "not measured" if confidence is None else f"{confidence:.0%} sure"
    far = "not measured" if document["distance"] is None else str(document["distance"])
    data = document["labels"] + origin_words(document["labels_from"])
    return [("data", foreign(data)), ("distance", escape(far)), ("risk", foreign(document["risk"])),
            ("confidence", escape(sure))]  # fmt: skip


def _why(document: dict[str, Any], paper: Paper) -> dict[str, Any]:
    rules = [
        {"id": foreign(rule["id"], 120), "hash": rule["hash"], "text": paper.show(rule["reason"] or document["reason"])}
        for rule in document["rules"]
    ]
    said = {rule["reason"] or document["reason"] for rule in document["rules"]}
    return {
        "rules": rules,
        "reason": paper.show(document["reason"]) if said != {document["reason"]} else None,
        "tries": [
            (at(item["at"]), foreign(f"{item['fact']} from {item['source']}", 160),
             foreign(item["problem"] or value_text(item["value"]), 240))
            for item in document["tries"]
        ],
        "facts": [
            (foreign(item["name"], 120), foreign(f"{value_text(item['value'])} ({item['source']})", 240))
            for item in document["facts"]
        ],
        "depends_on": ", ".join(document["depends_on"]),
    }  # fmt: skip


def _who(document: dict[str, Any]) -> dict[str, Any]:
    stating = document["asks"] and document["verdict"] == "DEFER"
    may = [document["identity"]["human"]] if stating else document["asked"]
    later = document["backups"] if not set(document["backups"]) <= set(document["asked"]) else []
    return {
        "count": count(document),
        "may": foreign(", ".join(may)) if may else "",
        "later": foreign(f"{', '.join(later)}, from {at(document['escalate_at'])}") if later else "",
        "answers": [
            {"name": foreign(item["approver"], 80), "word": WORDS[item["answer"]], "role": item["role"],
             "at": at(item["at"]), "reason": foreign(item["reason"], 400)}
            for item in document["answers"]
        ],
    }  # fmt: skip


def choices(wait: Wait, approvers: Approvers, now: int) -> list[Choice]:
    """Return who may answer now, of those who are enrolled, with what they may."""
    words = {Answer.DENY: "deny", Answer.APPROVE: "approve", Answer.STATE: "state"}
    if wait.question.verdict.value == "DEFER":
        del words[Answer.APPROVE]  # nobody is asked to approve before it is known what is missing
    if not wait.question.facts or wait.question.verdict.value != "DEFER":
        words.pop(Answer.STATE)
    found = []
    for name in dict.fromkeys(person.name for person in approvers.people):
        can = [word for answer, word in words.items() if refusal(wait, approvers, name, answer, now) is None]
        if can:
            found.append(Choice(name, foreign(name, 80), " or ".join(can)))
    return found


def inbox_view(seen: Seen, now: int) -> dict[str, Any]:
    """Return the inbox: the riskiest first, then what ends first."""
    rules = {wait.handle: [name for name, _ in wait.question.rules] for wait in seen.waits}
    return {
        "made": at(rfc3339(now)),
        "waiting": [
            {
                "handle": item["handle"],
                "name": foreign(item["name"], 80),
                "verdict": VERDICTS[item["verdict"]],
                "kind": item["verdict"],
                "risk": item["risk"],
                "shape": RISKS.get(item["risk"], "■"),
                "escalated": item["escalated"],
                "with": chips(item["with"]) or "no parameters",
                "human": foreign(item["human"], 80),
                "agent": foreign(item["agent"], 80),
                "rules": foreign(", ".join(rules[item["handle"]]), 160),
                "asked": foreign(", ".join(item["asked"]), 160) if item["asked"] else "nobody: a fact decides",
                "so_far": count(item),
                "until": at(item["deadline"]),
                "left": left(item["deadline"], now),
                "reason": foreign(item["reason"], 240),
            }
            for item in inbox(seen, now)
        ],
    }
