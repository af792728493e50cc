"""A request cut into tokens: words, literals, quoted text, breaks (R3); what is pasted is cut out. Takes linear time.

* Pasted is: a fenced block; a line that begins with `>`; what follows a forwarding line, a mail header, "wrote:", or a
  colon behind a word for text ("summarise this mail: …"). Nothing in it is the user's own word.
* Quoted is what stands in paired quotation marks or backticks. It is one token, and one literal; an apostrophe is none.
* A literal is what can be a target: address, URL, host, path, file, account, phone number, id, number, date, handle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from navicert.core.text import normal_form
from navicert.intent.verbs import words

LIMIT: Final = 20_000
"""Characters of a request that are read. Who pastes more has pasted: what stands behind grants nothing."""


class Token(NamedTuple):
    """kind: `w` word, `l` literal, `n` number, `q` quoted text, `p` comma, colon or bracket, `.` end of a sentence."""

    kind: str
    text: str
    low: str


_FENCE: Final = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_QUOTED_LINE: Final = re.compile(r"^[ \t]*(?:>|\|\s).*$", re.MULTILINE)
_FORWARDED: Final = re.compile(
    r"^[ \t>]*(?:-{2,}[ ]?(?:original|forwarded|begin|start)\b|begin forwarded message|on [^\n]{4,120} wrote:"
    r"|(?:from|von|de|da):[^\n]*\n(?:[^\n]*\n){0,4}?[ \t]*(?:subject|to|date|sent|betreff|objet|asunto|oggetto):)",
    re.IGNORECASE | re.MULTILINE,
)
_TEXTS: Final = (
    r"(?:e-?mails?|mails?|messages?|texts?|article|paragraphs?|notes?|reply|response|answer|comments?|reviews?|questions?"
    r"|post|tweet|tickets?|letter|document|transcript|quotes?|sentences?|words|body|content|description|title|subject|caption"
    r"|logs?"
    r"|output|conversation|chat|story|poem|passage|excerpt|snippet|feedback)"
)
_CONTENT: Final = re.compile(
    rf"(?:\b{_TEXTS}(?:[ ][^\s:.!?,;]+){{0,8}}|\b(?:says?|said|reads?|saying|wrote|writes|this|below)"
    r"|\b(?:translate|summari[sz]e|proofread|rephrase|paraphrase|classify|explain)\b[^\n:.!?]{0,60}):$"
)
_COLON: Final = re.compile(r":(?=\s)")
_TASKS: Final = re.compile(r"\b(?:tasks?|steps?|things|actions?|to-?dos?|to do|do|items|points|requests?)\b")
_EACH: Final = re.compile(r"^\W*(?:for|in|on|from)\b|\b(?:each|every)\b")
_THIS: Final = re.compile(r"\b(?:this|these|following|below)\b")
_TITLED: Final = re.compile(r"\b(?:title|subject|caption|description|titled|called|named)\W*$")
_END: Final = re.compile(r"[.!?;,](?=\s|$)")
_PAIRS: Final = {'"': '"', "“": "”", "„": "“”", "«": "»", "'": "'", "\u2018": "\u2019", "`": "`"}
_OPENER: Final = re.compile(r"[\"“„«`]|(?<![^\s(\[{:,/=])['\u2018](?=\S)")
_CLOSERS: Final = {mark: re.compile(f"[{re.escape(ends)}]") for mark, ends in _PAIRS.items()}
_CLOSERS["'"] = re.compile(r"(?<=\S)'(?!\w)")
_CLOSERS["\u2018"] = re.compile(r"(?<=\S)\u2019(?!\w)")

_ADDRESS: Final = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]{1,15}://\S+", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:www\.)?[\w-]+(?:\.[\w-]+)*\.(?:[a-z]{2,12})(?::\d+)?(?:[/?]\S*)?", re.IGNORECASE)
_PATH: Final = re.compile(r"(?:~|\.{1,2}|[a-z]:)?[/\\][\w.@+*$-][^\s,;]*|[\w.-]+/[\w./-]*[\w-]\.\w{1,8}", re.IGNORECASE)
_TAG: Final = re.compile(r"[#@][\w./-]+")
_CODE: Final = re.compile(r"(?=\S*\d)[#]?[A-Za-z0-9]+(?:[-_/.:#][A-Za-z0-9]+)*")
_NAMED: Final = re.compile(r"[A-Za-z0-9]*[a-z0-9]_[\w]+")
_NUMBER: Final = re.compile(r"[$€£¥#+-]?\d[\d.,:'/-]*(?:st|nd|rd|th|%|€|am|pm|k)?", re.IGNORECASE)
_WORDS: Final = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\d+|[^\w\s]")
_ABBREVIATED: Final = words("e.g i.e etc mr mrs ms dr prof st vs no nr approx a.m p.m bzw z.b ca inc ltd co")
_RUN_ON: Final = re.compile(r"(?<=[a-z])\.(?=[A-Z][a-z]+\s)")
_BULLET: Final = frozenset({"-", "*", "•", "–", "—", "+", "·", "--"})
_DIGIT: Final = re.compile(r"\d")
_SPACED: Final = re.compile(
    r"\b[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?\b"
    r"|(?<![\w.])\+?\(?\d{2,4}\)?(?:[ ./-]\(?\d{2,4}\)?){2,5}(?![\w.-])"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.? \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?\b"
    r"|\b\d{1,2}(?:st|nd|rd|th)?\.?(?: of)? "
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}(?:,? \d{4})?\b"
    r"|\b\d{1,2}(?::\d\d)? ?[ap]\.?m\b"
    r"|\b\d[\d.,]{0,15} ?(?:usd|eur|chf|gbp|dollars|euros?|francs|pounds)\b",
    re.IGNORECASE,
)


def own_words(text: str) -> str:
    """Return the text without what is pasted into it, at most `LIMIT` characters."""
    text = text[:LIMIT].replace("\r\n", "\n").replace("\r", "\n")
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("\n", text)
    if ">" in text or "|" in text:
        text = _QUOTED_LINE.sub("", text)
    found = _FORWARDED.search(text)
    if found is not None:
        text = text[: found.start()]
    for end, _ in _introduced(text, 0):
        line, _, after = text[end:].partition("\n")
        if after.strip() and not line.strip():
            return text[:end]
    return text


def _unquoted(text: str) -> list[tuple[bool, str]]:
    """Return the pieces of a text, and of each whether it is quoted. A mark without its pair ends with its line."""
    pieces: list[tuple[bool, str]] = []
    start = place = 0
    missing: set[str] = set()
    while (found := _OPENER.search(text, place)) is not None:
        mark = found.group()
        place = found.end()
        if mark in missing or (mark == '"' and text[found.start() - 1 : found.start()].isdigit()):
            continue
        end = _CLOSERS[mark].search(text, place)
        if end is None:
            missing.add(mark)
            if mark in {"'", "\u2018", "`"}:
                continue
        line = text.find("\n", place) if end is None else end.start()
        stop = len(text) if line < 0 else line
        pieces.append((False, text[start : found.start()]))
        pieces.append((True, text[place:stop]))
        start = place = stop if end is None else end.end()
    pieces.append((False, text[start:]))
    return pieces


def _introduced(text: str, start: int) -> Iterator[tuple[int, bool]]:
    """Yield where a colon behind a word for text ends ("this mail:"), and whether that word names a title."""
    for found in _COLON.finditer(text, start):
        before = text[max(start, found.start() - 160) : found.end()]
        before = before[max(before.rfind(mark) for mark in (". ", "! ", "? ", "\n")) + 1 :].lower()
        if _CONTENT.search(before) is None or _TASKS.search(before):
            continue
        if _THIS.search(before) or not _EACH.search(before):
            yield found.end(), _TITLED.search(before) is not None


def _content(text: str) -> list[tuple[bool, str]]:
    """Cut off what follows "…this mail:" in its line; behind a title, up to the end of the sentence."""
    pieces: list[tuple[bool, str]] = []
    start = 0
    for end, title in _introduced(text, 0):
        if end <= start:
            continue
        pieces.append((False, text[start:end]))
        stop = text.find("\n", end)
        stop = len(text) if stop < 0 else stop
        if title and (close := _END.search(text, end, stop)) is not None:
            stop = close.start()
        pieces.append((True, text[end:stop]))
        start = stop
    pieces.append((False, text[start:]))
    return pieces


def literal(chunk: str) -> bool:
    """Tell whether a piece without spaces is a literal by its form."""
    if len(chunk) > 400:
        return False
    if "@" in chunk:
        return (_ADDRESS.fullmatch(chunk) or _TAG.fullmatch(chunk) or _URL.fullmatch(chunk)) is not None
    if "." in chunk or "/" in chunk or "\\" in chunk:
        if _URL.fullmatch(chunk) or _PATH.fullmatch(chunk):
            return True
        return _HOST.fullmatch(chunk) is not None and chunk.lower() not in _ABBREVIATED
    if chunk[:1] == "#":
        return _TAG.fullmatch(chunk) is not None
    if "_" in chunk:
        return _NAMED.fullmatch(chunk) is not None or _CODE.fullmatch(chunk) is not None
    return not chunk.isalpha() and _CODE.fullmatch(chunk) is not None and not chunk.isdigit()


def _chunk(chunk: str, out: list[Token]) -> None:
    if chunk.isascii() and chunk.isalpha():
        out.append(Token("w", chunk, chunk.lower()))
        return
    if chunk == "&":
        out.append(Token("w", chunk, "and"))
        return
    core = chunk.lstrip("([{<*_").rstrip(")]}>,.;:!?*…")
    if not core:
        if chunk in _BULLET or any(mark in chunk for mark in ".!?;…"):
            out.append(Token(".", chunk, chunk))
        else:
            out.append(Token("p", chunk, ","))
        return
    tail = chunk[chunk.find(core) + len(core) :]
    if chunk[0] in "([{":
        out.append(Token("p", chunk[0], "("))
    if _NUMBER.fullmatch(core):
        out.append(Token("n", core, core.lower()))
    elif not core.isalpha() and literal(core):
        out.append(Token("l", core, normal_form(core)))
    elif len(core) <= 400:
        out.extend(_words(core))
    else:
        out.append(Token("l", core[:400], ""))
    if not tail:
        return
    if any(mark in tail for mark in "!?;…") or ("." in tail and core.lower() not in _ABBREVIATED):
        out.append(Token(".", tail, "?" if "?" in tail else "."))
    elif ":" in tail:
        out.append(Token("p", tail, ":"))
    else:
        out.append(Token("p", tail, ")" if tail[0] in ")]}" else ","))


def _words(core: str) -> list[Token]:
    out: list[Token] = []
    for found in _WORDS.finditer(core):
        text = found.group()
        if text[0].isalpha():
            out.append(Token("w", text, normal_form(text).replace("\u2019", "'")))
        elif text[0].isdigit():
            out.append(Token("n", text, text))
        elif text in ",:/&()":
            out.append(Token("p", text, text))
        elif text in "–—;!?":
            out.append(Token(".", text, text))
    return out


@lru_cache(maxsize=8)
def _pieces(text: str) -> list[tuple[bool, str]]:
    """Return the text in pieces, and of each whether it is quoted: by marks, or by a colon."""
    pieces: list[tuple[bool, str]] = []
    for quoted, piece in _unquoted(text):
        pieces.extend([(True, piece)] if quoted else _content(piece))
    return pieces


@lru_cache(maxsize=256)
def tokens(text: str) -> tuple[Token, ...]:
    """Return the tokens of the user's own words, `own_words(text)`."""
    out: list[Token] = []
    for quoted, piece in _pieces(text):
        if not quoted:
            _plain(piece, out)
        elif piece.strip():
            out.append(Token("q", piece.strip(), normal_form(" ".join(piece.split()))))
            if piece.rstrip()[-1] in ".!?":
                out.append(Token(".", ".", "."))
    return tuple(out)


def _plain(piece: str, out: list[Token]) -> None:
    for number, line in enumerate(_RUN_ON.sub(". ", piece).split("\n")):
        chunks = line.split()
        if number and (not chunks or not chunks[0][0].islower()):
            out.append(Token(".", "\n", "\n"))
        for chunk in chunks:
            _chunk(chunk, out)


@lru_cache(maxsize=256)
def literals(text: str) -> tuple[str, ...]:
    """Return every address, account, path, file, number, id, date and quoted text, in normal form, each once, in order.

    An account or telephone number that is written in groups is given as it stands and without its spaces.
    """
    found: dict[str, None] = {}
    for token in tokens(text):
        if token.kind in "ln" and token.low:
            found[token.low] = None
        elif token.kind == "q" and len(token.low) <= 200:
            found[token.low] = None
            parts = [part.strip(",;()<>[]") for part in token.text.split()]
            if len(parts) > 1 and all(literal(part) for part in parts if part not in {"", "and", "&"}):
                found.update((normal_form(part), None) for part in parts if literal(part))
    for quoted, piece in _pieces(text):
        if (quoted and len(piece) > 200) or _DIGIT.search(piece) is None:
            continue
        for match in _SPACED.finditer(piece):
            whole = normal_form(match.group())
            found[whole] = None
            if whole[-1].isdigit():
                found[re.sub(r"[ ()/]", "", whole)] = None
    return tuple(found)
