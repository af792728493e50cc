"""What a tool does that nobody has declared: its effect and its parameters by role, from what it says of itself (R3).

The model, whole:

1. The *verb in the name* says what it does (`verbs.py`): `create_issue`, `issueCreate`, `mcp__hub__create-issue`. Words
   that are nouns as often (`order`, `email`) count only where no plain verb stands: `order_search` reads. What the verb
   acts on may change it: `place_order` pays, `add_collaborator` grants, `reset_password` changes credentials.
2. The *leading verb of the description* counts too, and those joined to it ("creates or updates", "gets it and sends
   it to"). Other words in it do not. Where name and description disagree, the more dangerous counts; but a tool that
   reads by its name is made another only by what is worse than a write ("generates a list" is reading).
3. *Parameters* that give it away: a command makes it execute, and so does SQL that nothing says is read-only; an
   address with a body for it sends; a way to pay pays; a password changes credentials; somebody's permission grants.
4. *Whom it reaches*: a write that must name people, and says that it tells them, is a send (`add_participants`); so is
   one that must name a recipient or a channel for its text. A write that *may* name people (`create_event` with guests)
   stays a write with these as destinations: alone it reaches nobody, and filled in it has a destination, as a send has.
   So a rule on what leaves asks where something goes, not for the effect alone.
5. *What the agent itself can have written*: a tool that reads and speaks of a memory (`memory.search_nodes`), or
   recalls, is one of memory.
6. *Otherwise it is unknown*: execute, with every text a destination, and `sure` is false. So is a tool whose schema is
   too large or too deep to be read whole: a destination could hide there.

Danger, for "more dangerous": read < write < send, delete < pay, grant, execute, credentials. A server's own annotations
(`destructiveHint`, `readOnlyHint`) are believed only against it: nothing in them makes a tool harmless.
All of it is the tool's own word: a proposal for an operator, or the floor for an undeclared tool, never a permission.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from msgspec.structs import replace

from navicert.intent.matching import trust_of
from navicert.intent.roles import Parameter, address, assign, free_text, parameters, people, reached, words_of
from navicert.intent.verbs import NAMED, PHRASES, effects_of, is_light, lemma, words
from navicert.model.action import Effect, ToolProfile
from navicert.model.value import Value

DANGER: Final = {
    Effect.READ: 0, Effect.WRITE: 1, Effect.SEND: 2, Effect.DELETE: 2,
    Effect.PAY: 3, Effect.GRANT: 3, Effect.EXECUTE: 3, Effect.CREDENTIALS: 3,
}  # fmt: skip
"""How dangerous an effect is, for comparing readings of one tool."""
_NOUNS: Final = words(
    "order report comment message mail email post tweet review issue release schedule test script label tag log record"
    " book plan charge tip trade contact call text answer file branch commit fork transfer purchase refund list count"
    " export import request trigger filter link draft note status diff sample head tail scale pin rate vote change"
    " snapshot screenshot hash stock copy block exchange estimate pull top display document type store invite reply"
    " alert forward backup deposit watch query view check index stat shell bash track trace profile measure rank match"
    " bid stake swap exec place stash photo sms story echo build select switch play return"
)
"""Verbs that are nouns as often in the names of tools."""
_STATES: Final = words("status list history info detail log count tree summary overview report")
"""Last words of names that speak of something read: `order_status`."""
_BEFORE: Final = words("to for in from on by with of at via into as using through about against")
_JOINS: Final = words("and or then & , /")
_POINTS: Final = words("a an the it them this that these those its their your his her one any all each every")
_ARTICLES: Final = _POINTS | words("new multiple several some given specified single specific")
_LEADING: Final = words(
    "this tool function endpoint api that which to for will can lets you helps used is be a an the ability way user"
    " agent model also it please allow allows enables use using call command method operation bulk batch new useful"
    " when must should"
)
"""What a description may begin with, before its verb."""
_ALONE: Final = {"write": Effect.WRITE, "capture": Effect.READ, "call": Effect.EXECUTE, "put": Effect.WRITE}
"""What verbs of several meanings are in the name of a tool, where what they act on does not say it."""
_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z']*|[,&/]")
_SENTENCE: Final = re.compile(r"(?<=[.!?;:])\s|\n")
_READ_ONLY: Final = re.compile(r"(?i:read[-_ ]?only)|\bSELECT\b")
_WRITES: Final = re.compile(r"\b(?:INSERT|UPDATE|DELETE|DROP|ALTER|CREATE|TRUNCATE)\b|(?i:\bany sql\b)")
_TELLS: Final = re.compile(
    r"\bsends?\b|\bsent\b|\bnotif(?:y|ies|ied|ying|ications?)\b|\binvit(?:e|es|ed|ing|ations?)\b"
    r"|\be-?mails? (?:the|them|all|to|is|are|will)\b|\b(?:is|are|be) (?:e-?mailed|informed|told|alerted|messaged)\b",
    re.IGNORECASE,
)
_QUERIES: Final = words("query select search")
_COMMANDS: Final = words("command cmd shell bash javascript powershell commandline")
_CARRIED: Final = words("body payload data json form method")
_PROOFS: Final = words("otp code pin token")
_PAYING: Final = words("payment card iban")
_RIGHTS: Final = words("permission privilege access acl role")
_RECALLS: Final = words("recall recollect")
_SECRETS: Final = words("password passwd passphrase passcode")
_SAID: Final = 600
"""How much of a description is looked at, in characters."""


class Inferred(Value, frozen=True, kw_only=True):
    """What a tool seems to do. why: a short line for each conclusion, for people. sure: false where it was guessed."""

    profile: ToolProfile
    why: tuple[str, ...]
    sure: bool


class _Read(NamedTuple):
    """One reading of a verb. plain: the verb is nothing but a verb. first: it is the first word."""

    effects: tuple[Effect, ...]
    verb: str
    objects: tuple[str, ...]
    plain: bool
    first: bool = True


def infer(tool: str, description: object = "", schema: object = None, annotations: object = None) -> Inferred:
    """Return what a tool seems to do, the same for the same input. What is not of the right type says nothing.

    tool: its full name, which the profile has too. description: text. schema: the JSON Schema of its parameters, a
    mapping. annotations: the server's own hints, a mapping; they can only make it more dangerous.
    """
    description = description if isinstance(description, str) else ""
    hints = annotations if isinstance(annotations, Mapping) else {}
    server, own = _split(tool)
    params, whole = parameters(schema)
    named = _by_name(own, server)
    told = [item for item in _by_description(description[:_SAID]) if item.verb != "return" or "return" not in own]
    effect, why, sure = _effect(own, named, told)
    verb = next((item.verb for item in named or told), "")
    objects = frozenset([*map(lemma, own), *(each for item in (named or told)[:1] for each in item.objects)])
    if not sure or not whole:
        every = tuple(item.path for item in params if item.textual)
        lack = "not all of its parameters can be read" if sure else "nothing says what it does"
        why = (f"{lack}: execute, with every text a destination",)
        return Inferred(
            profile=_trusted(ToolProfile(tool=tool, effect=Effect.EXECUTE, destination=every)), why=why, sure=False
        )
    for found, reason in _given_away(effect, params, f"{' '.join(own)} {description}", verb, objects):
        if DANGER[found] > DANGER[effect]:
            effect, why = found, (*why, f"{reason}: {found}")
    if effect is Effect.READ and hints.get("destructiveHint") is True and hints.get("readOnlyHint") is not True:
        effect, why = Effect.DELETE, (*why, "the server calls it destructive: delete")
    roles = assign(params, effect, verb, objects)
    why = (*why, *(f"{role}: {', '.join(paths)}" for role, paths in roles._asdict().items() if paths))
    memory = effect is Effect.READ and (verb in _RECALLS or "memory" in map(lemma, (*server, *own)))
    if memory:
        why = (*why, "it gives back what the agent had remembered: memory")
    profile = _trusted(ToolProfile(tool=tool, effect=effect, memory=memory, **roles._asdict()))
    return Inferred(profile=profile, why=why, sure=True)


def _trusted(profile: ToolProfile) -> ToolProfile:
    return replace(profile, trust=trust_of(profile).value)


def _split(tool: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words of the server and those of the tool itself."""
    parts = [part for part in re.split(r"__|[./:]", tool) if part.strip("_- ")]
    split = [words_of(part) for part in parts]
    return tuple(word for part in split[:-1] for word in part if word != "mcp"), split[-1] if split else ()


def _by_name(named: tuple[str, ...], server: tuple[str, ...]) -> list[_Read]:
    """Return the readings that count, the leading one first; none where the name holds no verb."""
    own = tuple(map(lemma, named))
    found: list[tuple[int, _Read]] = []
    at = 0
    while at < len(own):
        pair = own[at : at + 2]
        two = len(pair) > 1 and (pair[0], pair[-1]) in PHRASES
        verb = "-".join(pair) if two else own[at]
        plain = two or verb not in _NOUNS
        base = named[at] == own[at] or (plain and _third(named[at]))  # `allowed`, `messages` are no verbs
        if two or (base and (verb in NAMED or is_light(verb))):
            objects = _objects(own[at + 1 + two :])
            before = () if at and own[at - 1] in _JOINS else _pairs((*server, *own[:at]))
            whom = _pairs(word for word in own[at + 1 + two :] if word not in _BEFORE)  # `transfer_to_human_agent`
            effects = _alone(verb, objects or whom or before)
            if effects:
                found.append((at, _Read(effects, verb, objects, plain, first=not at)))
        at += 1 + two
    if not found:
        return []
    lead = next((n for n, (_, item) in enumerate(found) if item.plain), 0)
    place, first = found[lead]
    chosen = [first]
    marked = bool(place) and own[place - 1] in _BEFORE  # `mark_as_read`
    if first.effects != (Effect.READ,) or marked:  # `comment_update` does both; `comment_get` reads
        chosen += [item for _, item in found[:lead] if not is_light(item.verb)]
    for at, item in found[lead + 1 :]:
        straight = at == place + 1 and item.plain and first.plain and named[at] == own[at]  # `find_replace`
        if own[at - 1] in _JOINS or straight:
            chosen.append(item)
    return chosen


def _alone(verb: str, objects: Iterable[str]) -> tuple[Effect, ...]:
    effects = effects_of(verb, objects)
    return (_ALONE[verb],) if verb in _ALONE and effects == NAMED.get(verb) else effects


def _objects(words: Iterable[str]) -> tuple[str, ...]:
    """Return what a verb acts on: the words up to the first that says whom or where, and pairs of them."""
    found: list[str] = []
    for word in words:
        if word in _BEFORE or word in _JOINS:
            break
        found.append(word)
    return _pairs(found)


def _pairs(words: Iterable[str]) -> tuple[str, ...]:
    given = tuple(words)
    return *given, *(f"{one}_{two}" for one, two in pairwise(given))


def _by_description(text: str) -> list[_Read]:
    """Return the leading verb of a description and those joined to it; none where it does not begin with a verb."""
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split(" | ", 1)[-1].strip()
    first = _SENTENCE.split(text, maxsplit=1)[0]
    tokens = [token.lower() for token in _TOKEN.findall(first)]
    at = 0
    while at < len(tokens) and (tokens[at] in _LEADING or tokens[at].endswith("ly")):
        at += 1
    lead = _verb_at(tokens, at, lead=True)
    if lead is None:
        return []
    found, last = [lead], at
    for place in range(at + 1, len(tokens)):
        word = tokens[place]
        between = [token for token in tokens[last + 1 : place] if token not in _ARTICLES and not token.endswith("ly")]
        chained = all(token in _JOINS for token in between)  # "creates or updates", "executes an insert or update"
        if lemma(word) not in NAMED or not (between or is_light(lead.verb)) or _third(word) is not _third(tokens[at]):
            continue
        joined = tokens[place - 1] in _JOINS or (tokens[place - 1].endswith("ly") and tokens[place - 2] in _JOINS)
        points = any(token in _POINTS for token in tokens[place + 1 : place + 2])  # "and sends it"
        if (chained and lemma(word) not in _NOUNS) or (joined and points):
            item = _verb_at(tokens, place, lead=False)
            if item is not None:
                found.append(item)
                last = place
    return found


def _verb_at(tokens: list[str], at: int, *, lead: bool) -> _Read | None:
    if at >= len(tokens):
        return None
    word, rest = tokens[at], tokens[at + 1 : at + 9]
    verb = lemma(word)
    if rest and (verb, rest[0]) in PHRASES:
        verb, rest = f"{verb}-{rest[0]}", rest[1:]
    objects = _objects(lemma(each) for each in rest if each not in _POINTS)
    if verb == "return" and lead:
        return _Read((Effect.READ,), verb, objects, plain=True)
    bare = lead and verb in _NOUNS and word == verb and not (rest and rest[0] in _ARTICLES)
    if bare and effects_of(verb) != (Effect.READ,):
        return None  # "order details" orders nothing
    effects = _alone(verb, objects)
    return _Read(effects, verb, objects, verb not in _NOUNS) if effects else None


def _third(word: str) -> bool:
    """Whether a verb stands as in `it sends`."""
    return word.endswith("s") and lemma(word) != word


def _effect(own: tuple[str, ...], named: list[_Read], told: list[_Read]) -> tuple[Effect, tuple[str, ...], bool]:
    """Return the effect by name and description, why, and whether either says it."""
    if named and not any(item.plain for item in named):
        noun = not named[0].first or lemma(own[-1]) in _STATES  # `console_messages`, `order_status`
        unread = not named[0].first and all(item.effects == (Effect.READ,) for item in named)
        if noun and (told or unread):
            named = []  # a noun says nothing: the description does, or nobody
    if not named:
        if not told:
            return Effect.EXECUTE, (), False
        return *_worst(told, "leads its description"), True
    effect, why = _worst(named, "in its name")
    reads = effect is Effect.READ
    said = [
        item
        for item in told
        if not (reads and item.effects == (Effect.EXECUTE,) and any(_looks(each) for each in item.objects))
    ]
    if said:
        worse, reason = _worst(said, "leads its description")
        if DANGER[worse] > max(DANGER[effect], DANGER[Effect.WRITE] if reads else 0):
            return worse, (*why, *reason), True
    return effect, why, True


def _worst(readings: Iterable[_Read], where: str) -> tuple[Effect, tuple[str, ...]]:
    pairs = [(effect, item.verb) for item in readings for effect in item.effects]
    effect, verb = max(pairs, key=lambda pair: DANGER[pair[0]])
    return effect, (f"`{verb}` {where}: {effect}",)


def _looks(word: str) -> bool:
    return word in _QUERIES or NAMED.get(word) == (Effect.READ,)


def _given_away(
    effect: Effect, params: tuple[Parameter, ...], said: str, verb: str, objects: frozenset[str]
) -> Iterable[tuple[Effect, str]]:
    """Give what the parameters say of the effect, each with the reason."""
    selects = bool(_READ_ONLY.search(said)) and not _WRITES.search(said)
    carried = [item.path for item in params if not _CARRIED.isdisjoint(item.words)]
    for item in params:
        named = f"the parameter `{item.path}`"
        if item.core in _COMMANDS and not item.enum and item.textual:
            yield Effect.EXECUTE, named
        if "sql" in item.words and item.textual and not selects:
            yield Effect.EXECUTE, f"{named}, and nothing says that it only reads"
        if address(item) and any(path != item.path for path in carried):
            yield Effect.SEND, f"{named}, and a body or a method for it"
        if verb in {"verify", "validate", "confirm"} and item.core in _PROOFS:
            yield Effect.CREDENTIALS, named
        if effect is not Effect.READ and verb not in {"draft", "cancel"}:
            yield from _changed(item, effect, params, said, objects)


def _changed(
    item: Parameter, effect: Effect, params: tuple[Parameter, ...], said: str, objects: frozenset[str]
) -> Iterable[tuple[Effect, str]]:
    """Give what a parameter says of the effect of a tool that changes something."""
    named = f"the parameter `{item.path}`"
    if effect is Effect.SEND and item.core == "amount":
        yield Effect.PAY, f"{named} that is sent"
    if effect is not Effect.DELETE and item.core not in {"type", "status", "date"} and _PAYING & set(item.words):
        yield Effect.PAY, named
    if item.core in _SECRETS:
        yield Effect.CREDENTIALS, named
    if item.required and item.core in _RIGHTS and any(map(_somebody, params)):
        yield Effect.GRANT, f"{named} of somebody"
    if effect is Effect.WRITE and item.required and "draft" not in objects:
        if reached(item, objects) and any(map(free_text, params)):
            yield Effect.SEND, f"{named} must be given"
        elif people(item) and _TELLS.search(said):
            yield Effect.SEND, f"{named} must be given, and is told of it"


def _somebody(item: Parameter) -> bool:
    return people(item) or item.core in {"user", "email", "username", "member", "group", "team", "principal"}
