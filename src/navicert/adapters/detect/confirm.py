"""What confirms a candidate: a checksum, a word nearby, the look of the value (R2.b; attack cases C.8 and G).

* Each takes the whole text and the match, looks at a bounded piece around it, and says yes or no.
* All is RE2 over bytes in Latin-1 (a byte is a character; letters and spaces are ASCII's): linear time, small automata.
* An e-mail address is PII where it is a person's. Role addresses (`info@`, `noreply@`) and the names that manuals use
  (`user@`, `you@`) are nobody's; what only looks like an address (`logo@2x.png`, `getty@tty1.service`) is none.
"""

from __future__ import annotations

import binascii
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import re2

from navicert.adapters.detect import checksums


class Match(Protocol):
    """A candidate. Group 0 is all of it; the groups that a confirmation asks for are always there."""

    def group(self, number: int = 0, /) -> bytes:
        """Return the bytes of a group."""
        ...

    def span(self) -> tuple[int, int]:
        """Return where it starts and ends."""
        ...

    def start(self, number: int = 0, /) -> int:
        """Return where a group starts."""
        ...

    def end(self, number: int = 0, /) -> int:
        """Return where a group ends."""
        ...


class Pattern(Protocol):
    """A compiled RE2 expression over bytes."""

    def search(self, data: bytes, pos: int = 0, /) -> Match | None:
        """Return the first candidate at or after `pos`."""
        ...

    def match(self, data: bytes, pos: int = 0, /) -> Match | None:
        """Return the candidate that starts at `pos`."""
        ...

    def finditer(self, data: bytes, /) -> Iterator[Match]:
        """Return the candidates, none overlapping another."""
        ...


Confirm = Callable[[bytes, Match], bool]
Reach = Callable[[bytes, int, int], int]
"""From the start and end of what was matched to where the secret ends."""


def compiled(pattern: bytes) -> Pattern:
    """Return the expression compiled with `options()`."""
    return cast("Pattern", re2.compile(pattern, options()))


def options() -> Any:
    """Return the options of every expression here: bytes, and no words to standard error."""
    chosen = re2.Options()
    chosen.encoding = re2.Options.Encoding.LATIN1
    chosen.log_errors = False
    return chosen


_ROLES = frozenset(
    b"abuse accounting accounts admin administrator alerts all billing bot bounce bounces build careers ci contact "
    b"daemon data demo dev devops do-not-reply donotreply email everyone example feedback finance "
    b"firstname.lastname foo git hello help helpdesk hostmaster hr info invoice invoices it jobs legal list lists "
    b"mail mailer-daemon marketing me media myname name network news newsletter noc notification notifications "
    b"office ops orders partners postmaster press privacy project recipient reply root sales security sender "
    b"service services someone somebody staff subscribe support system team test tester tests test-user "
    b"unsubscribe user username users webmaster welcome you your-email your-name your.email your.name youremail "
    b"yourname".split()
)
_NOT_DOMAINS = frozenset(
    b"automount device gif ico jpeg jpg mount path pdf png scope service slice socket svg swap target timer "
    b"webp".split()
)
"""Images are called `logo@2x.png`, units of systemd `getty@tty1.service`."""
_PLACEHOLDERS = frozenset(
    b"changeit changeme dummy example insert key mypassword mysecretpassword none null pass passwd password "
    b"placeholder pwd redacted secret string test todo token undefined your-password yourpassword".split()
)
_WORD_CHARACTERS = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset(b"0123456789")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_SHAPES = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4))
_HEX_LENGTHS = frozenset({24, 32, 40, 56, 64, 96, 128})

_card_words = compiled(rb"(?i)card|visa|amex|mastercard|maestro|\bpan\b|\bcc\b|payment|cvv|cvc")
_ssn_words = compiled(rb"(?i)\bssn|ssn\b|social[ _-]?security|tax[ _-]?id|\btin\b")
_icd_words = compiled(rb"(?i)\bicd|diagnos(?:is|es|ed)\b|\bdx\b|comorbid|patient|prognosis")
_version = compiled(rb"^[0-9]+\.[0-9]")
_date = compiled(rb"^[0-9]{4}-[0-9]{2}-[0-9]{2}")
_hex_run = compiled(rb"^[0-9A-Fa-f]{1,128}")
_dotted_name = compiled(rb"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")
_uuid = compiled(rb"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
_camel_words = compiled(rb"^(?:[A-Z]?[a-z]{2,}[0-9]{0,3})+$")
_unfilled = compiled(
    rb"(?i)^(?:[${<%({\[*./~#]|arn:|env[:.]|https?:|op://|projects/|secretref|vault:|your|example|sha(?:1|256|512)[:-])"
    rb"|\$\{|\{\{|[()]|[A-Za-z_]\[|\*{3}|\.{3}|x{4}|->|::|process\.env|environ"
)
_harmless_tokens = tuple(
    b"bos cancel cancellation change continuation csrf cursor design eos etag idempotency max min next num page pad "
    b"pagination prev previous public publishable request resume special start state stop sync total unk upload "
    b"xsrf".split()
)
"""`next_page_token` and its like: they open nothing."""


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bare(data: bytes) -> str:
    return _text(data.translate(None, b" -.()/\t"))


def _around(data: bytes, match: Match) -> tuple[int, int]:
    """The bytes before and after the match; 0 at the ends."""
    start, end = match.span()
    return data[start - 1] if start else 0, data[end] if end < len(data) else 0


def _near(words: Pattern, data: bytes, match: Match) -> bool:
    start, end = match.span()
    return words.search(data[max(0, start - 48) : end + 24]) is not None


def is_email(data: bytes, match: Match) -> bool:
    """Tell whether it is an address of a person."""
    local, domain = match.group(1).lower(), match.group(2).lower()
    name = local.partition(b"+")[0].rstrip(b"0123456789")
    if name in _ROLES or b"noreply" in match.group().lower() or b"no-reply" in local:
        return False
    last = domain.rpartition(b".")[2]
    if _around(data, match)[1] in _WORD_CHARACTERS or last in _NOT_DOMAINS or _version.search(domain):
        return False
    before = data[max(0, match.start() - 80) : match.start()]
    scheme = before.rfind(b"://")
    return scheme < 0 or any(each in b"/ \"'\n?=" for each in before[scheme + 3 :])  # not the user of a URL


def is_phone(data: bytes, match: Match) -> bool:
    """Tell whether it can be a telephone number in international form."""
    before, after = _around(data, match)
    if before in _WORD_CHARACTERS or before in b"+/_" or after in _DIGITS or _date.search(match.group(1)):
        return False
    digits = _bare(match.group(1))
    apart = len(match.group(1)) - len(digits)
    if apart == 1 and b"." in match.group(1):
        return False  # the number +35236450.6
    return checksums.phone(digits) and (apart > 0 or len(digits) == 11 or (digits[0] != "1" and len(digits) > 9))


def is_phone_at_home(data: bytes, match: Match) -> bool:
    """Tell whether what follows the word can be a telephone number."""
    digits = _bare(match.group(1))
    return 9 <= len(digits) <= 15 and not _date.search(match.group(1)) and _around(data, match)[1] not in _DIGITS


def is_ssn(data: bytes, match: Match) -> bool:
    """Tell whether it can be a social security number: with hyphens, or with the word near."""
    before, after = _around(data, match)
    if before in _DIGITS or after in _DIGITS or (before and before in b"-.+") or after == 0x2D:
        return False
    apart = match.group().count(b"-") == 2
    return checksums.ssn(_bare(match.group())) and (apart or _near(_ssn_words, data, match))


def is_iban(data: bytes, match: Match) -> bool:
    """Tell whether an IBAN starts here."""
    start = match.start()
    return checksums.iban(_bare(data[start : start + 48]))


def iban_reach(data: bytes, start: int, end: int) -> int:
    """Return where the IBAN ends that starts there: as many letters and digits as its country has."""
    left = checksums.iban_length(_text(data[start : start + 2]))
    for place in range(start, min(len(data), start + 64)):
        left -= data[place] in _WORD_CHARACTERS
        if left == 0:
            return max(end, place + 1)
    return end


def reach(pattern: bytes) -> Reach:
    """Return what has a secret go on for as long as this matches: rules look for the least that a secret is."""
    more = compiled(pattern)

    def ends(data: bytes, start: int, end: int) -> int:  # noqa: ARG001
        found = more.match(data, end)
        return found.end() if found is not None else end

    return ends


def is_card(data: bytes, match: Match) -> bool:
    """Tell whether there is a card number in this run of digits: all of it, or groups in a customary form."""
    groups = _text(match.group()).replace("-", " ").split(" ")
    before, after = _around(data, match)
    if len(groups) == 1 and before == 0x2E and data[match.start() - 2 : match.start() - 1].isdigit():
        return False  # the fraction of a number
    if len(groups) < 20 and _is_whole_card(data, match, "".join(groups)):
        return True
    if len(groups) == 1:
        return False
    if len(groups) > 8 and not _near(_card_words, data, match):
        return False  # a table of numbers
    if before in _WORD_CHARACTERS and len(groups[0]) > 4:
        groups = groups[1:]  # the end of an identifier
    if after in _WORD_CHARACTERS and groups and len(groups[-1]) > 5:
        groups = groups[:-1]  # the start of one
    return any(_is_grouped_card(groups[place : place + 5]) for place in range(len(groups)))


def _is_grouped_card(groups: list[str]) -> bool:
    """Tell whether a card number begins with the first group: printed in groups, or one long group among others."""
    lengths = tuple(map(len, groups))
    if 15 <= lengths[0] <= 19 and checksums.card(groups[0]):
        return True
    shapes = _SHAPES if lengths[0] == 4 else ()
    return any(lengths[: len(shape)] == shape and checksums.card("".join(groups[: len(shape)])) for shape in shapes)


def _is_whole_card(data: bytes, match: Match, digits: str) -> bool:
    if not checksums.card(digits):
        return False
    if len(match.group()) > len(digits):
        alone = not any(each in _WORD_CHARACTERS for each in _around(data, match))
        return alone and len(set(match.group()) & set(b" -")) == 1
    start, end = match.span()
    run = _hex_run.search(data[max(0, start - 128) : start][::-1])
    ahead = _hex_run.search(data[end : end + 128])
    around = (len(run.group()) if run else 0) + (len(ahead.group()) if ahead else 0)
    if around and around + len(digits) in _HEX_LENGTHS:
        return False  # a piece of a hash
    return len(digits) > 14 or _near(_card_words, data, match)


def by(check: Callable[[str], bool]) -> Confirm:
    """Return the confirmation by this check, for a candidate that stands alone."""

    def confirm(data: bytes, match: Match) -> bool:
        before, after = _around(data, match)
        loose = (
            before not in _WORD_CHARACTERS and after not in _WORD_CHARACTERS and before not in b".-" and after != 0x2D
        )
        return loose and check(_bare(match.group()))

    return confirm


def is_numbered(_data: bytes, match: Match) -> bool:
    """Tell whether the check of the number that the word names holds."""
    return checksums.BY_WORD[_text(match.group(1)).lower()](_bare(match.group(2)))


def is_icd(data: bytes, match: Match) -> bool:
    """Tell whether a diagnosis is spoken of nearby."""
    return _near(_icd_words, data, match)


def is_jwt(_data: bytes, match: Match) -> bool:
    """Tell whether the first part decodes to a header with an algorithm."""
    head: bytes = match.group(1)
    return any(_has_algorithm(part) for part in {head, head[head.rfind(b"eyJ") :]})


def _has_algorithm(part: bytes) -> bool:
    part = part[:4096].translate(_STANDARD)
    try:
        header = json.loads(binascii.a2b_base64(part + b"=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


def is_assigned(_data: bytes, match: Match) -> bool:
    """Tell whether what is assigned to a secret's name looks like a secret."""
    before, word, value = match.group(1).lower().rstrip(b"_-."), match.group(2).lower(), match.group(3)
    if word == b"token" and before.endswith(_harmless_tokens):
        return False
    return looks_random(value)


def is_borne(_data: bytes, match: Match) -> bool:
    """Tell whether what an option or a header bears looks like a secret; a name with dots would not stand there."""
    return looks_random(match.group(1).replace(b".", b""))


def is_connection(_data: bytes, match: Match) -> bool:
    """Tell whether the URL bears a password that somebody chose."""
    user, password = match.group(1).lower(), match.group(2)
    return password.lower() not in {*_PLACEHOLDERS, user} and not _unfilled.search(password) and len(set(password)) > 1


def looks_random(value: bytes) -> bool:
    """Tell whether the value assigned to a secret's name looks made up by a machine or a careful person.

    It does not where it is a reference (`${X}`, `vault:…`, `self.token`), a placeholder, a word, an identifier, a UUID.
    """
    value = value.rstrip(b".)]}\\:!?")
    if len(value) < 8 or value.lower() in _PLACEHOLDERS or _unfilled.search(value):
        return False
    digits = sum(each in _DIGITS for each in value)
    letters = sum(each in _WORD_CHARACTERS for each in value) - digits
    if not letters or not digits or _dotted_name.search(value) or _uuid.search(value):
        return False
    if checksums.entropy(_text(value)) < 2.5:
        return False
    one_case = value.islower() or value.isupper()
    if len(value) - digits - letters - value.count(b"_") - value.count(b"-") - value.count(b"."):
        return not (one_case and b"/" in value)
    turns = sum((one in _DIGITS) != (two in _DIGITS) for one, two in itertools.pairwise(value))
    if one_case:
        return turns - value.count(b"_") - value.count(b"-") >= 3
    return digits >= 2 and not _camel_words.search(value)
