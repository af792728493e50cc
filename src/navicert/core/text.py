"""The normal form of text, for predicates that forbid (DESIGN.md section 4, attack families C.1 and B.5)."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
_KEPT_CONTROLS = frozenset("\t\n\r")


def invisible(char: str) -> bool:
    """Tell whether a character shows nothing or changes direction."""
    if char in _INVISIBLE_LETTERS or "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    category = unicodedata.category(char)
    return category == "Cf" or (category == "Cc" and char not in _KEPT_CONTROLS)


@lru_cache(maxsize=4096)
def _normal(text: str) -> str:
    visible = "".join(char for char in text if not invisible(char))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())


def undisguised(text: str) -> str:
    """Return NFKC without invisible and direction characters; case is kept, as patterns tell it apart."""
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFKC", "".join(char for char in text if not invisible(char)))


def normal_form(text: str) -> str:
    """Return NFKC, case-folded, without invisible and direction characters."""
    if text.isascii() and text.isprintable():
        return text.lower()
    return _normal(text) if len(text) <= 4096 else _normal.__wrapped__(text)


def ambiguous(text: str) -> bool:
    """Tell whether the normal form names something else than the text does, beyond case and composition."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return False
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return unicodedata.normalize("NFC", normal_form(text)) != plain or text != text.strip()
