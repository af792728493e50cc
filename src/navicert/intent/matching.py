"""How the words of a request are held against one action and against one source: kinds of things, names, places.

* Nouns are compared as kinds: a mail, a message and an inbox are one kind of thing; so are file, document and report.
* A value is the user's own where they wrote it, whole: an address is not theirs because its name is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from navicert.core.text import normal_form
from navicert.intent.values import Asked, Delegation, Form, Grant, Passage, Source, Trust
from navicert.intent.verbs import lemma, words
from navicert.model.action import Effect, ToolProfile

GRAVE: Final = frozenset({Effect.PAY, Effect.GRANT, Effect.DELETE, Effect.CREDENTIALS, Effect.EXECUTE})
"""What no source may order by a delegation that does not name it."""

_KINDS: Final = (
    "mail email message inbox letter dm chat channel conversation thread reply note notification reminder text",
    "file document report attachment folder directory drive sheet spreadsheet doc pdf list notes minutes cv resume",
    "event meeting appointment calendar lunch dinner call invite invitation reservation booking trip participant",
    (
        "payment transaction transfer money bill invoice rent fee balance account iban subscription refund order amount"
        " purchase price checkout debit fund salary"
    ),
    "page webpage website site web link url blog article post forum homework form",
    "user colleague person member participant collaborator people contact customer team workspace employee client",
    "password credential token key secret login passcode pin otp code mfa",
    "code repository repo branch commit issue pull merge test bug function script build release workflow ticket",
    "hotel room stay accommodation apartment reservation booking",
    "restaurant table dinner lunch meal reservation booking",
    "car rental vehicle taxi reservation booking",
    "flight plane ticket seat airline train reservation booking passenger baggage",
    "product item article goods wishlist cart review",
    "information info profile address detail data record setting preference",
)
_KIND: Final[dict[str, frozenset[int]]] = {}
for _number, _line in enumerate(_KINDS):
    for _word in _line.split():
        _KIND[_word] = _KIND.get(_word, frozenset()) | {_number}
_FETCHED: Final = words("page webpage website web site url browse fetch download http rss feed news")
"""Words of tools that bring what stands at an address of anybody's choice."""
_SENT_IN: Final = words(
    "mail email inbox message chat dm review comment post forum issue ticket pull discussion thread tweet"
)
"""Words of tools that read what others send in."""
_MONEY: Final = _KIND["payment"]
_SECRET: Final = _KIND["password"]
_FILES: Final = _KIND["file"]
"""Whatever is written may be written into a file."""
_PEOPLE: Final = _KIND["user"]
_OF_A_KIND: Final = GRAVE - {Effect.EXECUTE} | {Effect.WRITE}
"""Effects that are asked for on a kind of thing: who may delete a file may not delete a mail."""
_COUNTED: Final = (
    "id|no|number|issue|pr|request|order|ticket|mail|email|message|file|item|row|line|case|invoice|bill|event|room|task|user"
    "|customer|account|page|version"
)
"""Nouns behind which a short number is a name."""
_HEAD: Final = 2
"""So many nouns of a phrase say what it is about; those behind them say when, where, and for what."""
_SERVES: Final[dict[Effect, frozenset[Effect]]] = {
    Effect.WRITE: frozenset({Effect.WRITE, Effect.SEND, Effect.PAY, Effect.GRANT, Effect.EXECUTE}),
    Effect.SEND: frozenset({Effect.SEND, Effect.GRANT}),
    Effect.PAY: frozenset({Effect.PAY}),
    Effect.GRANT: frozenset({Effect.GRANT}),
    Effect.DELETE: frozenset({Effect.DELETE}),
    Effect.EXECUTE: frozenset({Effect.EXECUTE, Effect.WRITE}),
    Effect.CREDENTIALS: frozenset({Effect.CREDENTIALS}),
}
_SENDER: Final = words("sender from author creator owner by")
_TOKEN: Final = re.compile(r"[^\W_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SITE: Final = re.compile(r"^(?:[a-z][a-z0-9+.-]*://)?(?:www\.)?([^/?#\s]+\.[^/?#\s]+|localhost(?::\d+)?)(.*)$")


_ADDS: Final = words("create add make new download save append copy store mkdir touch draft clone")


def adds(profile: ToolProfile) -> bool:
    """Tell whether a tool only adds: what is there stays as it is."""
    return profile.effect is Effect.WRITE and bool(tool_words(profile.tool.rpartition(".")[2]) & _ADDS)


@lru_cache(maxsize=2048)
def tool_words(tool: str) -> frozenset[str]:
    """Return the words of a tool's name, as lemmas."""
    return frozenset(lemma(word) for word in _TOKEN.findall(_CAMEL.sub(" ", tool).lower()))


def trust_of(profile: ToolProfile) -> Trust:
    """Return who can have written what a tool gives back, where nobody declared it.

    What is fetched from an address is anybody's; of what others send in (mail, messages, reviews, tickets), the system
    wrote the envelope and they the rest; all else are records of the deployment. That is said of typed fields:
    free text is never better than what it is.
    """
    words = tool_words(profile.tool.replace(".", " "))
    if profile.destination or words & _FETCHED:
        return Trust.PUBLIC
    return Trust.KNOWN if words & _SENT_IN else Trust.OWN


def kinds(words: Iterable[str]) -> frozenset[int]:
    """Return the kinds of things that nouns name."""
    found: frozenset[int] = frozenset()
    for word in words:
        found |= _KIND.get(word, frozenset())
    return found


def plain(value: object) -> str:
    """Return a value as it is compared: normal form, one space between words."""
    return _plain(value if isinstance(value, str) else str(value))


@lru_cache(maxsize=128)
def _plain(text: str) -> str:
    return " ".join(normal_form(text).split())


@lru_cache(maxsize=4096)
def site(text: str) -> tuple[str, str] | None:
    """Return host and rest of an address on the web, None where it is none; `text` in normal form."""
    if "@" in text or " " in text:
        return None
    found = _SITE.match(text)
    if found is None or (found[1].replace(".", "").isdigit() and found[1].count(".") != 3):  # a date, a number
        return None
    return found[1], found[2].rstrip("/")


_ACCOUNT: Final = re.compile(r"[a-z]{2}\d{2}[a-z0-9 ]{6,34}|\+?\d[\d ()/-]{7,20}")


def shape(text: str) -> str:
    """Return what kind of address a value is: `mail`, `site`, `account` (also a telephone number), `id`, or `name`."""
    if "@" in text and " " not in text:
        return "mail"
    if site(text) is not None and not _FILE.search(text):
        return "site"
    if _ID.fullmatch(text):
        return "id"
    return "account" if _ACCOUNT.fullmatch(text) and not _DATE.match(text) else "name"


_ID: Final = re.compile(r"(?:[a-z]{1,5}-?|#)\d{1,12}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./]\d{2,4}")
_FILE: Final = re.compile(
    r"^[^/]*\.(?:txt|md|pdf|docx?|xlsx?|csv|py|js|ts|json|ya?ml|html?|png|jpe?g|zip|log|sh|sql|toml|ini|cfg|pptx?)$"
)


def theirs(asked: Asked, value: object) -> bool:
    """Tell whether the user wrote this value: as a literal, as a name, or word by word."""
    text = plain(value)
    if not text:
        return True
    if text.isdigit() and len(text) <= 4:  # "7" may number a list, or be an hour
        return (
            text in asked.text and re.search(rf"(?:#|\b(?:{_COUNTED})\.?)\s{{0,2}}#?{text}\b", asked.text) is not None
        )
    if text in asked.literals or text in asked.names:
        return True
    place = site(text)
    if place is not None:
        return any(_within(place, site(item)) for item in asked.literals)
    if "@" in text or not asked.text:
        return False
    if "/" in text:  # a path: the user may have named the file alone
        last = text.rstrip("/").rpartition("/")[2]
        return last in asked.literals and "." in last
    return len(text) > 1 and stands_in(text, asked.text)


def stands_in(text: str, whole: str) -> bool:
    """Tell whether a text stands in another as it is, with no letter or digit on either side."""
    at = whole.find(text)
    while at >= 0:
        end = at + len(text)
        if not (whole[at - 1 : at].isalnum() or whole[end : end + 1].isalnum()):
            return True
        at = whole.find(text, at + 1)
    return False


def _within(place: tuple[str, str], named: tuple[str, str] | None) -> bool:
    """Tell whether an address is the one that was named, or lies under it."""
    if named is None:
        return False
    return place[0] == named[0] and (not named[1] or place[1] == named[1] or place[1].startswith(named[1]))


def speaks_of(text: str, asked: Asked) -> bool:
    """Tell whether a text names what the user named: a name, or a literal."""
    words = set(_TOKEN.findall(normal_form(text)))
    if any(name in words for name in asked.names if " " not in name):
        return True
    flat = plain(text)
    return any(len(item) > 3 and item in flat for item in (*asked.names, *asked.literals))


def asks(asked: Asked, profile: ToolProfile, targets: Sequence[str]) -> Grant | None:
    """Return the grant that asks for this effect on such a thing; one that names a target first."""
    effect = profile.effect
    about = kinds(tool_words(profile.tool.replace(".", " ")))
    found: list[tuple[int, Grant]] = []
    for grant in asked.grants:
        if not _serves(grant, effect, about):
            continue
        named = kinds(grant.objects[:_HEAD])
        if any(item in grant.targets and (shape(item) != "name" or grant.effect is effect) for item in targets):
            found.append((3, grant))  # the target itself was written out
            continue
        if named and about and not named & about and effect in _OF_A_KIND and about != _FILES:
            continue
        rank = 2 * any(target in grant.targets for target in targets) + bool(named & about)
        found.append((rank, grant))
    return max(found, key=lambda each: each[0])[1] if found else None


def _serves(grant: Grant, effect: Effect, about: frozenset[int]) -> bool:
    named = kinds(grant.objects)
    if effect is Effect.WRITE and grant.effect is not Effect.WRITE:
        return grant.effect in _SERVES[effect] and bool(named & about)
    if grant.effect in _SERVES[effect]:
        return True
    if effect is Effect.PAY:
        return grant.effect is Effect.WRITE and bool(named & _MONEY)
    if effect is Effect.CREDENTIALS:
        return grant.effect is Effect.WRITE and bool(named & _SECRET)
    if effect is Effect.GRANT:
        return grant.effect is Effect.WRITE and bool((named | kinds(grant.targets)) & _PEOPLE or grant.targets)
    return effect is Effect.SEND and grant.effect is Effect.WRITE and bool(named & about)


def pointed_at(asked: Asked, item: str) -> bool:
    """Tell whether the user pointed at what was read: by its address, its site, its file, or a title."""
    text = plain(item)
    if len(text) < 3 or text.isdigit():
        return False
    return theirs(asked, text) or same_site(asked, text)


def same_site(asked: Asked, text: str) -> bool:
    """Tell whether an address is of a site that the user named."""
    place = site(plain(text))
    return place is not None and any(
        (named := site(item)) is not None and place[0] == named[0] for item in asked.literals
    )


def sent_to(asked: Asked, text: str) -> bool:
    """Tell whether the user sent the agent to the site of this address, to do something there."""
    place = site(plain(text))
    return place is not None and any(
        (named := site(item)) is not None and place[0] == named[0] for grant in asked.grants for item in grant.targets
    )


def delegates(asked: Asked, source: Source, record: Iterable[Passage]) -> Delegation | None:
    """Return the delegation that lets this source say what to do. record: what stands beside what it says."""
    if not asked.delegations:
        return None
    record = [item for item in record if item.form in {Form.ISSUED, Form.FIELD}]
    words = tool_words(source.tool.replace(".", " "))
    for item in asked.delegations:
        if item.names:
            if any(_same_name(name, text) for name in item.names for text in source.about):
                return item
            if any(_known_by(name, record) for name in item.names):
                return item
        elif not item.kinds or kinds(item.kinds) & kinds(words) or set(item.kinds) & (words | _spelt(source)):
            return item
    return None


def _known_by(name: str, record: Sequence[Passage]) -> bool:
    """Tell whether a record is known by a name: a person's by who sent it, if that is said; a title's by any field."""
    senders = [item for item in record if _SENDER & set(_TOKEN.findall(item.path.rpartition(".")[2].lower()))]
    return any(_same_name(name, item.text) for item in (senders if senders and " " not in name else record))


def _spelt(source: Source) -> frozenset[str]:
    """Return the words of the names of what was read: `electricity_bill.pdf` is a bill."""
    return frozenset(lemma(word) for item in source.about for word in _TOKEN.findall(plain(item).replace("_", " ")))


def _same_name(name: str, text: str) -> bool:
    flat = plain(text)
    if name == flat:
        return True
    place, named = site(flat), site(name)
    if place is not None and named is not None:
        return place[0] == named[0]
    return len(name) > 2 and stands_in(name, flat)
