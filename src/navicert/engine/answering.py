"""Answering: what people say to waits, who may say it, and how far an agent's authority reaches (R4.a, R6.c).

* An answer is checked before it is kept, and again, with its signature, when the action is released.
* Authority goes down at anybody's word, at once, for everything that is judged or dispatched from then on. It goes up
  only by the signed word of one of the policy's supervisors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from navicert.core.answers import SKEW, check
from navicert.core.canonical import state_bytes
from navicert.core.draft import approver_draft, authority_draft
from navicert.core.seal import unb64
from navicert.core.shared import APPROVERS, AUTHORITY, restanding, wait_key
from navicert.core.signature import PublicKey, key_id
from navicert.engine.drive import Ask, Call, Machine
from navicert.engine.resuming import resuming
from navicert.engine.waits import current_wait
from navicert.engine.workings import Workings, replace
from navicert.model.authority import LADDER, Authority, Standing, Standings
from navicert.model.commit import Commit, RowRead, RowWrite
from navicert.model.decision import Denied, Permit, Suspended, Verdict
from navicert.model.errors import IdentityError, IntegrityError
from navicert.model.suspension import Approver, Approvers, Restoration, Statement, Vote, Wait
from navicert.ports import Ticket

MOST_VOTES: Final = 64
_RESTORATION: Final = "navicert/restoration/1"
_FRESH: Final = 300_000_000
"""A signed restoration is good for so long, microseconds."""


def answering(works: Workings, handle: str, vote: Vote) -> Machine[Wait | None]:
    """Keep an answer, and end the wait where it refuses. Returns the wait as it stands, or None where it is over.

    Raises `IdentityError` where the answer does not count, `IntegrityError` where there is no such wait.
    """
    key = wait_key(handle)
    yield from _wait(works, handle)
    yield from works.anew((APPROVERS,))

    def attempt() -> Ticket | tuple[str, ...] | None:
        rows = works.snapshot((key, APPROVERS))
        if rows is None:
            return (key, APPROVERS)
        held: Wait | None = rows[key][0]
        if held is None:
            raise IntegrityError(f"`{handle}` is over; `navicert show {handle}` tells how it ended")
        heard = check(held.question, vote, rows[APPROVERS][0], works.clock.now())
        _must_be_enrolled(heard.statement, rows[APPROVERS][0], works.clock.now())
        if vote in held.votes:
            return None
        if len(held.votes) >= MOST_VOTES:
            raise IntegrityError(f"`{handle}` has {MOST_VOTES} answers already")
        return works.queue(
            Commit(
                writes=(RowWrite(key=key, expected=rows[key][1], value=replace(held, votes=(*held.votes, vote))),),
                reads=(RowRead(key=APPROVERS, expected=rows[APPROVERS][1]),),
            )
        )

    yield from works.change(attempt)
    yield from resuming(works, handle, take=False)  # also where this fails the answer is kept
    found = yield from current_wait(works, handle)  # over, also by who waits in band and took it up in between
    return found if isinstance(found, Wait) else None


def _must_be_enrolled(statement: Statement, people: Approvers | None, now: int) -> None:
    """Refuse an answer of somebody who was dismissed: whoever has their key still can date it back."""
    for person in people.people if people is not None else ():
        if (person.name, person.key_id) == (statement.approver, statement.key_id) and (
            person.until is None or now < person.until
        ):
            return
    raise IdentityError(f"`{statement.approver}` is not enrolled with this key any more; see `navicert approver list`")


def _wait(works: Workings, handle: str) -> Machine[Wait]:
    found = yield from current_wait(works, handle)
    if isinstance(found, Denied):
        raise IntegrityError(f"{found.reason}; `navicert inbox` lists what waits")
    return found


def waiting(works: Workings) -> Machine[tuple[Wait, ...]]:
    """Return every wait, the one that ends first in front."""
    call = Call("journal", lambda: works.journal.keys("wait/"), works.journal.inline)
    (answer,) = yield Ask((call,), works.settings.commit_s)
    if answer.error is not None:
        raise answer.error
    keys = tuple(answer.value)
    yield from works.anew(keys)
    rows = yield from works.fetch(keys)
    waits = [row[0] for row in rows.values() if row[0] is not None]
    return tuple(sorted(waits, key=lambda wait: (wait.question.deadline, wait.handle)))


def sweeping(works: Workings) -> Machine[int]:
    """Look at every wait: time-outs, facts, questions asked anew, and who is to be told. Returns how many wait on."""
    left = 0
    for wait in (yield from waiting(works)):
        answer = yield from resuming(works, wait.handle, take=False)
        if isinstance(answer, Permit):
            raise IntegrityError("a sweep released an action")
        if isinstance(answer, Suspended):
            left += 1
            yield from _notify(works, wait.handle)
    return left


def _notify(works: Workings, handle: str) -> Machine[None]:
    """Pass a question on to its approvers, once; to the backups when they may answer."""
    notifier = works.ports.notifier
    wait = yield from current_wait(works, handle)
    if notifier is None or isinstance(wait, Denied):
        return
    question, now = wait.question, works.clock.now()
    names: list[str] = []
    if not wait.notified:
        asked = question.approvers if question.verdict is Verdict.STEP_UP else ()
        names += [*asked, *({question.human} if question.facts else ())]
    escalated = question.escalate_at is not None and now >= question.escalate_at
    if escalated and not wait.escalated:
        names += question.backups
    if not names:
        return
    key = wait_key(handle)
    with works.turn:
        row = works.rows.get(key)
        if row is None or row[0] != wait:
            return
        told = replace(wait, notified=True, escalated=escalated)
        ticket = works.queue(Commit(writes=(RowWrite(key=key, expected=row[1], value=told),)))
    yield from works.durable(ticket)  # claimed first: of several owners one tells
    yield Ask((Call("notifier", lambda: notifier.notify(wait, tuple(names)), inline=False),), works.settings.measure_s)


def enrolling(works: Workings, person: Approver) -> Machine[None]:
    """Enrol an approver; an earlier key of the same name ends. Raises `IntegrityError` for a key that is in use."""
    try:
        public = unb64(person.public)
        PublicKey(person.algorithm, public)
    except ValueError as error:
        raise IntegrityError(f"this is no public key: {error}") from None
    if person.key_id != key_id(person.algorithm, public):  # else one key could be enrolled as two
        raise IntegrityError(f"the public key is not that of the key id {person.key_id}; enrol it under its own")
    if not person.name.strip() or person.name == "requester":
        raise IntegrityError(f"`{person.name}` cannot be the name of an approver; use the person's own identity")
    if person.since > works.clock.now() + SKEW:  # the log tells since when by when it was recorded
        raise IntegrityError(f"`{person.name}` is enrolled from a later time on; check the clock, or enrol them then")

    def made(held: Approvers) -> Approvers:
        if any(item.key_id == person.key_id for item in held.people):
            raise IntegrityError(f"the key {person.key_id} is enrolled already; make another")
        return Approvers(people=(*_until(held, person.name, person.since), person))

    yield from _approvers(works, made, person)


def dismissing(works: Workings, name: str) -> Machine[None]:
    """End an approver's right to answer; what they answered before stays."""
    now = works.clock.now()
    yield from works.anew((APPROVERS,))
    rows = yield from works.fetch((APPROVERS,))
    held: Approvers = rows[APPROVERS][0] or Approvers()
    current = next((item for item in held.people if item.name == name and item.until is None), None)
    if current is None:
        raise IntegrityError(f"`{name}` is no approver; `navicert approver list` names them")
    yield from _approvers(
        works, lambda row: Approvers(people=_until(row, name, now)), msgspec.structs.replace(current, until=now)
    )


def _until(held: Approvers, name: str, now: int) -> tuple[Approver, ...]:
    return tuple(
        msgspec.structs.replace(item, until=now) if item.name == name and item.until is None else item
        for item in held.people
    )


def _approvers(works: Workings, made: Callable[[Approvers], Approvers], person: Approver) -> Machine[None]:
    yield from works.anew((APPROVERS,))

    def attempt() -> Ticket | tuple[str, ...] | None:
        rows = works.snapshot((APPROVERS,))
        if rows is None:
            return (APPROVERS,)
        held, version = rows[APPROVERS]
        scribe = works.settings.scribe
        draft = approver_draft(scribe, person, receipt_id=works.ids.new("rcp"), now=works.clock.now())
        value = made(held or Approvers())
        return works.queue(Commit(writes=(RowWrite(key=APPROVERS, expected=version, value=value),), draft=draft))

    yield from works.change(attempt)


def approvers(works: Workings) -> Machine[Approvers]:
    """Return everybody who is or was enrolled."""
    yield from works.anew((APPROVERS,))
    rows = yield from works.fetch((APPROVERS,))
    return rows[APPROVERS][0] or Approvers()


def standings(works: Workings) -> Machine[Standings]:
    """Return every subject whose authority is not full."""
    yield from works.anew((AUTHORITY,))
    rows = yield from works.fetch((AUTHORITY,))
    return rows[AUTHORITY][0] or Standings()


def stopping(works: Workings, subject: str, state: Authority, *, by: str, reason: str) -> Machine[None]:
    """Lower a subject's authority; raises `IntegrityError` where it would not be lower than it is."""
    yield from works.anew((AUTHORITY,))

    def attempt() -> Ticket | tuple[str, ...] | None:
        rows = works.snapshot((AUTHORITY,))
        if rows is None:
            return (AUTHORITY,)
        held: Standings = rows[AUTHORITY][0] or Standings()
        before = held.subjects[subject].state if subject in held.subjects else Authority.FULL
        if LADDER.index(state) < LADDER.index(before):
            message = f"`{subject}` is {before.value}; only a supervisor widens it: `navicert restore {subject}`"
            raise IntegrityError(message)
        if state is before:
            return None
        standing = Standing(state=state, at=works.clock.now(), by=by, reason=reason)
        return _stand(works, rows[AUTHORITY], subject, before, standing)

    yield from works.change(attempt)


def restoring(works: Workings, vote: Vote) -> Machine[None]:
    """Raise a subject's authority, by the signed word of a supervisor; raises `IdentityError` where that fails."""
    try:
        said = msgspec.json.decode(vote.statement, type=Restoration)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IdentityError(f"this is no restoration: {error}") from None
    if state_bytes(said) != vote.statement or said.type != _RESTORATION:
        raise IdentityError("the statement is not in the one form that a restoration has")
    yield from works.anew((AUTHORITY, APPROVERS))

    def attempt() -> Ticket | tuple[str, ...] | None:
        rows = works.snapshot((AUTHORITY, APPROVERS))
        if rows is None:
            return (AUTHORITY, APPROVERS)
        held: Standings = rows[AUTHORITY][0] or Standings()
        now = works.clock.now()
        _must_be_supervisor(works, said, vote, rows[APPROVERS][0], now)
        if said.subject not in held.subjects:
            raise IntegrityError(f"the authority of `{said.subject}` is full already")
        if said.epoch != held.epoch:
            raise IdentityError("something has changed since this was signed; look at it again, and sign anew")
        before = held.subjects[said.subject].state
        if LADDER.index(said.state) >= LADDER.index(before):
            raise IntegrityError(f"`{said.subject}` is {before.value} already; to lower it, use `navicert kill`")
        standing = Standing(state=said.state, at=now, by=said.approver, reason=said.reason)
        return _stand(works, rows[AUTHORITY], said.subject, before, standing)

    yield from works.change(attempt)


def _must_be_supervisor(works: Workings, said: Restoration, vote: Vote, people: Approvers | None, now: int) -> None:
    if said.approver not in works.policy.policy.supervisors:
        raise IdentityError(f"`{said.approver}` is not among the `supervisors` of the policy")
    if abs(now - said.at) > _FRESH or not said.reason.strip():
        raise IdentityError("it was not signed just now, or without a reason")
    for person in people.people if people else ():
        if (person.name, person.key_id, person.until) == (said.approver, said.key_id, None):
            try:
                PublicKey(person.algorithm, unb64(person.public)).verifies(vote.statement, vote.signature)
            except ValueError:
                break
            return
    raise IdentityError(f"the signature is not that of `{said.approver}`, as enrolled")


def _stand(
    works: Workings, row: tuple[Standings | None, int], subject: str, before: Authority, standing: Standing
) -> Ticket:
    after = restanding(row[0], subject, standing)
    draft = authority_draft(
        works.settings.scribe,
        receipt_id=works.ids.new("rcp"),
        now=works.clock.now(),
        subject=subject,
        before=before,
        after=standing,
        epoch=after.epoch,
    )
    return works.queue(Commit(writes=(RowWrite(key=AUTHORITY, expected=row[1], value=after),), draft=draft))


__all__ = [
    "answering",
    "approvers",
    "dismissing",
    "enrolling",
    "restoring",
    "standings",
    "stopping",
    "sweeping",
    "waiting",
]
