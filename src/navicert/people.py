"""People and the engine: what waits, as one sees it; the engine to act on; and what people sign (R4.a, R6.c).

* `look` reads the store as it is, and changes nothing. `control` gives the engine that keeps answers, and closes it.
* What is signed is the question that was shown: the engine refuses an answer to any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.archive import Archive, receipt_of
from navicert.assemble import Assembled, Home, make_pseudonym, open_home, open_kept
from navicert.audit import open_archive
from navicert.core.answers import REQUESTER, statement_bytes
from navicert.core.canonical import percent, state_bytes
from navicert.model.authority import Authority, Standings
from navicert.model.errors import IntegrityError, NavicertError, PolicyError, Unavailable
from navicert.model.suspension import Answer, Approver, Approvers, Question, Restoration, Statement, Vote, Wait
from navicert.model.value import Json
from navicert.ports import Signer
from navicert.service.reach import reach

TIMEOUT_S: Final = 5.0
NO_VALUE: Final[Mapping[str, Json]] = {}


class Control(Protocol):
    """What people do to an engine, whichever process it runs in (`engine.Engine` has the contracts)."""

    def now(self) -> int:
        """Return the time, microseconds."""
        ...

    def waits(self) -> tuple[Wait, ...]:
        """Return what waits."""
        ...

    def wait(self, handle: str) -> Wait | None:
        """Return one wait, None where it is over."""
        ...

    def answer(self, handle: str, vote: Vote) -> Wait | None:
        """Keep an answer."""
        ...

    def sweep(self) -> int:
        """Look at every wait."""
        ...

    def enrol(self, person: Approver) -> None:
        """Enrol an approver."""
        ...

    def dismiss(self, name: str) -> None:
        """End an approver's right to answer."""
        ...

    def approvers(self) -> Approvers:
        """Return who is or was enrolled."""
        ...

    def stop(self, subject: str, state: Authority, *, by: str, reason: str) -> None:
        """Lower authority."""
        ...

    def restore(self, vote: Vote) -> None:
        """Raise authority."""
        ...

    def standings(self) -> Standings:
        """Return whose authority is reduced."""
        ...

    def subject(self, named: str) -> str:
        """Return the subject that a name stands for."""
        ...


class Seen(NamedTuple):
    """What waits, who may answer, and whose authority is reduced; `archive` where this user can read the store."""

    waits: tuple[Wait, ...]
    approvers: Approvers
    standings: Standings
    archive: Archive | None = None


def open_engine(home: Home) -> Assembled:
    """Open the home; under the policy in force where its file does not load (any more): people must get in."""
    try:
        return open_home(home.folder)
    except PolicyError:
        if not home.store.exists():
            raise
        with open_archive(home) as archive:
            records = [receipt_of(row).policy for row in archive.log(kind="policy")]
            kept = archive.policies().get(records[-1].hash) if records and records[-1] is not None else None
        if kept is None:
            raise
        return open_kept(home.folder, kept)


@contextmanager
def control(home: Home) -> Iterator[Control]:
    """Give the engine to work on: the home's own, opened for this and closed afterwards, or the resident owner's."""
    try:
        opened = None if _is_socket(home) else open_engine(home)
    except (NavicertError, OSError) as error:
        with _resident(home, error) as engine:
            yield engine
        return
    if opened is None:
        with _resident(home) as engine:
            yield engine
        return
    try:
        yield opened.engine
    finally:
        opened.close()


@contextmanager
def look(home: Home, *, standings: bool = False) -> Iterator[Seen]:
    """Give what waits, read-only; nothing where there is no store yet. standings: ask a resident owner for them, too.

    Whoever only answers may not ask it for those.
    """
    found, refused = _archive(home)
    if found is not None:
        with found, found.snapshot():
            yield Seen(tuple(found.waits()), found.approvers(), found.standings(), found)
    elif refused is None and not _is_socket(home):
        yield Seen((), Approvers(), Standings())
    else:
        with _resident(home, refused) as engine:
            held = engine.standings() if standings else Standings()
            yield Seen(engine.waits(), engine.approvers(), held)


def page_link(home: Home, handle: str | None = None) -> str | None:
    """Return a one-time address of the approval page, of one wait or of the inbox; None where no page is served.

    Raises `Unavailable` where no owner answers.
    """
    remote = reach(home.folder, timeout_s=TIMEOUT_S, token=None, address=None)
    try:
        return remote.engine.open_page(handle)
    finally:
        remote.close()


def _archive(home: Home) -> tuple[Archive | None, Exception | None]:
    """Return the store for reading, or why this user cannot read it; neither where there is none."""
    try:
        there = not _is_socket(home) and home.store.exists()
        return (open_archive(home) if there else None), None
    except (IntegrityError, Unavailable, OSError) as error:
        return None, error


def _is_socket(home: Home) -> bool:
    """Tell whether the owner's socket was named in place of a home, as people do who cannot read the home."""
    return home.folder.is_socket()


@contextmanager
def _resident(home: Home, refused: Exception | None = None) -> Iterator[Control]:
    """Give the engine of the resident owner (`navicert up`). refused: why this user cannot open the store.

    That is what is raised where no owner answers either.
    """
    try:
        remote = reach(home.folder, timeout_s=TIMEOUT_S, token=None, address=None)
    except (NavicertError, OSError):
        if refused is None:
            raise
        raise refused from None
    try:
        yield remote.engine
    finally:
        remote.close()


def asked(question: Question, now: int) -> tuple[str, ...]:
    """Return who may say yes or no to a question now, by name; `core.answers` decides again on each answer."""
    confirms = REQUESTER in question.approvers and question.approvals == 1
    names = [question.human if name == REQUESTER else name for name in question.approvers]
    if question.escalate_at is not None and now >= question.escalate_at:
        names += question.backups
    return tuple(dict.fromkeys(name for name in names if name != question.human or confirms))


def sign_answer(
    question: Question,
    answer: Answer,
    approver: str,
    key: Signer,
    at: int,
    reason: str,
    value: Mapping[str, Json] = NO_VALUE,
) -> Vote:
    """Return a person's answer to exactly this question, signed. value: of a stated fact, by its name."""
    statement = Statement(
        question=question,
        answer=answer,
        approver=approver,
        key_id=key.key_id,
        at=at,
        reason=reason,
        value=dict(value),
    )
    data = statement_bytes(statement)
    return Vote(statement=data, signature=key.sign(data))


def sign_restoration(
    subject: str, state: Authority, epoch: int, approver: str, key: Signer, at: int, reason: str
) -> Vote:
    """Return a supervisor's signed word that a subject's authority is raised; epoch: of the standings looked at."""
    said = Restoration(
        subject=subject, state=state, epoch=epoch, approver=approver, key_id=key.key_id, at=at, reason=reason
    )
    data = state_bytes(said)
    return Vote(statement=data, signature=key.sign(data))


def enrolled(approvers: Approvers, name: str) -> Approver | None:
    """Return a person as they are enrolled now, None where they are not."""
    return next((person for person in approvers.people if person.name == name and person.until is None), None)


def subject_names(home: Home, seen: Seen) -> dict[str, str]:
    """Return the subjects that stand under a pseudonym or encoded, by how a person writes them: `human/ana`."""
    if not seen.standings.subjects or not home.pseudonym_key.exists():
        return {}
    pseudonym = make_pseudonym(read_secret(home.pseudonym_key))
    people = {person.name for person in seen.approvers.people} | {wait.identity.human for wait in seen.waits}
    agents = {wait.identity.agent for wait in seen.waits}
    for context in seen.archive.sessions() if seen.archive is not None else ():
        people.add(context.claims.human or "")
        agents.add(context.claims.agent or "")
    found = {f"human/{pseudonym(name)}": f"human/{name}" for name in people if name}
    return found | {f"agent/{percent(name)}": f"agent/{name}" for name in agents if name}
