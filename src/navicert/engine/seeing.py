"""Seeing: what a session was given to read, for questions about where values come from (R3; DESIGN.md property 3).

* What is released of a result is cut into passages, and kept in one row that is never changed. Its digest stands in the
  context's entry about the result, in the same commit. A row that is missing, or another, is `IntegrityError`: nothing
  is permitted on it. Rows of a session that was purged are forgotten; what stood there was seen nowhere.
* A result is released once its row is *staged*: from then on every decision of this engine sees it. It need not be
  durable yet, since nothing is loosened where it is missing. Another engine, or this one after a crash, finds the
  action open: its labels count as the worst case, and values that only this result held as seen nowhere. If the commit
  fails, it is made again before anything else of the session is judged.
* Parts of a running action are looked up as soon as they are released, and kept together when it ends.
* A session has seen what the sessions that delegated to it have, and what sessions have that it delegated to: there,
  another agent says it. In memory is an index for each of the newest sessions, which only grows; it is made anew of the
  rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import msgspec

from navicert.core.canonical import decode_parameters, state_bytes
from navicert.core.digest import bytes_digest
from navicert.core.fields import leaves, role_values
from navicert.core.shared import seen_key, session_key
from navicert.engine.drive import Ask, Call, Machine
from navicert.engine.output import Output, Released
from navicert.engine.rows import check_rows
from navicert.intent.index import Index
from navicert.intent.index import Seen as Held
from navicert.intent.passages import passages
from navicert.intent.request import read
from navicert.intent.values import Asked, Form, Passage, Source, Trust
from navicert.model.action import Effect, ToolProfile
from navicert.model.context import Reference, SessionContext
from navicert.model.decision import Permit
from navicert.model.errors import IntegrityError
from navicert.model.shared import Seen
from navicert.model.value import Value

if TYPE_CHECKING:
    from navicert.engine.workings import Live, Workings

KEPT: Final = 65_536
"""So many bytes of one result are kept: what poses as the user, then instructions up to half of it, then the rest."""
SESSIONS: Final = 128
PARTS: Final = 65_536
"""So many characters of the parts of one running action."""
_ABOUT: Final = 8
_LONGEST: Final = 200
_ORDERS: Final = frozenset({Form.DIRECTIVE, Form.IMITATION})


class Kept(Value, frozen=True, kw_only=True):
    """What is kept of one result: its row, what that holds, and how the context names it."""

    reference: Reference
    seen: Seen
    held: Held


class Sight:
    """What one session has seen, and was asked to do. Whoever uses it holds its lock."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.index = Index()
        self.rows: set[str] = set()
        self._words: tuple[str, tuple[str, ...]] | None = None
        self._asked = Asked()

    def add(self, row: str, held: Held, *, agent: bool = False) -> None:
        """Take in what a row holds, once."""
        if row in self.rows:
            return
        self.rows.add(row)
        source = msgspec.structs.replace(held.source, kind="agent") if agent else held.source
        self.index.add(source, held.passages)

    def asked(self, request: str, said: tuple[str, ...]) -> Asked:
        """Return what the user's words ask for."""
        words = (request, said)
        if self._words != words:
            self._asked, self._words = read(request, said), words
        return self._asked


class Sights:
    """What the newest sessions of one engine have seen."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sights: OrderedDict[str, Sight] = OrderedDict()
        self._told: dict[str, _Told] = {}

    def of(self, session_id: str) -> Sight:
        """Return what a session has seen, as far as it is in memory."""
        with self._lock:
            sight = self._sights.get(session_id)
            if sight is None:
                sight = self._sights[session_id] = Sight()
                while len(self._sights) > SESSIONS:
                    self._sights.popitem(last=False)
            self._sights.move_to_end(session_id)
            return sight

    def part(self, live: Live, text: str, data: bytes) -> None:
        """Take in a part of what a running action gives back, before it is released: as text, and as JSON."""
        found = _passages(data)
        if not found:
            return
        with self._lock:
            told = self._told.setdefault(live.permit.action_id, _Told())
            told.count += 1
            if data.startswith(b'"'):
                told.texts.append(text[: max(PARTS - told.size, 0)])
                told.size += len(told.texts[-1])
            else:
                told.passages = _cut(_joined(told.passages, found))
            number = told.count
        sight = self.of(live.permit.session_id)
        with sight.lock:
            sight.add(f"{_row(live.permit)}/{number}", Held(source=_source(live), passages=found))

    def told(self, live: Live) -> tuple[Passage, ...]:
        """Return what was released of an action while it ran, and forget it."""
        with self._lock:
            told = self._told.pop(live.permit.action_id, None)
        if told is None:
            return ()
        text = "".join(told.texts).encode(errors="replace").decode()
        return _joined(_passages(msgspec.json.encode(text)), told.passages)

    def remember(self, kept: Kept | None, session_id: str) -> None:
        """Have the session's own index hold what is staged: the next decision need not read it."""
        if kept is not None:
            sight = self.of(session_id)
            with sight.lock:
                sight.add(kept.reference.row, kept.held)


class _Told:
    """What a running action has said: texts, which readers join, and passages of what is JSON."""

    def __init__(self) -> None:
        self.count = self.size = 0
        self.texts: list[str] = []
        self.passages: tuple[Passage, ...] = ()


def kept_of(works: Workings, live: Live, output: Output | None = None, released: Released | None = None) -> Kept | None:
    """Return what is kept of what an action gave back, None where it is nothing. None: only what it said on its way."""
    found = works.sights.told(live)
    if output is not None and released is not None and not output.empty:
        if released.json is not None:
            found = _joined(found, _passages(released.json))
        elif released.part is None:  # else it is withheld
            found = _joined(found, _passages(output.json))
    found = _cut(found)
    if not found:
        return None
    held = Held(source=_source(live), passages=found)
    seen = Seen(held=msgspec.Raw(state_bytes(held)))
    return Kept(reference=Reference(row=_row(live.permit), digest=_digest(seen)), seen=seen, held=held)


def _passages(data: bytes) -> tuple[Passage, ...]:
    """Return the passages of JSON; none where it cannot be cut: its values then stand nowhere that was seen."""
    try:
        return passages(msgspec.json.decode(data))
    except Exception:  # noqa: BLE001 - what a tool gave back must not stop its outcome from being recorded
        return ()


def _row(permit: Permit) -> str:
    return f"{permit.session_id}/{permit.action_id}"


def _digest(seen: Seen) -> str:
    return bytes_digest(state_bytes(seen))


def _source(live: Live) -> Source:
    permit, profile = live.permit, live.profile
    return Source(
        action_id=permit.action_id,
        tool=f"{permit.tool}.{permit.operation}",
        about=_about(permit, profile),
        trust=Trust(profile.trust) if profile is not None else Trust.PUBLIC,
        kind="memory" if profile is not None and profile.memory else "tool",
    )


def _about(permit: Permit, profile: ToolProfile | None) -> tuple[str, ...]:
    """Return what was read: addresses, paths, queries, as the action had them; of other actions, all that was put in.

    Of a read, what names nothing does not count: words of the request could be put there to lead to anything.
    """
    parameters = decode_parameters(permit.parameters)
    roles = ("destination", "resource") if profile is not None else ()
    named = [item for role in roles for item in role_values(profile, role, parameters)] if profile else []
    reads = profile is not None and profile.effect is Effect.READ
    given = named if named and reads else (*named, *leaves(parameters))
    texts = [item[:_LONGEST] for item in given if isinstance(item, str) and item]
    return tuple(dict.fromkeys(texts))[:_ABOUT]


def _joined(found: tuple[Passage, ...], more: Sequence[Passage]) -> tuple[Passage, ...]:
    """Return both; records keep apart."""
    if not found or not more:
        return found or tuple(more)
    last = max(item.record for item in found)
    moved = (msgspec.structs.replace(item, record=item.record + last) if item.record else item for item in more)
    return (*found, *moved)


def _cut(found: Sequence[Passage]) -> tuple[Passage, ...]:
    """Return as much of it as is kept, in its order."""
    sizes = [len(state_bytes(item)) + 1 for item in found]
    if sum(sizes) <= KEPT:
        return tuple(found)
    kept: set[int] = set()
    room = KEPT
    posing = frozenset({Form.IMITATION})
    for least, wanted in ((0, posing), (KEPT // 2, _ORDERS), (0, frozenset(Form) - _ORDERS), (0, _ORDERS)):
        for number, item in enumerate(found):
            if number not in kept and item.form in wanted and room - sizes[number] >= least:
                kept.add(number)
                room -= sizes[number]
    return tuple(found[number] for number in sorted(kept))


# ----------------------------------------------------------------------------------------------------------- looking up


def sight_of(works: Workings, context: SessionContext) -> Machine[tuple[Sight, tuple[SessionContext, ...]]]:
    """Return what a session has seen, up to date, and the line of sessions down to it, itself in front.

    Raises `IntegrityError` where a row is not what the context names, and what the journal raises.
    """
    while (above := works.ancestors(context)) is None:
        yield from works.load(works.lineage(context))
    line = (context, *above)
    sight = works.sights.of(context.session_id)
    known = sight.rows
    new = {item.row: item for session in reversed(line) for item in session.walked.seen if item.row not in known}
    if new:
        found = yield from _rows(works, line, {row: item.digest for row, item in new.items()})
        with sight.lock:
            for row in sorted(found, key=lambda name: name.rpartition("/")[2]):  # ids of actions sort by time
                sight.add(row, found[row], agent=new[row].agent)
    return sight, line


def _rows(works: Workings, line: tuple[SessionContext, ...], digests: dict[str, str]) -> Machine[dict[str, Held]]:
    """Return what rows hold: as they are staged, or stand in the journal."""
    found: dict[str, Any] = {}
    for row in digests:
        staged = works.rows.get(seen_key(row))
        if staged is not None:
            found[row] = staged[0]
    keys = [seen_key(row) for row in digests if found.get(row) is None]
    if keys:
        call = Call("journal", lambda: works.journal.read(keys), works.journal.inline)
        (answer,) = yield Ask((call,), works.settings.commit_s)
        if answer.error is not None:
            raise answer.error
        check_rows(answer.value)
        found |= {key.partition("/")[2]: answer.value[key][0] for key in keys if key in answer.value}
    gone = [row for row in digests if found.get(row) is None]
    if gone:
        yield from _forgotten(works, line, gone)
    return {row: _checked(row, seen, digests[row]) for row, seen in found.items() if seen is not None}


def _checked(row: str, seen: Seen, digest: str) -> Held:
    if _digest(seen) != digest:
        raise IntegrityError(f"what `{row}` gave back is not what the context names; run `navicert verify`")
    try:
        return msgspec.json.decode(seen.held, type=Held)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"what `{row}` gave back does not decode: {error}") from None


def _forgotten(works: Workings, line: tuple[SessionContext, ...], gone: list[str]) -> Machine[None]:
    """Raise `IntegrityError` for a row that is not there, although its session is and a durable context names it."""
    keys = tuple(dict.fromkeys(session_key(name) for name in (*(item.session_id for item in line), *map(_owner, gone))))
    yield from works.anew(keys)
    rows = yield from works.fetch(keys)
    named = {item.row for held, _ in rows.values() if held is not None for item in held.walked.seen}
    for row in gone:
        if row in named and rows[session_key(_owner(row))][0] is not None:
            raise IntegrityError(f"what `{row}` gave back is missing from the store; run `navicert verify`")


def _owner(row: str) -> str:
    return row.partition("/")[0]
