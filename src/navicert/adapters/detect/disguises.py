"""Takes the disguises off text: normal form, percent-encoding, base64, hex, rot13, spacing (attack case C.8).

* Each is taken off once; a token disguised twice over is not found, and an agent that encrypts is not stopped here.
* Time is linear in the text. What comes out is searched as it is: misaligned ends are noise, which no rule matches.
"""

from __future__ import annotations

import binascii
import codecs
import unicodedata
from collections.abc import Iterator

from navicert.adapters.detect.confirm import compiled

DECODED_LIMIT = 64 * 1024
"""Bytes of text that may come out of base64 and hex."""

TRIGGERS = {"encoded": rb"[A-Za-z0-9]{24}", "percent": rb"%[2-7][0-9A-Fa-f]", "spaced": rb"(?:[\w-][ .,|:;*\n]){12}"}
"""The signs that a disguise may be there."""

_runs = compiled(rb"[A-Za-z0-9]{24,}(?:(?:[+/_-]|\r?\n|(?:\\r)?\\n)+[A-Za-z0-9]+)*")
"""Base64 or hex, perhaps, with what follows over joints and line breaks."""
_hex_run = compiled(rb"[0-9A-Fa-f]{24,}")
_spaced = compiled(rb"(?:[\w-][ .,|:;*\n]){12,}[\w-]")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROT13 = bytes.maketrans(_LETTERS.encode(), codecs.encode(_LETTERS, "rot13").encode())
_STANDARD = bytes.maketrans(b"-_", b"+/")
_BINARY = bytes(each for each in range(256) if not (32 <= each < 127 or each in b"\t\n\r"))
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | set(map(chr, range(0xFE00, 0xFE10)))


class TooMuch(Exception):
    """More is encoded in the text than is decoded: nobody can say that it was looked at."""


def normal_form(text: str) -> str:
    """Return the text as a reader takes it: NFKC, no invisible characters, plain digits and dashes. Case is kept."""
    text = unicodedata.normalize("NFKC", text)
    table: dict[int, str | None] = {}
    for character in set(text):
        if not character.isascii():
            kind = unicodedata.category(character)
            if kind in {"Cf", "Cs"} or character in _INVISIBLE:
                table[ord(character)] = None
            elif kind == "Nd":
                table[ord(character)] = str(unicodedata.decimal(character))
            elif kind == "Pd":
                table[ord(character)] = "-"
    return text.translate(table) if table else text


def rot13(data: bytes) -> bytes:
    """Return the text with each letter thirteen places on."""
    return data.translate(_ROT13)


def unspaced(data: bytes) -> Iterator[bytes]:
    """Yield what was spaced out: every other character of each such run."""
    for match in _spaced.finditer(data):
        yield match.group()[::2]


def decoded(data: bytes) -> bytes:
    """Return the text in the base64 and hex of `data`, a part a line; raises `TooMuch` beyond `DECODED_LIMIT`."""
    return b"\n".join(part for _, part in runs(data))


def runs(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield each text in the base64 and hex of `data`, with where it stands; raises `TooMuch` as `decoded`."""
    left = DECODED_LIMIT
    for match in _runs.finditer(data):
        run = match.group().replace(b"\\r", b"").replace(b"\\n", b"").translate(None, b"\r\n")
        inner = _hex_run.search(run)
        for part in (*_from_hex(inner.group() if inner else b""), *_from_base64(run)):
            left -= len(part)
            if left < 0:
                raise TooMuch
            yield match.span(), part


def _from_hex(run: bytes) -> Iterator[bytes]:
    """Yield the text in a run of hex digits, at either alignment."""
    for start in (0, 1) if run else ():
        found = binascii.unhexlify(run[start : len(run) - (len(run) - start) % 2])
        if _is_text(found[:36]) or _is_text(found[-36:]):
            yield found


def _from_base64(run: bytes) -> Iterator[bytes]:
    """Yield the text in a run of base64, at any alignment: letters may be glued to its front."""
    if run.islower() or run.isupper():
        return  # text in base64 has letters of both cases
    run = run.translate(_STANDARD)
    for start in range(4):
        part = run[start : len(run) - (len(run) - start) % 4]
        if _is_text(binascii.a2b_base64(part[:48])) or _is_text(binascii.a2b_base64(part[-48:])):
            yield binascii.a2b_base64(run[start:] + b"A" * (-(len(run) - start) % 4))


def _is_text(data: bytes) -> bool:
    return len(data.translate(None, _BINARY)) * 10 >= len(data) * 7
