"""Values of intent: what was asked, what was read, and what is said of one action (R3; DESIGN.md section 5).

* A request grants effects, on targets, so often; what is quoted, pasted or negated grants nothing.
* What a result holds is cut into passages; the form of a passage says how much weight a value in it has.
* A `Judgement` is recorded as signals, and rules ask about it; no score loosens anything (property 6).
"""

from __future__ import annotations

from enum import StrEnum

from navicert.model.action import Effect
from navicert.model.value import Value


class Trust(StrEnum):
    """Who can have written what a source holds. From most to least; policy sets it for each tool."""

    OWN = "own"
    """The deployment's own records: its database, its directory, its clock."""
    KNOWN = "known"
    """People who are known: colleagues, customers, partners. What they write is theirs."""
    PUBLIC = "public"
    """Anybody: web pages, mail from outside, reviews, comments."""


class Form(StrEnum):
    """How a passage stands in a result. From most to least weight."""

    ISSUED = "issued"
    """An identifier that a system gave out: the value of a field such as `id`, `order_id`, `sha`."""
    FIELD = "field"
    """The short value of a typed field: JSON, a table's cell, `key: value`, a mail header."""
    TEXT = "text"
    """Free text: a sentence that states something."""
    DIRECTIVE = "directive"
    """A sentence in free text that tells the reader to do something."""
    IMITATION = "imitation"
    """Text that speaks to the model, or poses as its user or its system: tags, "before you go on", "to you, the AI"."""


class Passage(Value, frozen=True, kw_only=True):
    """A piece of a result. path: where it stands (`emails.0.sender`); empty for bare text.

    record: passages of one record (one object, one table row, one mail) share the number; 0 for none.
    effects: of a directive, what it tells the reader to do.
    """

    form: Form
    text: str
    path: str = ""
    record: int = 0
    effects: tuple[Effect, ...] = ()


class Source(Value, frozen=True, kw_only=True):
    """Where passages come from: one result. about: what was read (an address, a path, a query), as the action had it.

    kind: `tool`, `agent` (another agent said it), `memory` (read back from where the agent can write).
    """

    action_id: str
    tool: str
    about: tuple[str, ...] = ()
    trust: Trust = Trust.PUBLIC
    kind: str = "tool"


class Sighting(Value, frozen=True, kw_only=True):
    """One place where a value was seen. exact: the whole value stood there; else it was put together of parts."""

    source: Source
    passage: Passage
    exact: bool = True


class Grant(Value, frozen=True, kw_only=True):
    """An effect that the user asked for. words: the phrase that says so. objects: its nouns, as lemmas (`mail`).

    targets: the literals and names of that phrase: addresses, accounts, paths, names, quoted titles, in normal form.
    many: the phrase asks for it more than once (`each`, `all`, a plural). conditional: `if …`.
    """

    effect: Effect
    words: str
    objects: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    many: bool = False
    conditional: bool = False


class Delegation(Value, frozen=True, kw_only=True):
    """The user lets a source say what to do ("do what the mail from Anna says"). words: the phrase.

    kinds: what the source is, as lemmas (`mail`, `file`, `page`, `bill`). names: the literals and names by which it is
    known, in normal form. effects: what it may order; empty: what `asked` leaves open, but never what is grave
    (`GRAVE` in `matching`), unless the user's words name it.
    """

    words: str
    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()


class Asked(Value, frozen=True, kw_only=True):
    """All that the user asked for, in the request and later words.

    literals: every address, account, path, number, date and quoted text in the user's own words, in normal form. names:
    capitalised names and handles, lower-cased. words: every content word as a lemma. refused: effects that they ruled
    out ("do not send anything"). text: the user's words as a whole, in normal form.
    """

    grants: tuple[Grant, ...] = ()
    delegations: tuple[Delegation, ...] = ()
    literals: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    refused: tuple[Effect, ...] = ()
    text: str = ""


class Finding(StrEnum):
    """What is said of one action. From best to worst."""

    READS = "reads"
    """It changes nothing, and carries nothing away that matters."""
    ASKED = "asked"
    """The user asked for this effect, and every target is theirs, or comes from where it may come from."""
    DELEGATED = "delegated"
    """A source orders it that the user told the agent to follow, within what may be ordered."""
    OWN = "own"
    """Not asked for by itself, but it only adds something new among the user's own things, and reaches nobody."""
    UNSEEN = "unseen"
    """Asked for, but a target stands nowhere that the session has seen."""
    UNASKED = "unasked"
    """Nobody asked for this effect, and nothing proves an attack."""
    UNSURE = "unsure"
    """Asked for, but the target comes from where it should not come from by itself."""
    UNSTATED = "unstated"
    """The session has no request: nobody knows what was asked, and nothing proves an attack."""
    REFUSED = "refused"
    """The user ruled this effect out."""
    INJECTED = "injected"
    """Its origin proves an attack: what it does, and where to, is known from text that nobody was told to follow."""


class Judgement(Value, frozen=True, kw_only=True):
    """What is said of one action. why: one sentence for people. target: the value that decided; origin, trust: of it.

    passage: the words of the request, or of the result, that decided it. source: the tool that gave them.
    """

    finding: Finding
    why: str
    asked: str = "no"
    """`yes`, `delegated` or `no`."""
    target: str = ""
    origin: str = "none"
    """`user`, `issued`, `field`, `text`, `directive`, `imitation`, `agent`, `memory`, `unseen`; `none` without one."""
    trust: str = ""
    passage: str = ""
    source: str = ""
