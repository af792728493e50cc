"""What `approve`, `deny` and `answer` have in common: the page, the reason, the passphrase, the signature (R4.a).

* Everything that a person reads before they sign goes to their own terminal, whatever standard output is.
* What is signed is the question that was shown. The engine refuses it where another is asked by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import people_home
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import inert

if TYPE_CHECKING:
    from navicert.asking.deciding import Decided
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
    from navicert.asking.deciding import Decided, key_path
    from navicert.asking.question import grounds, wait_document
    from navicert.cli.page import show_question
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
    from navicert.asking.deciding import refusal

    why = refusal(wait, approvers, name, answer, now)
    if why is not None:
        raise Misused(why)


def tell(decided: Decided, answer: Answer, *, as_json: bool) -> int:
    """Write what was decided on, and what follows."""
    from navicert.asking.deciding import follows

    wait, now = decided.wait, follows(decided, answer)
    if as_json:
        emit(
            {
                "format": "navicert/answer/1",
                "handle": wait.handle,
                "action_id": wait.action.action_id,
                "digest": wait.question.digest,
                "answer": answer.value,
                "state": now.state,
                "answers": now.answers,
                "approvals": now.approvals,
                "approved": now.approved,
                "follows": now.text,
            }
        )
        return FINE
    out = Terminal()
    word = {"approve": "approved", "deny": "refused", "state": "stated"}[answer.value]
    out.say()
    out.say(f"{out.mark('ok')} {word}: {inert(wait.action.name)}, {wait.handle}")
    out.fields([("digest", wait.question.digest), ("now", now.text)])
    return FINE
