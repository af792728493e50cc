"""What the user's words ask for: effects, on which targets, how often; what they delegate, and what they rule out (R3).

A small grammar, read from left to right, once. A verb grants only where an order can stand: at the start of a sentence,
behind an opening ("please", "could you", "make sure to"), or coordinated with a verb that grants ("… and send it"). A
verb anywhere else - behind a noun, in a relative clause, in the past - grants nothing, and so does what is quoted or
pasted. Behind "do not", "without", "instead of" a verb refuses.

`tokens` cuts the text, `orders` finds the verbs in their place, `clauses` gathers what belongs to each, `implied` says
what it may take, `delegating` finds the sources that may speak; `verbs` and `phrases` hold the words.

* The same words give the same answer. Any text is read without an error, in time linear in its length, and at most
  `tokens.LIMIT` characters of it.
* What is not understood grants nothing: then the action is judged as one that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from navicert.core.text import normal_form
from navicert.intent.clauses import Clause, clauses, content, names, phrase
from navicert.intent.delegating import Named, delegations, pointer
from navicert.intent.orders import Span
from navicert.intent.tokens import LIMIT, literals, own_words, tokens
from navicert.intent.values import Asked, Delegation, Grant
from navicert.model.action import Effect

__all__ = ["LIMIT", "literals", "read"]

_SENTENCE: Final = 200
"""Words after which a sentence without an end is cut."""
_LIMITS: Final = frozenset({"more", "over", "than", "until", "before", "twice", "again", "longer", "unless"})
"""Words that make of a refusal a limit: "do not pay more than 100"."""
_GRAVE_FIRST: Final = (
    Effect.PAY, Effect.GRANT, Effect.DELETE, Effect.CREDENTIALS, Effect.EXECUTE, Effect.SEND, Effect.WRITE,
)  # fmt: skip


def read(request: str, said: Sequence[str] = ()) -> Asked:
    """Return what a request asks for, and what the user's later words add to it, or take back.

    A later refusal ends the grants of its effect that came before; a later order ends a refusal that came before.
    """
    return _read(request, tuple(said))


@lru_cache(maxsize=128)
def _read(request: str, said: tuple[str, ...]) -> Asked:
    found = Asked()
    for text in (request, *said):
        found = _with(found, _one(own_words(text)))
    return found


def _with(before: Asked, later: Asked) -> Asked:
    asked = {grant.effect for grant in later.grants}
    refused = (effect for effect in before.refused if effect not in asked)
    kept = (grant for grant in before.grants if grant.effect not in later.refused)
    return Asked(
        grants=(*kept, *later.grants),
        delegations=(*before.delegations, *later.delegations),
        literals=before.literals | later.literals,
        names=before.names | later.names,
        words=before.words | later.words,
        refused=tuple(dict.fromkeys((*refused, *later.refused))),
        text=f"{before.text}\n{later.text}" if before.text else later.text,
    )


def _one(text: str) -> Asked:
    sentences = _sentences(tokens(text))
    found: list[Clause] = []
    led: list[Delegation] = []
    pointers: list[tuple[str, Named]] = []
    known: list[str] = []
    before: Span = ()
    for sentence in sentences:
        new = clauses(sentence, found[-1] if found else None)
        led.extend(delegations(new, before))
        place = pointer(sentence, new)
        if place is not None:
            pointers.append(place)
        known.extend(name for _, name in names(sentence))
        found.extend(new)
        before = sentence
    grants, refused = _settled(found)
    changing = tuple(dict.fromkeys(grant.effect for grant in grants if grant.effect is not Effect.READ))
    if changing:
        led.extend(Delegation(words=words, kinds=at[0], names=at[1], effects=changing) for words, at in pointers)
    return Asked(
        grants=grants,
        delegations=tuple(dict.fromkeys(led)),
        literals=frozenset(literals(text)),
        names=frozenset(part for name in known for part in (name, *name.split())),
        words=frozenset(word for sentence in sentences for word in content(sentence)),
        refused=refused,
        text=" ".join(normal_form(text).split()),
    )


def _sentences(found: Span) -> list[Span]:
    sentences: list[Span] = []
    start = 0
    for place, token in enumerate(found):
        if token.kind == "." or place - start >= _SENTENCE:
            if place > start:
                sentences.append(found[start : place + 1])
            start = place + 1
    if start < len(found):
        sentences.append(found[start:])
    return sentences


def _settled(found: list[Clause]) -> tuple[tuple[Grant, ...], tuple[Effect, ...]]:
    """Return grants and refusals. What is refused as a whole is not granted; a refusal in part ends no grant."""
    asked = {effect for clause in found if not clause.refuses for effect in clause.effects}
    refused: dict[Effect, None] = {}
    for clause in found:
        if not clause.refuses or any(token.low in _LIMITS for token in clause.span):
            continue
        effect = next((each for each in _GRAVE_FIRST if each in clause.effects), None)
        if effect is not None and (clause.loose or effect not in asked):
            refused[effect] = None
    grants = (
        Grant(
            effect=effect,
            words=phrase(clause.whole),
            objects=clause.objects,
            targets=clause.targets,
            many=clause.many,
            conditional=clause.conditional,
        )
        for clause in found
        if not clause.refuses
        for effect in clause.effects
        if effect not in refused
    )
    return tuple(dict.fromkeys(grants)), tuple(refused)
