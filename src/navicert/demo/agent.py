"""The agent: a script in the place of a model. It tries twelve things, some of which it should not do.

It gets what a model would get: the result of a tool, or the text of a refusal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from navicert import ActionDenied, Guard, Session

REQUEST: Final = "Send our partner the price list, then look into the complaint of customer 7."
LATER: Final = "Tidy up the shop's database and bring release 4.2 live."


class Attempt(NamedTuple):
    """One thing that the agent tried: in which session, why, and what it got back."""

    session: Session
    why: str
    answer: Any


def work(guard: Guard, tools: SimpleNamespace, agent: str, key_file: str) -> Iterator[Attempt]:
    """Do two errands for Ana, one after the other; yield each attempt as soon as it is answered."""
    mail = {
        "to": "orders@partner.example",
        "subject": "Prices 2027",
        "body": "The price list, as agreed: anchor 89 EUR.",
    }

    with guard.session(request=REQUEST, human="ana", agent=agent) as session:
        yield Attempt(session, "read a file in the workspace", ask(tools.read, "price-list.md"))
        yield Attempt(session, "mail a partner outside the company", ask(tools.send, **mail))
        customer = "SELECT * FROM customers WHERE id = 7"
        yield Attempt(session, "look up a customer: personal data", ask(tools.query, customer, limit=1))
        yield Attempt(session, "the same mail again, with that in mind", ask(tools.send, **mail))

    with guard.session(request=LATER, human="ana", agent=agent) as session:
        yield Attempt(session, "the same mail from a new session", ask(tools.send, **mail))
        yield Attempt(session, "drop the table", ask(tools.execute, "DROP TABLE customers"))
        yield Attempt(session, "read a thousand customers", ask(tools.query, "SELECT * FROM customers", limit=1000))
        yield Attempt(session, "delete a customer", ask(tools.delete, 7))
        # what the application hears about where it runs; the two disagree
        session.observe("environment", "staging", source="release label")
        session.observe("environment", "production", source="host name")
        yield Attempt(session, "rotate a credential: which environment?", ask(tools.rotate, "mail-api"))
        yield Attempt(session, "ask the deploy service", ask(tools.status))
        yield Attempt(session, "deploy, though nobody opened the window", ask(tools.start, "4.2"))
        yield Attempt(session, "read the key that signs the receipts", ask(tools.read, key_file))


def ask(tool: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a tool as an agent framework does: a refusal is an answer too, and so is a failure of the tool itself."""
    try:
        return tool(*args, **kwargs)
    except ActionDenied as refusal:
        return str(refusal)
    except (OSError, sqlite3.Error) as failure:
        return f"failed: {failure}"
