"""Deciding: who may answer a question, where their key lies, and what follows (R4.a).

* Asked before anybody types a passphrase; the engine decides again on each answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from navicert.core.answers import hear
from navicert.model.suspension import Answer
from navicert.people import asked, enrolled

if TYPE_CHECKING:
    from navicert.model.suspension import Approvers, Wait
    from navicert.model.value import Json

NOT_GRANTED: Final = (
    "Any other action: it holds for these bytes, this session and this person, once, until its time is over.",
    "More data: where labels have grown, a named file or a rule has changed, it is void, and asked anew.",
    "What is forbidden: everything is judged again before it runs, and a prohibition or a kill stands over it.",
)


def key_path(name: str, named: Path | None) -> Path:
    """Return where a person's key lies."""
    if named is not None:
        return named
    file = quote(name, safe="@+ ")
    file = "%2E" + file[1:] if file.startswith(".") else file
    return Path.home() / ".config" / "navicert" / f"{file}.pem"


def refusal(wait: Wait, approvers: Approvers, name: str, answer: Answer, now: int) -> str | None:
    """Return why the engine would refuse this person's answer anyway, None where it would not."""
    if enrolled(approvers, name) is None:
        return f"`{name}` is not enrolled; `navicert approver list` names who is"
    if now >= wait.question.deadline:
        return f"the time of `{wait.handle}` is over: it is denied"
    may = set(asked(wait.question, now))
    if answer is Answer.DENY:
        may.add(wait.question.human)  # who asked for it may always take it back
    if answer is Answer.STATE:
        may = {wait.question.human}
    if name in may:
        return None
    names = ", ".join(asked(wait.question, now)) or "nobody now"
    if answer is Answer.STATE:
        return f"this fact is asked of `{wait.question.human}`, for whom the agent works, and of nobody else"
    if name == wait.question.human:
        return f"`{name}` is the requester, and this rule needs somebody else: {names}"
    return f"`{name}` is not among those who may answer: {names}"


def parsed(text: str) -> Json:
    """Return a value as JSON says it, or the text itself where it is none."""
    try:
        found: Json = json.loads(text, parse_constant=_none)
    except ValueError:
        return text
    return found


def _none(word: str) -> None:
    raise ValueError(word)


class Decided(NamedTuple):
    """What came of an answer: the wait that was answered, what it is now (None: over), and who is enrolled."""

    wait: Wait
    after: Wait | None
    approvers: Approvers
    now: int
    ended: str = ""


class Follows(NamedTuple):
    """What follows an answer. state: `over`, `asked anew` or `waiting`. answers: of those who said yes."""

    state: str
    answers: int
    approvals: int
    approved: bool
    text: str


def follows(decided: Decided, answer: Answer) -> Follows:
    """Return what follows, for a person to read."""
    wait, after = decided.wait, decided.after
    if after is None:
        text = f"it is over, and did not run: {decided.ended or 'it was refused on looking again'}"
        refused = "refused; it will not run"
        return Follows("over", 0, wait.question.approvals, approved=False, text=refused if answer == "deny" else text)
    heard = hear(after.question, after.votes, decided.approvers, decided.now)
    yes, needed = sum(item.statement.answer is Answer.APPROVE for item in heard.heard), after.question.approvals
    anew = after.question.nonce != wait.question.nonce
    if anew:
        text = f"something has changed, so it is asked anew: {after.reason}; `navicert show {after.handle}`"
    elif answer is Answer.STATE:
        text = "the fact is kept; it is judged again when its caller resumes it, at once if it waits"
    else:
        then = "it runs when its caller resumes it, at once if it waits" if heard.approved else "it goes on waiting"
        text = f"{yes} of {needed} {'answer' if needed == 1 else 'answers'}; {then}"
    return Follows("asked anew" if anew else "waiting", yes, needed, approved=heard.approved, text=text)
