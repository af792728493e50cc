"""The sentences in which a judgement is told to people.

* Whatever others wrote stands in “…”, in one line, bounded, and can hold no such quote: it cannot pose as our words.
  The name of a tool stands in backticks, and can hold none. Of what is long, head and tail are told.
* Nothing here is inert: whoever prints it makes it so.
"""

from __future__ import annotations

import re
from typing import Final

from navicert.core.fields import role_values
from navicert.intent.matching import plain, shape, tool_words
from navicert.intent.origins import Case, Origin, Weight, cut, origin_of
from navicert.intent.values import Finding, Form, Grant, Judgement, Passage, Source
from navicert.intent.verbs import lemma
from navicert.model.action import Effect, ToolProfile

_NOUNS: Final = {
    lemma(word): noun
    for noun, names in {
        "mail": "mail email inbox mailbox",
        "message": "message chat dm channel conversation thread",
        "event": "event calendar meeting appointment",
        "ticket": "ticket issue",
        "comment": "comment review",
        "file": "file document doc pdf sheet spreadsheet drive folder",
        "web page": "page webpage web website site url browse browser fetch article http",
        "record": "record order customer user account contact transaction payment booking reservation crm db database",
    }.items()
    for word in names.split()
}
"""What a tool gives back, by the words of its name; the first of this order is taken."""
_ORDER: Final = tuple(dict.fromkeys(_NOUNS.values()))
_WHO: Final = {Effect.SEND: "recipient", Effect.PAY: "payee", Effect.GRANT: "person"}
_QUOTES: Final = re.compile(r"[“”„‟`]")
_HEAD, _TAIL = 50, 28
_DOES: Final = {
    Effect.READ: "read",
    Effect.WRITE: "write or change anything",
    Effect.DELETE: "delete anything",
    Effect.SEND: "send anything",
    Effect.PAY: "pay anything",
    Effect.GRANT: "give anybody access",
    Effect.EXECUTE: "run anything",
    Effect.CREDENTIALS: "change credentials",
}


def injected(case: Case, target: str, source: Source, passage: Passage) -> Judgement:
    """Return that the origin of an action proves an attack. target: what shows it, if anything."""
    kind = {
        Form.IMITATION: "a text that speaks to the agent in your place, inside",
        Form.DIRECTIVE: "an instruction inside",
    }.get(passage.form, "text inside")
    only = target and origin_of(case, target).weight <= Weight.LOOSE
    subject = (
        f"{called(case, target)} {'appears only in' if only else 'is named by'}" if target else "this is ordered by"
    )
    return Judgement(
        finding=Finding.INJECTED,
        why=f"{subject} {kind} {whence(source)}; {_instead(case)}",
        target=target,
        origin=passage.form.value,
        trust=source.trust.value,
        passage=passage.text[:400],
        source=source.tool,
    )


def _instead(case: Case) -> str:
    """Say what the user asked for, where that is something else."""
    grants, effect = case.asked.grants, case.profile.effect
    if not grants:
        return "you did not ask for it" if case.asked.text else "the session has no request"
    same = next((item for item in grants if item.effect is effect), None)
    return asked_to(same) if same is not None else f"{asked_to(grants[0])}, not to {doing(case.profile)}"


def judgement(
    finding: Finding, why: str, origin: Origin | None, grant: Grant | None = None, asked: str = "no"
) -> Judgement:
    """Return a judgement with its grounds."""
    sighting = origin.sighting if origin is not None else None
    if origin is None:
        came = "none"
    elif origin.weight is Weight.USER:
        came = "user"
    elif sighting is None:
        came = "unseen"
    else:
        came = sighting.source.kind if sighting.source.kind != "tool" else sighting.passage.form.value
    return Judgement(
        finding=finding,
        why=why,
        asked=asked,
        target=origin.target if origin is not None else "",
        origin=came,
        trust=sighting.source.trust.value if sighting is not None else "",
        passage=grant.words if grant is not None else (sighting.passage.text[:400] if sighting is not None else ""),
        source=sighting.source.tool if sighting is not None else "",
    )


def asked_to(grant: Grant) -> str:
    """Say what the user asked for, in their words."""
    words = short(grant.words)
    plainly = words[:1].lower() + words[1:] if words[1:2].islower() else words
    return f"you asked to “{plainly}”"


def place(case: Case, origin: Origin) -> str:
    """Say where a target comes from."""
    target = called(case, origin.target)
    match origin.weight:
        case Weight.USER:
            return f"{target} is in your own words"
        case Weight.UNSEEN:
            return f"{target} stands nowhere that was read"
        case _ if origin.sighting is None:
            return f"{target} is of a site that you named"
        case _:
            kind = {Form.ISSUED: "an identifier", Form.FIELD: "a field"}.get(origin.sighting.passage.form, "the text")
            return f"{target} comes from {kind} of {whence(origin.sighting.source)}"


def called(case: Case, target: str) -> str:
    """Return a target with the part that it plays: `the recipient “bob@corp.example”`."""
    profile, parameters, kind = case.profile, dict(case.parameters), shape(target)
    role = {"mail": "address", "site": "address", "account": "account"}.get(kind, "value")

    def stands_in(part: str) -> bool:
        return any(plain(cut(item)) == target for item in role_values(profile, part, parameters))

    if stands_in("destination"):
        role = "account" if kind == "account" else _WHO.get(profile.effect, role)
    elif stands_in("resource") and kind != "account":
        thing = noun(profile.tool)
        role = "file" if "/" in target or thing == "file" else "page" if thing == "web page" else thing or "item"
    elif stands_in("content"):
        role = "text"
    return f"the {role} “{short(target)}”"


def whence(source: Source) -> str:
    """Say what gave a passage: `the web page “www.example.org”`, `the mail that `mail.search` gave back for “bill”`."""
    thing, tool = noun(source.tool), f"`{short(source.tool)}`"
    page = next((item for item in source.about if shape(plain(item)) == "site"), None) if thing != "mail" else None
    about = next((item for item in source.about if item), "")
    if source.kind == "memory":
        return f"what the agent itself may have noted, in {tool}"
    if page is not None and thing in {"web page", ""}:
        found = f"the web page “{short(page)}”"
    else:
        found = f"{f'the {thing} that' if thing else 'what'} {tool} gave back" + (
            f" for “{short(about)}”" if about else ""
        )
    return f"what another agent has of {found}" if source.kind == "agent" else found


def noun(tool: str) -> str:
    """Return what a tool deals with, as a noun; empty where its name does not tell."""
    found = {_NOUNS[word] for word in tool_words(tool.replace(".", " ")) if word in _NOUNS}
    return next((each for each in _ORDER if each in found), "")


def doing(profile: ToolProfile) -> str:
    """Say what a tool does, for `you did not ask to …`."""
    return _DOES[profile.effect]


def short(text: str) -> str:
    """Return a text for between “…”: one line, bounded, head and tail; it can hold no such quote, and no backtick."""
    flat = _QUOTES.sub("'", " ".join(text.split()))
    return flat if len(flat) <= _HEAD + _TAIL + 3 else f"{flat[:_HEAD]} … {flat[-_TAIL:]}"
