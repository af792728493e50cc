"""An answer from the page: checked, signed with the approver's own key, and handed to the engine (R4.a).

* What is signed is the question as it is held now, and only where that is the one that was on the page: else 409.
* The passphrase is used once, for the key that lies with the owner's user, and stays nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from navicert.adapters.sign.encrypted_key import load_encrypted_key
from navicert.asking.deciding import Decided, follows, key_path, parsed, refusal
from navicert.assemble import Home
from navicert.console.exchange import Refused
from navicert.console.links import Links, Session
from navicert.console.views import question_id
from navicert.model.errors import IdentityError, IntegrityError, NavicertError
from navicert.model.suspension import Answer, Wait
from navicert.model.value import Json
from navicert.people import Control, look, sign_answer

LONGEST: Final = 2_000
"""Characters of a reason, or of a stated fact."""
FACT: Final = "fact "
"""What the fields of facts are called: this, and the fact's name."""
_WORDS: Final = {Answer.APPROVE: "Your approval is kept", Answer.DENY: "You denied it", Answer.STATE: "You stated it"}


class Asked(NamedTuple):
    """What came of a form. status: 303 where it was an answer; else why it was none, and what to show again."""

    status: int
    problem: str
    typed: Mapping[str, str] = {}


def answer_wait(
    engine: Control, home: Home, links: Links, session: Session, handle: str, form: Mapping[str, str]
) -> Asked:
    """Sign and hand in what a form says; raises `Refused` where it is no form of this page."""
    if form.get("answer") not in {item.value for item in Answer}:
        raise Refused(400, "this form says neither `approve` nor `deny` nor `state`")
    answer, name, reason = Answer(form["answer"]), form.get("approver", ""), form.get("reason", "").strip()
    wait = engine.wait(handle)
    if wait is None:
        return Asked(409, "It is over by now. Nothing was signed.")
    if (form.get("digest"), form.get("question")) != (wait.question.digest, question_id(wait.question)):
        return Asked(
            409, "What you saw is not what is asked now: the action, or what it rests on, has changed. Nothing was "
            "signed. This is how it stands; read it again.",
        )  # fmt: skip
    typed = {name: text for name, text in form.items() if name in {"approver", "reason"} or name.startswith(FACT)}

    def again(status: int, problem: str) -> Asked:
        return Asked(status, problem, typed)

    stated = _stated(wait, form) if answer is Answer.STATE else {}
    missing = _missing(name, reason, form, stated if answer is Answer.STATE else None)
    if missing:
        return again(422, missing)
    why = refusal(wait, engine.approvers(), name, answer, engine.now())
    if why is not None:
        return again(403, f"Nothing was signed: {why}")
    path = key_path(name, None)
    if not path.exists():
        return again(
            422, f"Nothing was signed: there is no key ~/.config/navicert/{path.name} with the user under whom the "
            "owner runs; put it there, or answer with `navicert approve`",
        )  # fmt: skip
    if not links.may_try(session, name):
        return again(429, f"Too many tries at the passphrase of `{name}`. Nothing was signed; wait a minute.")
    try:
        key = load_encrypted_key(path, form["passphrase"])
    except IdentityError:
        return again(422, f"Nothing was signed: this is not the passphrase of `{name}`.")
    except (IntegrityError, OSError):
        return again(422, f"Nothing was signed: the key of `{name}` cannot be used; `navicert approve` says why.")
    links.succeeded(session, name)
    vote = sign_answer(wait.question, answer, name, key, engine.now(), reason, stated)
    try:
        after = engine.answer(handle, vote)
    except (IdentityError, IntegrityError) as error:  # it has changed, or ended, since it was looked at above
        return Asked(409, f"Your answer does not count: {error}")
    return Asked(303, _told(engine, home, wait, after, answer))


def _stated(wait: Wait, form: Mapping[str, str]) -> dict[str, Json]:
    values = {name: form.get(FACT + name, "").strip() for name in wait.question.facts}
    return {name: parsed(text) for name, text in values.items() if text}


def _missing(name: str, reason: str, form: Mapping[str, str], stated: Mapping[str, Json] | None) -> str:
    """Return what is missing in a form, or too long in it."""
    if stated is not None and not stated:
        return "Nothing was signed: state a fact."
    if not name:
        return "Nothing was signed: say who you are."
    if not reason:
        return "Nothing was signed: an answer needs a reason."
    if any(len(text) > LONGEST for text in form.values()):
        return f"Nothing was signed: a reason and a fact have at most {LONGEST} characters."
    return "" if form.get("passphrase") else "Nothing was signed: it takes your passphrase."


def _told(engine: Control, home: Home, wait: Wait, after: Wait | None, answer: Answer) -> str:
    ended = ""
    if after is None:
        with look(home) as seen:
            over: Any = seen.archive.over(wait.handle) if seen.archive is not None else None
            ended = over.reason if over is not None else ""
    try:
        decided = Decided(wait, after, engine.approvers(), engine.now(), ended)
        return f"{_WORDS[answer]}: {follows(decided, answer).text.removeprefix('refused; ')}"
    except NavicertError:  # the answer is kept; what follows is told another time
        return f"{_WORDS[answer]}."
