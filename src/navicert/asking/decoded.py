"""Decoded forms of what an agent wrote, shown beside the raw text: where an address really leads (consent integrity).

* Only what is certain is said: the host that a URL reaches, the address that a mail goes to, in ASCII (punycode) and,
  where that is something else, in the characters that it stands for. Everything else is left to the raw text.
* What comes back is text of the agent's still, and not yet inert.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_LONGEST: Final = 4_096
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_ADDRESS: Final = r'([^\s@<>,;"()]+@[^\s@<>,;"()]+)'
_ITEM: Final = re.compile(rf' ?(?:(?:"[^"\\]*"|[^<>",;]*) ?<{_ADDRESS}>|{_ADDRESS}) ?(?:[,;]|$)')


def decoded(text: str) -> list[tuple[str, str]]:
    """Return (what it is, decoded form) of a text that is one URL or a list of mail addresses; [] for any other."""
    if len(text) > _LONGEST:
        return []
    plain = " ".join(text.split())  # and no run of spaces takes the pattern below long
    if _URL.match(plain) and " " not in plain:
        return _url(plain)
    return _mail(plain) if "@" in plain else []


def _url(text: str) -> list[tuple[str, str]]:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return [("reaches", "what this URL reaches cannot be told: it is malformed")]
    found = [("host", _both(host) + (f", port {port}" if port is not None else ""))]
    if parts.username is not None or parts.password is not None:
        found.append(("carries a user", unquote(parts.username or "")))
    behind = text.split("://", 1)[1].partition("/")[2]
    if unquote(behind) != behind:
        found.append(("path, decoded", "/" + unquote(behind)))
    return found


def _mail(text: str) -> list[tuple[str, str]]:
    shown, place = [], 0
    while place < len(text):
        item = _ITEM.match(text, place)
        if item is None:
            return []  # not certain, so nothing is said
        name, _, host = (item[1] or item[2]).rpartition("@")
        shown.append(f"{name}@{_both(host)}")
        place = item.end()
    return [("goes to", ", ".join(shown))] if shown != [text] else []


def _both(host: str) -> str:
    """Return a host in ASCII, and what it reads as where that is something else."""
    try:
        ascii_form = host.encode("idna").decode() if host else ""
    except UnicodeError:
        ascii_form = ".".join(_punycode(label) for label in host.split("."))
    unicode_form = ".".join(_readable(label) for label in ascii_form.split("."))
    return ascii_form if unicode_form == ascii_form else f"{ascii_form} (reads as {unicode_form})"


def _punycode(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def _readable(label: str) -> str:
    if not label.lower().startswith("xn--"):
        return label
    try:
        return label[4:].encode().decode("punycode")
    except UnicodeError:
        return label
