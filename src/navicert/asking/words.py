"""Words that tell of a waiting action, on a terminal and on the page alike; its text is not yet inert (R4.a)."""

from __future__ import annotations

from typing import Any

import msgspec

from navicert.core.times import micros


def count(document: dict[str, Any]) -> str:
    """Return how many answers there are, of how many that are needed."""
    if document["verdict"] != "STEP_UP":
        stated = sum(item["answer"] == "state" for item in document["answers"])
        return f"{stated} of {len(document['asks'])} facts stated" if document["asks"] else "waits for a fact"
    yes = sum(item["answer"] == "approve" for item in document["answers"])
    return f"{yes} of {document['approvals']} {'answer' if document['approvals'] == 1 else 'answers'}"


def left(deadline: str, now: int) -> str:
    """Return how much time is left."""
    seconds = (micros(deadline) - now) // 1_000_000
    if seconds <= 0:
        return "time is over"
    if seconds >= 86_400:
        return f"{seconds // 86_400} d {seconds % 86_400 // 3_600} h left"
    if seconds >= 3_600:
        return f"{seconds // 3_600} h {seconds % 3_600 // 60} min left"
    return f"{seconds // 60} min {seconds % 60} s left" if seconds >= 60 else f"{seconds} s left"


def at(text: str) -> str:
    """Return a time as one reads it."""
    return f"{text[:19].replace('T', ' ')} UTC"


def value_text(value: Any) -> str:
    """Return a value as one reads it: text as it stands, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def chain(who: dict[str, Any]) -> list[tuple[str, str]]:
    """Return for whom an action is, from the human to the session, who delegated, and who vouches for it."""
    links = [
        f"{link['delegator']} → {link['delegatee']}: {', '.join(link['scope'])}"
        + (f", until {at(link['expires_at'])}" if link["expires_at"] else ", without an end")
        + (" (on the application's word)" if link["evidence"] == "asserted" else "")
        for link in who["delegation"]
    ]
    evidence = [
        f"{item['subject']} by {item['method']} of {item['issuer']}, {at(item['at'])}"
        + (f", good until {at(item['expires_at'])}" if item["expires_at"] else "")
        for item in who["verified"]
    ]
    word = "taken on the application's word" if who["development"] else "; ".join(evidence) or "not verified"
    return [
        *((name, who[name]) for name in ("human", "service", "agent", "session")),
        ("roles", ", ".join(who["roles"])),
        ("scope", ", ".join(who["scope"])),
        *(("delegated", text) for text in links),
        ("identity", word),
        ("checked again", "before it runs: " + ", ".join(who["checked_again"])),
    ]
