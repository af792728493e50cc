"""What was asked for: the judgement of intent of one action, and what is read out of the request, for people (R3, R4).

* The judgement is the recorded one. The request is read anew, from the words that the session had when the action was
  judged: it is an aid to the reader, and decides nothing.
* All of it is of the action's own session. Texts are as others wrote them: whoever shows them makes them inert.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from navicert.intent.request import read
from navicert.intent.values import Judgement
from navicert.intent.wording import noun
from navicert.model.action import Effect
from navicert.model.evaluation import EvaluationInput

MOST: Final = 12
"""So many phrases of a request are told of; the others are counted."""
SPACE: Final = "intent_"
EFFECTS: Final[dict[str, str]] = {
    Effect.READ: "read",
    Effect.WRITE: "write or change",
    Effect.DELETE: "delete",
    Effect.SEND: "send",
    Effect.PAY: "pay",
    Effect.GRANT: "give access",
    Effect.EXECUTE: "run",
    Effect.CREDENTIALS: "change credentials",
}
ANSWERS: Final = {
    "reads": "it changes nothing",
    "asked": "yes",
    "delegated": "yes, by a source that may say what to do",
    "own": "not by itself, and it reaches nobody",
    "unseen": "yes, but its target stands nowhere",
    "unsure": "yes, but perhaps not so",
    "unasked": "no",
    "unstated": "nobody knows",
    "refused": "no, it was ruled out",
    "injected": "no, somebody else's text orders it",
}
"""The question "asked for?" answered, by finding."""
_STOOD: Final = {
    "user": "in the user's own words",
    "issued": "as an identifier in {}",
    "field": "in a field of {}",
    "text": "in the text of {}",
    "directive": "in an instruction to the reader of {}",
    "imitation": "in text of {} that speaks to the agent in the user's place",
    "agent": "in what another agent said",
    "memory": "in what the agent itself may have noted",
    "unseen": "nowhere that the session has read",
}
_WRITTEN: Final = {
    "own": "kept by your own systems",
    "known": "written by people who are known",
    "public": "anybody can have written it",
}


def said_of(given: EvaluationInput) -> dict[str, str]:
    """Return what was said of the action's intent, by the names of `intent.values.Judgement`; empty if nothing was."""
    values = given.signals.values
    names = Judgement.__struct_fields__ if f"{SPACE}finding" in values else ()
    return {name: str(values.get(f"{SPACE}{name}", "")) for name in names}


def unjudged(given: EvaluationInput) -> str:
    """Return why nothing was said of the action's intent; empty where something was."""
    known = f"{SPACE}finding" in given.signals.values
    return "" if known else given.signals.unknown.get(f"{SPACE}finding", "nothing measured it")


def reading_of(given: EvaluationInput) -> dict[str, Any]:
    """Return what the user's words ask for, as JSON has it: grants, delegations, what they rule out."""
    asked = read(given.context.request, given.context.said)
    return {
        "grants": [
            {
                "effect": item.effect.value,
                "words": item.words,
                "targets": list(item.targets),
                "many": item.many,
                "conditional": item.conditional,
            }
            for item in asked.grants
        ],
        "delegations": [
            {"words": item.words, "effects": [effect.value for effect in item.effects]} for item in asked.delegations
        ],
        "refused": [item.value for item in asked.refused],
    }


def phrase_of(said: dict[str, str], read_out: dict[str, Any]) -> str:
    """Return the words of the request that decided, empty where none did."""
    passage = said.get("passage", "")
    known = (item["words"] for kind in ("grants", "delegations") for item in read_out[kind])
    return passage if passage and passage in known else ""


def stood(said: dict[str, str]) -> str:
    """Say where a target stood, and who can have written that: `in the text of a web page: anybody …`."""
    thing = noun(said.get("source", ""))
    of = f"an {thing}" if thing == "event" else f"a {thing}" if thing else "what was read"
    place = _STOOD.get(said.get("origin", ""), "").format(of)
    written = _WRITTEN.get(said.get("trust", ""), "")
    return f"{place}: {written}" if place and written else place


class Row(NamedTuple):
    """One thing that is read out of a request. head: what it opens, in our words. words: the user's.

    targets: those that do not stand in these words as they are.
    """

    head: str
    words: str = ""
    targets: tuple[str, ...] = ()


def rows(read_out: dict[str, Any], phrase: str = "") -> list[Row]:
    """Return what is read out of a request, one row for each phrase; at most `MOST`, and a row that counts the rest.

    phrase: the one that grants the action's effect; it stands first, and says so.
    """
    phrases: dict[Row, list[str]] = {}
    for item in read_out["grants"]:  # one phrase may ask for several things
        how = ("more than once" if item["many"] else "once") + ", under a condition" * item["conditional"]
        words = " ".join(item["words"].lower().split())
        targets = tuple(target for target in item["targets"] if target not in words)
        phrases.setdefault(Row(how, item["words"], targets), []).append(EFFECTS[item["effect"]])
    found = [key._replace(head=f"{' or '.join(does)}, {key.head}") for key, does in phrases.items()]
    for item in read_out["delegations"]:
        does = " or ".join(EFFECTS[name] for name in item["effects"])
        found.append(Row(f"do what a source says{f': {does}' if does else ''}", item["words"]))
    if read_out["refused"]:
        found.append(Row(f"never: {', '.join(EFFECTS[name] for name in read_out['refused'])}"))
    chosen = [row._replace(head=f"{row.head}; grants this effect") for row in found if phrase == row.words != ""]
    found = chosen + [row for row in found if not phrase or row.words != phrase]
    rest = len(found) - MOST
    return [*found[:MOST], Row(f"and {rest} more")] if rest > 0 else found
