"""Erasure of what receipts disclose about a data subject, and holds against it (DESIGN.md section 7).

A hold is set by one enrolled person. An erasure, and the end of a hold, take two, who sign one and the same statement
(`verification.erasures`); nobody decides about themselves. An erasure may break off anywhere, and is taken up again:

 1. The subject's key is set aside: from here on nothing is sealed under it, in any process.
 2. One transaction: the `erasure` record, and a row that says what is still to be done.
 3. The key is overwritten and removed; the subject's next action makes another one.
 4. The contexts of the subject's sessions are deleted, and the files of the store rewritten without them.
 5. The row goes.

Broken off before 2 stands, the key is put back; behind it, 3 to 5 are done again: whenever the home is opened.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.archive import Archive, receipt_of
from navicert.adapters.store.forgetting import erase
from navicert.adapters.store.sqlite import SqliteJournal
from navicert.adapters.store.vault import Vault
from navicert.core.canonical import state_bytes
from navicert.core.draft import Scribe, record_draft
from navicert.core.seal import b64, commit_to, disclosure, plain_disclosure, unb64
from navicert.core.shared import APPROVERS
from navicert.core.signature import PublicKey
from navicert.core.times import rfc3339
from navicert.model.commit import Commit, Draft, RowRead, RowWrite
from navicert.model.context import SessionContext
from navicert.model.errors import IdentityError, IntegrityError, NavicertError, Unavailable
from navicert.model.receipt import ApprovalPart, ErasurePart
from navicert.model.shared import Erasing
from navicert.model.suspension import Approvers
from navicert.ports import Conflict, Signer
from navicert.verification.disclosed import ERASURE, name_at, read_disclosure, statement_at
from navicert.verification.erasures import ERASED, HOLD, OPEN_US, RELEASE, ErasureStatement, read_statement

if TYPE_CHECKING:
    from navicert.assemble import Assembled, Home

LEFT_US: Final = 86_400_000_000
"""A session that nobody ended, and in which nothing has happened for so long, counts as left."""
WAIT_S: Final = 10.0


class Record(NamedTuple):
    """An `erasure` record of the log: the subject's pseudonym, what became of them, when, and its place."""

    subject: str
    state: str
    at: str
    seq: int


class Subject(NamedTuple):
    """What is kept of a data subject. receipts: with disclosures under their key. sessions: whose context is kept.

    busy: why they cannot be erased now, "" where they can. pending: what one person has signed, while it is open.
    """

    name: str
    pseudonym: str
    receipts: int
    sessions: tuple[str, ...]
    busy: str
    held: bool
    pending: Erasing | None
    version: int


class Decided(NamedTuple):
    """What came of a signature. state: `requested`, `hold`, `release` or `erased`. until: of a request."""

    state: str
    subject: Subject
    people: tuple[str, ...]
    until: int | None = None


def records(archive: Archive) -> list[Record]:
    """Return the holds, releases and erasures of a log, in order."""
    found = [receipt_of(row) for row in archive.log(kind="erasure")]
    return [Record(item.erasure.subject, item.erasure.state, item.at, item.log.seq) for item in found if item.erasure]


def requested(archive: Archive, now: int) -> list[tuple[ErasureStatement, Erasing]]:
    """Return what one person has signed and a second has not, while it is open."""
    rows = [(read_statement(row.statement, "a request"), row) for row in archive.erasing() if row.sessions is None]
    return [(said, row) for said, row in rows if now < said.at + OPEN_US]


def why(row: Erasing) -> str:
    """Return the reason that a request gives; raises `IntegrityError` where it is not the one that was signed."""
    if commit_to(row.reason) != read_statement(row.statement, "the request").reason:
        raise IntegrityError("the reason of the request is not the one that was signed; run `navicert verify`")
    found: str = msgspec.json.decode(read_disclosure(row.reason)[2], type=str)
    return found


def look(opened: Assembled, name: str) -> Subject:
    """Return what is kept of a person, named as sessions name them."""
    pseudonym, now = opened.pseudonym(name), opened.engine.now()
    row, version = opened.journal.read([_key(pseudonym)]).get(_key(pseudonym), (None, 0))
    with _archive(opened.home) as archive, archive.snapshot():
        past = records(archive)
        since = max((item.seq for item in past if (item.subject, item.state) == (pseudonym, ERASED)), default=0)
        rows = list(archive.log(subject=pseudonym))
        named = {item.session for item in rows}
        contexts = [item for item in archive.sessions() if _of(item, pseudonym, named, opened)]
        kept = {item.session_id for item in contexts}
        kept |= {item for item in named - kept if item and next(archive.entries(item), None) is not None}
    open_still = row is not None and row.sessions is None and now < read_statement(row.statement, name).at + OPEN_US
    return Subject(
        name=name,
        pseudonym=pseudonym,
        receipts=sum(item.wrapped is not None and item.seq > since for item in rows),
        sessions=tuple(sorted(kept)),
        busy=next(filter(None, (_busy(item, now) for item in contexts)), ""),
        held=next((item.state for item in reversed(past) if item.subject == pseudonym), "") == HOLD,
        pending=row if open_still else None,
        version=version,
    )


def refusal(subject: Subject, state: str, by: str) -> str:
    """Return why this person cannot sign for this, "" where they can; `decide` holds to the same."""
    name = subject.name
    if by == name:
        return f"`{by}` is the one whom it is about: two others decide on that"
    if state == HOLD:
        return f"`{name}` is held already" if subject.held else ""
    if state == RELEASE and not subject.held:
        return f"`{name}` is not held; `navicert erase list` shows who is"
    if subject.pending is not None and subject.pending.by == by:
        return f"`{by}` has signed for it already; a second person is needed"
    if state == RELEASE:
        return ""
    if subject.held:
        return f"`{name}` is under a legal hold: nothing is erased until two people lift it (`navicert erase release`)"
    if not subject.receipts and not subject.sessions:
        return f"nothing is kept of `{name}`; write the name exactly as sessions do"
    return subject.busy


def decide(opened: Assembled, seen: Subject, state: str, reason: str, by: str, signer: Signer) -> Decided:
    """Sign for a hold, a release or an erasure; the second signature carries it out.

    seen: what `look` returned, and the person was shown. Raises `IdentityError` where they have no say, or something
    has changed since; `Unavailable` where the store does not answer: what had begun is then finished later.
    """
    with opened.keys.erasing():
        finish_erasures(opened.journal, opened.keys)
        now, subject = opened.engine.now(), look(opened, seen.name)
        if (subject.pending, subject.held) != (seen.pending, seen.held):
            raise IdentityError("something has changed since you looked; look again, and sign anew")
        refused = refusal(subject, state, by)
        if refused:
            raise IdentityError(refused)
        enrolled, version = opened.journal.read([APPROVERS]).get(APPROVERS, (Approvers(), 0))
        _enrolled(enrolled, by, signer.key_id)
        pending = subject.pending if state != HOLD else None
        if pending is None:
            if not reason.strip():
                raise IdentityError("it needs a reason")
            people = [_request(opened, subject, state, reason.strip(), by, signer, now)]
            if state != HOLD:
                _write(opened, subject, people[0], None)
                return Decided("requested", subject, (by,), now + OPEN_US)
        else:
            if read_statement(pending.statement, by).state != state:
                raise IdentityError("what the first person has signed is something else")
            people = [pending, _signed(pending.statement, pending.reason, by, signer, now)]
        for item in people:
            try:
                _enrolled(enrolled, item.by, item.key_id).verifies(item.statement, unb64(item.signature))
            except ValueError:
                raise IdentityError(f"what is kept is not what `{item.by}` has signed; ask anew") from None
        draft = _draft(opened, people, now)
        if state == ERASED:
            _erase(opened, subject, draft, people[0], RowRead(key=APPROVERS, expected=version))
        else:
            _write(opened, subject, None, draft, (RowRead(key=APPROVERS, expected=version),))
    return Decided(state, subject, tuple(item.by for item in people))


def resume_erasures(journal: SqliteJournal, keys: SubjectKeys) -> None:
    """Finish what had broken off; left for later where somebody is at it, or the store cannot do it now."""
    if journal.keys("erasure/"):
        # whatever fails: nothing is sealed for that subject until it is done, and an audit says so
        with suppress(Unavailable, OSError), keys.erasing():
            finish_erasures(journal, keys)


def finish_erasures(journal: SqliteJournal, keys: SubjectKeys) -> list[str]:
    """Do what is left of each erasure that stands in the log, and undo the others; returns the subjects erased."""
    done = []
    for key in journal.keys("erasure/"):
        subject = key.partition("/")[2]
        row, version = journal.read([key])[key]
        if row.sessions is None:
            keys.put_back(subject)
            continue
        keys.destroy(subject)
        erase(journal, row.sessions)
        journal.enqueue(Commit(writes=(RowWrite(key=key, expected=version, value=None),))).wait(WAIT_S)
        done.append(subject)
    return done


def destroy_returned(opened: Assembled) -> list[str]:
    """Destroy keys that came back after their erasure (out of a backup); returns whose."""
    found = []
    with opened.keys.erasing(), _archive(opened.home) as archive:
        for record in records(archive):
            sealed = (row for row in archive.log(subject=record.subject) if row.wrapped and row.seq < record.seq)
            row = next(sealed, None) if record.state == ERASED else None
            with suppress(IntegrityError):  # it does not open: so it is to be
                if row is not None and opened.keys.unwrap(record.subject, row.wrapped or b""):
                    opened.keys.set_aside(record.subject)
                    opened.keys.destroy(record.subject)
                    found.append(record.subject)
    return found


def _erase(opened: Assembled, subject: Subject, draft: Draft, request: Erasing, people: RowRead) -> None:
    journal, keys = opened.journal, opened.keys
    rows = journal.read([f"session/{item}" for item in subject.sessions])
    busy = next(filter(None, (_busy(context, opened.engine.now()) for context, _ in rows.values())), "")
    if busy:
        raise IdentityError(busy)
    keys.set_aside(subject.pseudonym)
    try:
        row = msgspec.structs.replace(request, sessions=subject.sessions)
        reads = (people, *(RowRead(key=key, expected=version) for key, (_, version) in rows.items()))
        _write(opened, subject, row, draft, reads)
    except NavicertError:
        journal.flush(WAIT_S)  # whatever became of it, it is decided now
        if subject.pseudonym not in finish_erasures(journal, keys):
            raise
        return
    try:
        finish_erasures(journal, keys)
    except (NavicertError, OSError) as error:
        message = f"the erasure stands in the log, and not all is done yet ({error}); `navicert erase finish` does it"
        raise Unavailable(message) from None


def _write(
    opened: Assembled, subject: Subject, row: Erasing | None, draft: Draft | None, reads: tuple[RowRead, ...] = ()
) -> None:
    write = RowWrite(key=_key(subject.pseudonym), expected=subject.version, value=row)
    try:
        opened.journal.enqueue(Commit(draft=draft, writes=(write,), reads=reads)).wait(WAIT_S)
    except Conflict:
        raise Unavailable("something has changed at this moment; look again") from None


def _request(
    opened: Assembled, subject: Subject, state: str, reason: str, by: str, signer: Signer, now: int
) -> Erasing:
    text = disclosure(ERASURE, opened.ids.salt(), msgspec.json.encode(reason))
    with _archive(opened.home) as archive:
        size, head = archive.head()
    data = state_bytes(
        ErasureStatement(
            origin=opened.config.origin,
            subject=subject.pseudonym,
            state=state,
            reason=commit_to(text),
            nonce=opened.ids.salt(),
            size=size,
            head=head,
            at=now,
        )
    )
    return _signed(data, text, by, signer, now)


def _signed(data: bytes, reason: str, by: str, signer: Signer, now: int) -> Erasing:
    signature = b64(signer.sign(data))
    return Erasing(statement=data, reason=reason, by=by, key_id=signer.key_id, signature=signature, at=now)


def _draft(opened: Assembled, people: list[Erasing], now: int) -> Draft:
    said, items = read_statement(people[0].statement, "the request"), [unb64(people[0].reason)]

    def commit(pointer: str, value: str) -> str:
        items.append(plain_disclosure(pointer, opened.ids.salt(), msgspec.json.encode(value)))
        return commit_to(b64(items[-1]))

    approval = tuple(
        ApprovalPart(
            approver=opened.pseudonym(item.by),
            name=commit(name_at(index), item.by),
            answer="approve",
            role="approver",
            at=rfc3339(item.at),
            key_id=item.key_id,
            statement=commit(statement_at(index), item.statement.decode()),
            signature=item.signature,
        )
        for index, item in enumerate(people)
    )
    scribe = Scribe(pseudonym=opened.pseudonym, salt=opened.ids.salt, separation="")
    record = record_draft(scribe, "erasure", receipt_id=opened.ids.new("rcp"), now=now)
    part = ErasurePart(subject=said.subject, state=said.state, reason=said.reason)
    receipt = msgspec.structs.replace(record.receipt, erasure=part, approval=approval)
    return Draft(receipt=receipt, disclosures=tuple(items), subject=approval[0].approver)


def _enrolled(approvers: Approvers, name: str, key_id: str) -> PublicKey:
    for person in approvers.people:
        if (person.name, person.key_id, person.until) == (name, key_id, None):
            return PublicKey(person.algorithm, unb64(person.public))
    raise IdentityError(f"`{name}` is not enrolled with this key; see `navicert approver list`")


def _of(context: SessionContext, pseudonym: str, named: set[str | None], opened: Assembled) -> bool:
    human = context.claims.human
    return context.session_id in named or (human is not None and opened.pseudonym(human) == pseudonym)


def _busy(context: SessionContext, now: int) -> str:
    name = f"session `{context.session_id}`"
    if context.waiting:
        return f"{name}: an action waits; answer it first (`navicert inbox`)"
    if context.open:
        action = context.open[0].action_id
        return f"{name}: `{action}` is open; say how it ended first (`navicert settle {action}`)"
    if context.ended_at is None and now - context.last_at < LEFT_US:
        return f"{name} is still going on; end it first, or wait until nothing has happened in it for a day"
    return ""


def _archive(home: Home) -> Archive:
    return Archive(home.store, Vault(read_secret(home.store_key)), SubjectKeys(home.subjects))


def _key(pseudonym: str) -> str:
    return f"erasure/{pseudonym}"
