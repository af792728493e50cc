"""The parameters of a tool by role: where something goes, what is touched, how much, and the free text (R3, T3).

* The last word of a parameter's name that means something decides: `channel_id` is a channel, `to_address` an address.
  Where the name says nothing, its format and description do.
* What is only read from has one kind of destination: the address that it is fetched from, since a GET is a send. The
  accounts, channels and people in a reading tool are what is read.
* Where something is sent and no parameter says to whom, what holds it is where it goes: the issue that is commented,
  the repository that is pushed to, the thread that is answered.
* An object's parameters have dotted names. A list of objects has its roles as a whole: rules see all that stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from navicert.intent.verbs import lemma, words
from navicert.model.action import Effect

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD: Final = re.compile(r"[^\W_]+")
_DEPTH: Final = 5
_MOST: Final = 256
_VARIANTS: Final = 16
_LONG: Final = 300
"""How deep, how many parameters, how many variants of one, and how much text of one is looked at."""


_SUFFIXES: Final = words("id uuid guid name number no key slug list array ref reference string one")
"""Last words that say what form a value has, not what it stands for."""
_PEOPLE: Final = words(
    "recipient receiver payee beneficiary participant attendee guest invitee assignee reviewer collaborator cc bcc"
    " mention audience addressee cosigner approver watcher merchant vendor seller supplier"
)
_REACHED: Final = words("recipient receiver addressee cc bcc channel webhook to")
_PLACES: Final = words("url uri link href endpoint webhook host hostname domain ip website proxy callback remote cidr")
_CHANNELS: Final = words("channel chat conversation room subreddit mailbox inbox topic queue exchange")
_ACCOUNTS: Final = words(
    "user username member account email mail handle customer contact team group login person employee phone iban"
    " wallet address mobile telephone whatsapp friend colleague client principal company tenant bic swift payer"
)
_HELD_BY: Final = words(
    "owner repo repository project workspace space board org organization page document parent thread issue ticket post"
    " pull discussion conversation article topic message mail email comment event record tweet review item ts database"
    " product listing hotel restaurant video pr mr"
)
_RESOURCE: Final = _HELD_BY | words(
    "path file filename filepath dir directory folder table collection db branch sha commit tag label block doc sheet"
    " spreadsheet range cell bucket object blob image photo video attachment calendar task card column namespace"
    " pod deployment cluster node resource index source target entity relation observation product order invoice"
    " subscription price refund charge transaction payment card booking reservation hotel restaurant flight ticket cart"
    " job run workflow pipeline build release version package module service container volume network instance"
    " session tab element selector attribute alias schema view report form template playlist track"
    " album book note notebook cell milestone sprint epic cycle state team database dashboard alert incident"
    " monitor rule policy secret variable env key id name number slug cwd root destination library symbol"
    " chart pid revision passenger model dataset experiment course lesson lead deal"
    " opportunity campaign segment item gist ref base head"
    " intent context zone src dst record dns vm disk snapshot backup app application site"
)
_CONTENT: Final = words(
    "content text body message msg data subject title description summary caption note comment query q search prompt"
    " question sql html markdown json payload code script command cmd expression pattern keyword term reason topic"
    " answer reply statement argument arg headline bio review feedback blocks block snippet thought memo changelog"
    " instruction input params param field value observation old new edit replace replacement diff patch xml csv yaml"
    " manifest template javascript function story greeting signature detail info remark purpose filter"
    " property children str jql location insight"
)
_AMOUNT: Final = words(
    "amount price sum total cost fee tip budget payment salary rent donation subtotal bid limit_price"
)
_TO: Final = re.compile(
    r"(?:^|\b(?:send|reply|mail|deliver|ship|pay|share|assign|invite|forward|transfer) )(?:to|with)$"
)
_SPANS: Final = words("since after before start end until date time timezone limit offset per size count")
_WHENCE: Final = words("from sender source_account payer")
_SAID: Final = (
    (
        "resource",
        re.compile(r"\b(?:ids?|identifiers?|uuids?|names?|paths?|numbers?|slugs?|keys?) (?:of|for)\b", re.IGNORECASE),
    ),
    (
        "destination",
        re.compile(
            r"\be-?mail address|\brecipients?\b|\burls?\b|\bibans?\b|\bweb ?hooks?\b|\bhost ?names?\b|\bphone number"
            r"|\bparticipants?\b|\battendees?\b|\binvitees?\b|\baccount number|\bdestination\b",
            re.IGNORECASE,
        ),
    ),
    ("resource", re.compile(r"\b(?:paths?|files?|folders?|director(?:y|ies)|ids?|identifiers?)\b", re.IGNORECASE)),
    ("content", re.compile(r"\b(?:contents?|text|body|messages?|quer(?:y|ies)|descriptions?|notes?)\b", re.IGNORECASE)),
)
_FORMATS: Final = {
    "email",
    "idn-email",
    "uri",
    "uri-reference",
    "iri",
    "url",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
}
_FETCHED: Final = _FORMATS - {"email", "idn-email"}


class Parameter(NamedTuple):
    """A parameter of a tool. path: its dotted name. words: of its name, as lemmas. types, enum: as the schema has them.

    text: title and description. inner: of a list of objects, the parameters of one of them.
    """

    path: str
    words: tuple[str, ...]
    types: frozenset[str]
    format: str
    text: str
    required: bool
    enum: bool
    inner: tuple[Parameter, ...] = ()

    @property
    def core(self) -> str:
        """The word that says what it stands for: `channel` of `channel_id`."""
        for word in reversed(self.words):
            if word not in _SUFFIXES:
                return word
        return self.words[-1] if self.words else ""

    @property
    def textual(self) -> bool:
        """Whether text can stand in it."""
        return not self.types or not self.types.isdisjoint({"string", "array", "object"})


class Roles(NamedTuple):
    """Parameters by role: dotted names."""

    destination: tuple[str, ...]
    resource: tuple[str, ...]
    amount: tuple[str, ...]
    content: tuple[str, ...]


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name, in lower case: `createIssue`, `create_issue`, `create-issue`."""
    return tuple(_WORD.findall(_CAMEL.sub(" ", name).lower()))


def parameters(schema: object) -> tuple[tuple[Parameter, ...], bool]:
    """Return the parameters of a JSON Schema, nested ones too, and whether these are all. No schema has none."""
    if not isinstance(schema, Mapping):
        return (), True
    walk, found = _Walk(schema), list[Parameter]()
    walk.gather(walk.variants(schema, set()), "", _DEPTH, found, required=True)
    return tuple(found), walk.whole


class _Walk:
    """Goes through a schema, a bounded way: a server may have written one that never ends.

    What a schema refers to from inside itself is not entered again: it holds what it holds.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MOST
        self._open: set[str] = set()
        self.whole = True

    def gather(
        self, variants: list[Mapping[str, Any]], prefix: str, depth: int, found: list[Parameter], *, required: bool
    ) -> None:
        """Add the parameters of an object, whose schema has these variants."""
        for variant in variants:
            properties, needed = variant.get("properties"), variant.get("required")
            for name, inner in properties.items() if isinstance(properties, Mapping) else ():
                if not self._left or not depth or not isinstance(name, str) or "." in name:
                    self.whole = False  # what a dotted name means, rules could not tell
                    continue
                self._left -= 1
                must = required and isinstance(needed, list) and name in needed
                self._add(name, inner, prefix, depth, found, required=must)

    def variants(self, schema: Any, entered: set[str]) -> list[Mapping[str, Any]]:
        """Return a schema and all that it may stand for, references followed."""
        found: list[Mapping[str, Any]] = []
        todo = [schema]
        while todo:
            item = todo.pop(0)
            if not isinstance(item, Mapping):
                continue
            if len(found) == _VARIANTS:
                self.whole = False
                break
            found.append(item)
            place = item.get("$ref")
            if isinstance(place, str) and place not in self._open | entered:
                entered.add(place)
                todo.append(self._at(place))
            for several in ("anyOf", "oneOf", "allOf"):
                branches = item.get(several)
                todo.extend(branches if isinstance(branches, list) else ())
        return found

    def _at(self, place: str) -> Any:
        target: Any = self._root
        for step in place.removeprefix("#").strip("/").split("/"):
            target = (target.get(step) if step else target) if isinstance(target, Mapping) else None
        self.whole = self.whole and isinstance(target, Mapping)
        return target

    def _add(self, name: str, schema: Any, prefix: str, depth: int, found: list[Parameter], *, required: bool) -> None:
        entered: set[str] = set()
        path, variants = f"{prefix}{name}", self.variants(schema, entered)
        listed = [form for item in variants if "items" in item for form in self.variants(item["items"], entered)]
        self._open |= entered
        before, inner = len(found), list[Parameter]()
        self.gather(listed, "", depth - 1, inner, required=False)
        self.gather(variants, f"{path}.", depth - 1, found, required=required)
        self._open -= entered
        if len(found) > before:
            return
        types = {"array"} if listed else set[str]()
        for item in variants:
            kind = item.get("type")
            types.update(each for each in (kind if isinstance(kind, list) else [kind]) if isinstance(each, str))
        texts = [item.get(key) for item in variants for key in ("title", "description")]
        forms = [*variants, *listed]
        found.append(
            Parameter(
                path=path,
                words=tuple(lemma(word.rstrip("0123456789") or word) for word in words_of(name[:_LONG])),
                types=frozenset(types - {"null"}),
                format=next((each for item in forms if isinstance(each := item.get("format"), str)), ""),
                text=" ".join(each for each in texts if isinstance(each, str))[:_LONG],
                required=required,
                enum=any("enum" in item or "const" in item for item in forms),
                inner=tuple(inner),
            )
        )


def reached(item: Parameter, objects: Iterable[str]) -> bool:
    """Whether what is put here goes to people, by the parameter's name alone; not where it is what is acted on."""
    return bool(_REACHED & {item.core, *item.words[:1]}) and item.core not in objects and not _spans(item)


def free_text(item: Parameter) -> bool:
    """Whether the parameter's name says that free text stands in it."""
    return item.textual and not item.enum and item.core in _CONTENT


def address(item: Parameter) -> bool:
    """Whether the parameter is a URL or a host."""
    return item.core in _PLACES or item.format in _FETCHED


def people(item: Parameter) -> bool:
    """Whether the parameter names people who have a part in it: participants, assignees."""
    return item.core in _PEOPLE


def assign(params: Iterable[Parameter], effect: Effect, verb: str, objects: frozenset[str]) -> Roles:
    """Return the roles of parameters, for a tool of this effect whose verb acts on these objects."""
    held: dict[str, list[str]] = {"destination": [], "resource": [], "amount": [], "content": []}
    given = tuple(params)
    for item in given:
        for role in _roles(item, effect, verb, objects):
            if item.path not in held[role]:
                held[role].append(item.path)
    if effect is Effect.SEND and not held["destination"]:
        moved = [item.path for item in given if item.path in held["resource"] and item.core in _HELD_BY]
        held["destination"] = moved
        held["resource"] = [path for path in held["resource"] if path not in moved]
    channels = [item.path for item in given if item.path in held["destination"] and item.core in _CHANNELS]
    if effect is Effect.GRANT and len(channels) < len(held["destination"]):  # people are let in, into the channel
        held["destination"] = [path for path in held["destination"] if path not in channels]
        held["resource"] += channels
    return Roles(**{role: tuple(paths) for role, paths in held.items()})


def _roles(item: Parameter, effect: Effect, verb: str, objects: frozenset[str]) -> tuple[str, ...]:
    if item.inner:
        inner = {role for each in item.inner for role in _roles(each, effect, verb, objects)}
        return tuple(role for role in ("destination", "resource") if role in inner) or ("content",)
    role = _role(item, effect, verb, objects)
    return (role,) if role else ()


def _role(item: Parameter, effect: Effect, verb: str, objects: frozenset[str]) -> str:
    core, last = item.core, item.words[-1] if item.words else ""
    if item.types and item.types <= {"boolean"}:
        return ""
    numeric = bool(item.types) and item.types <= {"number", "integer"}
    if core in _AMOUNT and last == core and (numeric or core == "amount"):
        return "amount"
    if _goes(item, effect, verb, objects) and not (numeric and core not in _ACCOUNTS | _CHANNELS | _PEOPLE):
        return "destination"
    if item.enum or _spans(item):
        return ""
    if "payment" in item.words:
        return "resource"
    known = core in _RESOURCE or core in _PEOPLE | _ACCOUNTS | _CHANNELS or last in {"id", "name", "key", "path"}
    if known and (core not in _CONTENT or last != core):
        return "" if numeric and item.words in {("page",), ("index",), ("head",), ("tail",)} else "resource"
    if core in _CONTENT and item.textual and not numeric:
        return "content"
    if known:
        return "resource"
    if numeric or not item.textual:
        return ""
    if item.types == {"object"} and effect is not Effect.READ:
        return "content"
    return _said(item, effect)


def _goes(item: Parameter, effect: Effect, verb: str, objects: frozenset[str]) -> bool:
    """Whether something goes there. Formats count like names; accounts, where something is done for them."""
    core, last = item.core, item.words[-1] if item.words else ""
    place = core in _PLACES or last in _PLACES or item.format in _FETCHED
    if effect is Effect.READ:
        return place
    if _spans(item) and not place:
        return False
    if core == "destination":
        return effect in {Effect.SEND, Effect.PAY, Effect.GRANT}
    if place or item.format in _FORMATS or core in _PEOPLE or _TO.search(" ".join(item.words)):
        return True
    if item.words == ("new", "owner") or (item.words[:1] == ("to",) and core in _ACCOUNTS):
        return True
    if core in _CHANNELS:
        return effect in {Effect.SEND, Effect.GRANT} or (effect is not Effect.DELETE and core not in objects)
    if core in {"email", "mail"} and last == "id":
        return False
    if core in _ACCOUNTS:
        if effect in {Effect.SEND, Effect.PAY, Effect.GRANT, Effect.EXECUTE}:
            return item.words[:1] != ("from",)
        return effect is not Effect.DELETE and (
            core in {"email", "mail", "phone", "iban", "address", "wallet"}
            or verb in {"assign", "mention"}
            or not objects.isdisjoint({"invoice", "quote", "offer", "estimate"})
        )
    return effect is Effect.GRANT and last == "key"


def _spans(item: Parameter) -> bool:
    """Whether it says when, how many, or where from: nothing goes there."""
    return (
        not _SPANS.isdisjoint(item.words)
        or _WHENCE.issuperset(item.words)
        or item.format in {"date", "date-time", "time"}
    )


def _said(item: Parameter, effect: Effect) -> str:
    for role, pattern in _SAID:
        if pattern.search(item.text):
            return "resource" if role == "destination" and effect in {Effect.READ, Effect.DELETE} else role
    return ""
