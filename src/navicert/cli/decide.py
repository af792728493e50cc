"""What `approve`, `deny` and `answer` have in common: the page, the reason, the passphrase, the signature (R4.a).

* Everything that a person reads before they sign goes to their own terminal, whatever standard output is.
* What is signed is the question that was shown. The engine refuses it where another is asked by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import people_home
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import inert

if TYPE_CHECKING:
    from navicert.cli.tty import Tty
    from navicert.model.suspension import Answer, Approvers, Wait
    from navicert.model.value import Json
    from navicert.people import Seen

F = TypeVar("F", bound=Callable[..., Any])
_NOTHING: Final[Mapping[str, Any]] = {}


def deciding(function: F) -> F:
    """Give a verb `--as`, `--key` and `--reason`."""
    function = click.option("--reason", metavar="TEXT", help="Why; signed with the answer (default: asked for).")(
        function
    )
    function = click.option(
        "--key",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Your encrypted key (default: ~/.config/navicert/NAME.pem).",
    )(function)
    return click.option("--as", "name", metavar="NAME", required=True, help="Who you are, as you are enrolled.")(
        function
    )


def key_path(name: str, named: Path | None) -> Path:
    """Return where a person's key lies."""
    if named is not None:
        return named
    file = quote(name, safe="@+ ")
    file = "%2E" + file[1:] if file.startswith(".") else file
    return Path.home() / ".config" / "navicert" / f"{file}.pem"


class Decided(NamedTuple):
    """What came of an answer: the wait that was answered, what it is now (None: over), and who is enrolled."""

    wait: Wait
    after: Wait | None
    approvers: Approvers
    now: int
    ended: str = ""


def decide(
    home: str | None,
    handle: str,
    answer: Answer,
    *,
    name: str,
    key: Path | None,
    reason: str | None,
    value: Callable[[Wait], Mapping[str, Json]] = lambda _: _NOTHING,
) -> Decided:
    """Show the question, have it signed, and hand the answer in; raises what speaks against it."""
    from navicert.adapters.sign.encrypted_key import load_encrypted_key
    from navicert.cli.page import show_question
    from navicert.cli.question import grounds, wait_document
    from navicert.cli.tty import Tty
    from navicert.people import control, look, sign_answer

    place = people_home(home)
    with look(place) as seen:
        wait = find_wait(seen, handle)
        policy = grounds(seen.archive, wait)
        approvers = seen.approvers
    stated = value(wait)
    path = key_path(name, key)
    with Tty("show the question and ask for your passphrase") as tty, control(place) as engine:
        now = engine.now()
        may_decide(wait, approvers, name, answer, now)
        if not path.exists():
            raise Misused(f"{path}: there is no key; name it with --key, or make one with `navicert approver key`")
        document = wait_document(wait, approvers, now, reasons=policy.reasons, void=policy.void)
        show_question(tty.out, wait, document, now, policy.profile)
        tty.out.say()
        why = (reason or "").strip() or tty.ask("reason: ")
        vote = sign_answer(
            wait.question,
            answer,
            name,
            load_encrypted_key(path, _passphrase(tty, wait, answer, name, stated)),
            engine.now(),
            why,
            stated,
        )
        after = engine.answer(wait.handle, vote)
        people, now = engine.approvers(), engine.now()
    ended = ""
    if after is None:
        with look(place) as seen:
            over = seen.archive.over(wait.handle) if seen.archive is not None else None
            ended = over.reason if over is not None else ""
    return Decided(wait, after, people, now, ended)


def _passphrase(tty: Tty, wait: Wait, answer: Answer, name: str, stated: Mapping[str, Json]) -> str:
    """Say once more what is about to be signed, below everything that an agent wrote."""
    what = {
        "approve": "You APPROVE this one action:",
        "deny": "You REFUSE this action:",
        "state": f"You STATE {inert(', '.join(stated))}, for this action:",
    }[answer.value]
    out = tty.out
    out.say()
    out.say(f"{out.style(what, 'bold')} {inert(wait.action.name)}")
    out.say(f"  {wait.question.digest}")
    return tty.passphrase(f"passphrase of {inert(name)}: ")


def find_wait(seen: Seen, handle: str) -> Wait:
    """Return a wait by its handle or its action's id; raises `Misused` where nothing of that name waits."""
    for wait in seen.waits:
        if handle in {wait.handle, wait.action.action_id}:
            return wait
    over = seen.archive.over(handle) if seen.archive is not None else None
    if over is not None:
        word = "released" if over.permitted else "refused"
        raise Misused(f"`{handle}` is over: it was {word} ({over.reason_code}); `navicert show {handle}` tells how")
    raise Misused(f"nothing named `{handle}` waits; `navicert inbox` lists what does")


def may_decide(wait: Wait, approvers: Approvers, name: str, answer: Answer, now: int) -> None:
    """Raise `Misused` where the engine would refuse this person's answer anyway, before they type anything."""
    from navicert.model.suspension import Answer
    from navicert.people import asked, enrolled

    if enrolled(approvers, name) is None:
        raise Misused(f"`{name}` is not enrolled; `navicert approver list` names who is")
    if now >= wait.question.deadline:
        raise Misused(f"the time of `{wait.handle}` is over: it is denied")
    may = set(asked(wait.question, now))
    if answer is Answer.DENY:
        may.add(wait.question.human)  # who asked for it may always take it back
    if answer is Answer.STATE:
        may = {wait.question.human}
    if name not in may:
        names = ", ".join(asked(wait.question, now)) or "nobody now"
        if answer is Answer.STATE:
            raise Misused(
                f"this fact is asked of `{wait.question.human}`, for whom the agent works, and of nobody else"
            )
        if name == wait.question.human:
            raise Misused(f"`{name}` is the requester, and this rule needs somebody else: {names}")
        raise Misused(f"`{name}` is not among those who may answer: {names}")


def tell(decided: Decided, answer: Answer, *, as_json: bool) -> int:
    """Write what was decided on, and what follows."""
    from navicert.core.answers import hear

    wait, after = decided.wait, decided.after
    heard = hear(after.question, after.votes, decided.approvers, decided.now) if after is not None else None
    asked_anew = after is not None and after.question.nonce != wait.question.nonce
    yes = len([item for item in heard.heard if item.statement.answer.value == "approve"]) if heard else 0
    needed = after.question.approvals if after is not None else wait.question.approvals
    follows = _follows(decided, answer, asked_anew=asked_anew, yes=yes, approved=bool(heard and heard.approved))
    if as_json:
        emit(
            {
                "format": "navicert/answer/1",
                "handle": wait.handle,
                "action_id": wait.action.action_id,
                "digest": wait.question.digest,
                "answer": answer.value,
                "state": "over" if after is None else "asked anew" if asked_anew else "waiting",
                "answers": yes,
                "approvals": needed,
                "approved": bool(heard and heard.approved),
                "follows": follows,
            }
        )
        return FINE
    out = Terminal()
    word = {"approve": "approved", "deny": "refused", "state": "stated"}[answer.value]
    out.say()
    out.say(f"{out.mark('ok')} {word}: {inert(wait.action.name)}, {wait.handle}")
    out.fields([("digest", wait.question.digest), ("now", follows)])
    return FINE


def _follows(decided: Decided, answer: Answer, *, asked_anew: bool, yes: int, approved: bool) -> str:
    after = decided.after
    if after is None:
        if answer.value == "deny":
            return "refused; it will not run"
        return f"it is over, and did not run: {decided.ended or 'it was refused on looking again'}"
    if asked_anew:
        return f"something has changed, so it is asked anew: {after.reason}; `navicert show {after.handle}`"
    if answer.value == "state":
        return "the fact is kept; it is judged again when its caller resumes it"
    if approved:
        return (
            f"{yes} of {after.question.approvals} {_noun(after.question.approvals)}; it runs when its caller resumes it"
        )
    return f"{yes} of {after.question.approvals} {_noun(after.question.approvals)}; it goes on waiting"


def _noun(number: int) -> str:
    return "answer" if number == 1 else "answers"
