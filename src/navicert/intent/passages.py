"""A tool result cut into passages, each with its form: issued, field, text, directive, imitation (R3; T1, T6).

* Typed records are those of the whole output's structure (JSON, YAML, a table). What stands inside a value of it is
  that value's text, however much it looks like a record: who writes a mail's body does not get a field's weight.
* ISSUED is what stands in a field that names an identifier (`id`, `order_id`, `sha`, `number`, `sku`), has no blank,
  and is no address. Not issued, though unique: account and phone numbers, one-time codes, references.
* An output that is text as a whole: its short lines and `key: value` lines are FIELD with a path that begins with
  `text`; they are worth what their source is trusted for. The lines about an order are not: they are its words.
* Sentences are judged everywhere, in a field's value, a key, a tag's attribute, a comment, a decoded token alike. What
  poses goes on to its closing tag, or to the end of its block.
* Linear in the output; nothing raises; what stands behind `LONGEST` characters is dropped, and so unseen (restrictive).
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from navicert.intent.layout import structure
from navicert.intent.sentences import TAG, orders, quiet, read, sentences
from navicert.intent.values import Form, Passage
from navicert.intent.verbs import words
from navicert.model.action import Effect
from navicert.model.value import Json

ISSUED, FIELD, TEXT, DIRECTIVE, IMITATION = Form
LONGEST: Final = 262_144
"""Characters of one output that are read."""
SHORT: Final = 80
_DEEPEST: Final = 100
_WORDS: Final = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*|\d+")
_ISSUED: Final = words(
    "id ids uuid guid sha sha1 sha256 oid hash digest etag number no nr num sku isbn ean key cursor slug"
)
_ENTERED: Final = words(
    "phone mobile fax account iban card routing bank swift bic tax vat telephone cell house street contact"
    " serial api public"
    " private secret ssh access license floor room page line total count of"
)
_FREE: Final = words(
    "body content contents text description comment comments message messages note notes summary snippet html"
    " markdown caption"
    " review reviews feedback bio about readme excerpt abstract details detail diff patch output stdout stderr answer"
    " post"
    " reply remarks remark preview transcript reason quote instructions instruction history log alt"
)
"""Fields that hold what somebody wrote, however short."""
_LOOSE: Final = words("subject title headline label topic")
_REACHES: Final = re.compile(r"@|://|www\.|\d{6}|[A-Z]{2}\d{2}[ A-Z0-9]{8}")
_DATA_KEY: Final = re.compile(r"[^\w-]|^\d")
_KEYED: Final = re.compile(r"[ \t>*•|-]{0,8}\**([A-Za-z][\w ()/#.'-]{0,38}?)\**[ \t]?[:=]\**[ \t]+(\S.*)", re.DOTALL)
_MAILBOX: Final = re.compile(r"[^<>@\n]{1,80}<[^<>@\s]{1,80}@[^<>@\s]{1,120}>")
_PAIRS: Final = re.compile(r"[;,|][ \t]+(?=[A-Z][\w /]{0,30}:[ ])")
_BULLET: Final = re.compile(r"[ \t>]*(?:[-*•·]|\d{1,3}[.)])[ \t]")
_MAIL: Final = frozenset({"from", "to", "subject", "date", "cc", "reply-to", "sent"})
_MARKUP: Final = re.compile(r"<!--|</?[a-zA-Z][\w-]{0,30}(?:[\s/][^<>]{0,4000})?>|<![a-zA-Z]")
_TAGS: Final = re.compile(r"<!--|-->|<(/?)([a-zA-Z][\w-]{0,30})((?:[\s/][^<>]{0,4000})?)>|<![a-zA-Z][^<>]{0,200}>")
_ATTRIBUTE: Final = re.compile(r"""([a-zA-Z][\w:-]{0,30})[ ]?=[ ]?(?:"([^"]{1,4000})"|'([^']{1,4000})')""")
_SAID: Final = words("href src alt title content placeholder value action aria-label data-url summary cite")
_INLINE: Final = words(
    "a b i u em strong span code small sub sup mark abbr font label q s kbd tt bdi bdo time data var"
)
_HTML: Final = _INLINE | words(
    "html head body div p br hr ul ol li table tr td th tbody thead tfoot h1 h2 h3 h4 h5 h6 section article"
    " header footer nav"
    " main aside form input button select option textarea img script style link meta title figure figcaption pre"
    " blockquote"
    " iframe svg path video audio source canvas dl dt dd fieldset legend caption center noscript template summary"
    " details"
    " address picture object embed area map base col colgroup g rect circle"
)
_BETWEEN: Final = {
    "br": "\n",
    "li": "\n- ",
    "tr": "\n",
    "td": "\n- ",
    "th": "\n- ",
    "dd": "\n- ",
    "dt": "\n- ",
    "option": "\n- ",
}
_ENCODED: Final = re.compile(r"(?<![\w+/=-])(?:[A-Za-z0-9+/_-]{24,8192}={0,2}|(?:[0-9a-fA-F]{2}){16,4096})(?![\w+/=-])")
_PERCENT: Final = re.compile(r"%[0-9a-fA-F]{2}")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_WRAPPERS: Final = frozenset({"result", "output", "content", "text"})


def passages(output: Json | str) -> tuple[Passage, ...]:
    """Return the passages of what a tool gave back, in their order. Never raises, whatever the output holds."""
    cut = _Cut()
    for part in _parts(output):
        if type(part) is not str:
            cut.walk(part)
            continue
        text = part[:LONGEST]
        found = structure(text)
        if found is not None:
            cut.walk(found)
        else:
            cut.bare(text)
    return tuple(cut.found)


def _parts(output: Any) -> Iterator[Any]:
    """Yield what the output is as a whole: the texts of a tool server's envelope, or the output itself."""
    if isinstance(output, dict):
        content = output.get("content")
        if isinstance(content, list) and content and all(isinstance(item, dict) and "type" in item for item in content):
            for item in content:
                yield item["text"] if item["type"] == "text" and isinstance(item.get("text"), str) else item
            if output.get("structuredContent") is not None:
                yield output["structuredContent"]
            return
        if len(output) == 1 and isinstance(value := next(iter(output.values())), str) and output.keys() <= _WRAPPERS:
            yield value
            return
    yield output


def _kind(key: str) -> Form:
    """Return what a short value under this key is: ISSUED, FIELD, TEXT where people write, DIRECTIVE for a title."""
    said = [item.lower() for item in _WORDS.findall(key)]
    if not said:
        return FIELD
    if said[-1] in _FREE:
        return TEXT
    if said[-1] in _ISSUED and _ENTERED.isdisjoint(said):
        return ISSUED
    return DIRECTIVE if said[-1] in _LOOSE else FIELD


_KINDS: Final[dict[str, Form]] = {}


def _kind_of(key: str) -> Form:
    """Return `_kind`, kept for the keys that were seen; a key that is long is not kept."""
    kind = _KINDS.get(key)
    if kind is None:
        kind = _kind(key)
        if len(key) <= 40 and len(_KINDS) < 4096:
            _KINDS[key] = kind
    return kind


class _State:
    """Where the cutting of a text stands: who poses, until when; and what a line that ends in a colon has announced."""

    __slots__ = ("led", "path", "posing", "record", "short")

    def __init__(self, path: str, record: int, short: Form) -> None:
        self.path = path
        self.record = record
        self.short = short
        self.posing = ""
        self.led: tuple[Effect, ...] | None = None


class _Cut:
    """The passages of one output, as they are found."""

    def __init__(self) -> None:
        self.found: list[Passage] = []
        self.record = 0
        self.room = LONGEST

    # ------------------------------------------------------------------------------------------------ structure

    def walk(self, root: Any) -> None:
        """Cut a value of JSON. Without recursion: an output may be as deep as its writer likes."""
        stack: list[tuple[Any, str, str, int, int]] = [(root, "", "", 0, 0)]
        while stack and self.room > 0:
            value, path, key, record, depth = stack.pop()
            kind = type(value)
            if kind is str:
                if value:
                    self.value(value, path, key, record)
            elif kind is dict or isinstance(value, dict):
                if depth > _DEEPEST:
                    continue
                record = record or self._next()
                prefix = f"{path}." if path else ""
                entries = []
                for given, item in value.items():
                    name = str(given)
                    if _DATA_KEY.search(name) and len(name) > 1 and not name.isspace():
                        mine = self._next() if depth == 0 else record
                        entries.append((name, path, "", mine, depth + 1))
                        entries.append((item, prefix + name[:40], key, mine, depth + 1))
                    else:
                        entries.append((item, prefix + name, name, record, depth + 1))
                stack += reversed(entries)
            elif kind is list or isinstance(value, list | tuple):
                if depth > _DEEPEST:
                    continue
                prefix = f"{path}." if path else ""
                items = [
                    (
                        item,
                        f"{prefix}{place}",
                        key,
                        self._next() if isinstance(item, dict | list) else record,
                        depth + 1,
                    )
                    for place, item in enumerate(value)
                ]
                stack += reversed(items)
            elif value is not None and kind is not bool:
                self.add(ISSUED if _kind_of(key) is ISSUED else FIELD, str(value), path, record)

    def _next(self) -> int:
        self.record += 1
        return self.record

    def value(self, text: str, path: str, key: str, record: int) -> None:
        """Cut a string that stands in a field."""
        if len(text) > SHORT or "\n" in text:
            self.text(text, path, record)
            return
        kind = _kind_of(key)
        if " " not in text and "\t" not in text:
            if kind is ISSUED and ("@" in text or "/" in text or not any(map(str.isalnum, text)) or len(text) > 64):
                kind = FIELD
            elif kind is DIRECTIVE:
                kind = TEXT if _REACHES.search(text) else FIELD
            self.add(kind, text, path, record)
            if len(text) >= 24 or "%" in text:
                self._decoded(text, path, record)
            return
        marked = ("<" in text and not _MAILBOX.fullmatch(text)) or "[" in text or "&" in text
        if kind is TEXT or marked or _like_sentence(text):
            self.text(text, path, record)
            return
        if kind is DIRECTIVE:
            kind = TEXT if _REACHES.search(text) else FIELD
        self._sentence(text, path, record, FIELD if kind is ISSUED else kind)

    # ------------------------------------------------------------------------------------------------ text

    def text(self, text: str, path: str, record: int) -> None:
        """Cut free text that stands in a field: nothing in it is a field."""
        text = text[: self.room]
        if "<" in text and _MARKUP.search(text):
            for piece, where in _marked(text):
                if where:
                    self._sentence(piece, path, record, TEXT)
                else:
                    self._blocks(piece, path, record, TEXT)
        else:
            if "&" in text and _ENTITY.search(text):
                text = html.unescape(text)
            self._blocks(text, path, record, TEXT)
        self._decoded(text, path, record)

    def bare(self, text: str) -> None:
        """Cut an output that is text as a whole."""
        if "<" in text and _MARKUP.search(text):
            record = 0
            for piece, where in _marked(text):
                if where:
                    self._sentence(piece, "text." + where, record, FIELD)
                else:
                    record = self._next()
                    self._blocks(piece, "text", record, TEXT)
        else:
            self._blocks(text, "text", 0, FIELD)
        self._decoded(text, "text", 0)

    def _blocks(self, text: str, path: str, record: int, short: Form) -> None:
        """Cut text into blocks (what stands between blank lines), and each into sentences.

        short: the form of a short line that states something and stands in no block with an order.
        """
        marked = "<" in text or "[" in text or "##" in text or "===" in text or "---" in text
        still = not marked and quiet(text)
        state = _State(path, record, short)
        for number, block in enumerate(_split(text)):
            if number == 1 and short is FIELD and _is_mail(self.found):
                state.short = TEXT
            state.record = record or self._next()
            if still:
                for line in _joined(block):
                    for item in sentences(line):
                        self._stated(item, path, state.record, state.short if item == line else TEXT)
            else:
                self._block(block, state, marked=marked)

    def _block(self, block: list[str], state: _State, *, marked: bool) -> None:
        """Cut one block in which something may order or pose."""
        path, record = state.path, state.record
        begin = len(self.found)
        before = state.posing
        carried, state.led = state.led, None
        ordered = stirred = False
        for line in _joined(block):
            if marked and self._tag(line, state):
                stirred = True
                continue
            if (
                carried is not None
                and not (_BULLET.match(line) or _KEYED.match(line))
                and (len(line) > SHORT or _like_sentence(line))
            ):
                carried = None
            for item in sentences(line):
                speaks, effects = read(item)
                if speaks or state.posing:
                    stirred = stirred or speaks or effects is not None
                    state.posing = state.posing or "block"
                    self.add(IMITATION, item, path, record, effects or ())
                    continue
                if effects is not None:
                    ordered = True
                    carried = effects if item.endswith(":") else carried
                elif carried is not None:
                    effects = carried
                if effects is not None:
                    self.add(DIRECTIVE, item, path, record, effects)
                else:
                    self._stated(item, path, record, state.short if item == line.strip() else TEXT)
        if carried is not None and self.found[-1].text.endswith(":"):
            state.led = carried  # what it announces stands in the next block
        if before == "block" and not stirred:
            state.posing = ""  # a block after it that only states: the pose was over
            self._recast(begin, IMITATION)
        elif ordered:
            self._recast(begin, FIELD)

    def _tag(self, line: str, state: _State) -> bool:
        """Tell whether a line holds markup that poses; it is added then, and the pose begins or ends."""
        if not ("<" in line or "[" in line or line.lstrip()[:1] in {"#", "=", "-"}):
            return False
        tag = TAG.search(line)
        if tag is None:
            return False
        closing = bool(tag["close"] or tag["close2"]) and state.posing != ""
        state.posing = "" if closing and not TAG.search(line, tag.end()) else "tag"
        self.add(IMITATION, line.strip(), state.path, state.record, orders(line) or ())
        return True

    def _recast(self, begin: int, form: Form) -> None:
        """Make TEXT of what stands in a form that it turns out not to have."""
        for place in range(begin, len(self.found)):
            item = self.found[place]
            if item.form is form:
                self.found[place] = Passage(form=TEXT, text=item.text, path=item.path, record=item.record)

    def _stated(self, item: str, path: str, record: int, form: Form) -> None:
        """Add a line or sentence that states something; as fields, where it is a line of the output itself."""
        if form is not FIELD:
            self.add(form, item, path, record)
            return
        pieces = _PAIRS.split(item) if ": " in item and len(item) <= 1000 else [item]
        if len(pieces) > 1:
            record = self._next()  # a line that holds several is a record
        for piece in pieces:
            keyed = _KEYED.fullmatch(piece)
            if keyed is not None and len(keyed[2]) <= SHORT and not _like_sentence(keyed[2]):
                self.add(form, keyed[2].strip(), f"{path}.{keyed[1].strip().lower()}", record)
                self.add(form, keyed[1].strip(), path, record)
            elif len(piece) <= SHORT and not _like_sentence(piece):
                self.add(form, piece, path, record)
            else:
                self.add(TEXT, piece, path, record)

    def _sentence(self, text: str, path: str, record: int, form: Form) -> None:
        """Add one short value, as what it does."""
        if "<" not in text and "[" not in text and quiet(text):
            self.add(form, text, path, record)
            return
        poses, effects = read(text)
        if poses or TAG.search(text):
            self.add(IMITATION, text, path, record, effects or ())
        elif effects is not None and (text.count(" ") >= 2 or _REACHES.search(text)):
            self.add(DIRECTIVE, text, path, record, effects)
        else:
            self.add(form, text, path, record)

    def _decoded(self, text: str, path: str, record: int) -> None:
        """Add what stands encoded in a text, as free text of the same place."""
        percent = "%" in text
        said = text.split()
        if not percent and max(map(len, said), default=0) < 24:
            return
        for word in said:
            plain: str | None = None
            if percent and "%" in word and _PERCENT.search(word):
                plain = unquote(word)
            elif len(word) >= 24:
                for token in _ENCODED.findall(word[:16_384]):
                    plain = _decode(token) or plain
            if plain is not None:
                self._blocks(plain, f"{path}#decoded", record, TEXT)

    def add(self, form: Form, text: str, path: str, record: int, effects: tuple[Effect, ...] = ()) -> None:
        """Add a passage while there is room."""
        if self.room <= 0:
            return
        self.room -= len(text) + 1
        self.found.append(Passage(form=form, text=text, path=path, record=record, effects=effects))


def _like_sentence(text: str) -> bool:
    """Tell whether a short value reads like prose."""
    blanks = text.count(" ")
    return blanks >= 12 or (
        blanks >= 3 and (text.rstrip()[-1:] in {".", "!", "?", ":"} or ". " in text or "! " in text)
    )


def _is_mail(found: list[Passage]) -> bool:
    return len({item.path[5:] for item in found} & _MAIL) >= 2


def _split(text: str) -> Iterator[list[str]]:
    """Yield the lines of each block."""
    block: list[str] = []
    for line in text.splitlines():
        if line and not line.isspace():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _joined(lines: list[str]) -> Iterator[str]:
    """Yield lines, those joined again that were broken inside a sentence."""
    whole = lines[0]
    if len(lines) == 1:
        yield whole
        return
    for line in lines[1:]:
        head = line.lstrip()
        broken = whole.rstrip()[-1:] not in {".", "!", "?", ":", ";", ">", "]"} and len(whole) < 4000
        if broken and not _BULLET.match(line) and (head[0].islower() or (len(whole) >= 60 and not _KEYED.match(line))):
            whole = f"{whole.rstrip()} {head}"
        else:
            yield whole
            whole = line
    yield whole


def _marked(text: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of markup: visible ones and comments with '', attributes with their name."""
    said: list[str] = []
    end = 0
    for tag in _TAGS.finditer(text):
        said.append(text[end : tag.start()])
        end = tag.end()
        name = (tag[2] or "").lower()
        if tag[0] in {"<!--", "-->"}:
            said.append("\n\n")
        elif name and name not in _HTML and TAG.match(tag[0]):
            said.append(f"\n{tag[0]}\n")
        elif name not in _INLINE:
            said.append("\n" if tag[1] and name in _BETWEEN else _BETWEEN.get(name, "\n\n"))
        if tag[3]:
            for attribute in _ATTRIBUTE.finditer(tag[3]):
                if attribute[1].lower() in _SAID:
                    yield html.unescape(attribute[2] or attribute[3]), f"{name}.{attribute[1].lower()}"
    said.append(text[end:])
    yield html.unescape("".join(said)), ""


def _decode(token: str) -> str | None:
    """Return the text that a token encodes in hex or Base64; None when that is no text."""
    try:
        if len(token) % 2 == 0 and all(char in "0123456789abcdefABCDEF" for char in token):
            raw = bytes.fromhex(token)
        else:
            standard = token.rstrip("=").replace("-", "+").replace("_", "/")
            raw = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        text = raw.decode()
    except (binascii.Error, ValueError):
        return None
    printable = sum(char.isprintable() or char in "\t\r\n" for char in text)
    return text if len(text) >= 6 and printable == len(text) else None
