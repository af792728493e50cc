"""The notary: signed checkpoints of the log, outside of the path that decides (DESIGN.md section 7).

    log ─► tree ─► checkpoint, by compare-and-swap in the store ─► anchor ─► witnesses ─► the same, cosigned

* A checkpoint is made a second after something was appended, after 256 entries at once, and when the journal closes.
* It extends the newest one in the store, or is not made: of two processes one makes it, and the other goes on from it.
* What the anchor or a witness has confirmed is never taken back: a store that does not hold it (cut, restored, or one
  of two copies) is not this log any more, and nothing is appended to it.
* An anchor or a witness that does not answer holds up nobody but who asked for it (`require_witnessed`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread
from time import monotonic
from typing import Final, NamedTuple

from navicert.adapters.store.checkpoints import (
    Inscribed,
    Moved,
    anchored,
    epoch_of,
    head_of,
    inscribe,
    newest,
    note_anchor,
)
from navicert.adapters.store.readonly import open_readonly, reading
from navicert.adapters.store.sqlite import SqliteJournal
from navicert.adapters.store.tree import GrowingTree, StoredTree
from navicert.model.errors import IntegrityError, NavicertError, Unavailable, VerificationError
from navicert.model.trust import TrustedKey, TrustedWitness
from navicert.ports import Anchor, Clock, OtherSize, Witness
from navicert.tlog.checkpoint import (
    Checkpoint,
    cosignatures,
    cosigned,
    epoch_origin,
    parse_checkpoint,
    quorum_met,
    sign_checkpoint,
    verify_checkpoint,
)
from navicert.tlog.note import NoteSigner, parse_note
from navicert.tlog.tree import consistency_proof

EVERY_S: Final = 1.0
AT_MOST: Final = 256
ROUND_S: Final = 5.0
FIRST_S: Final = 1.0
"""How long a start waits for witnesses that know better; one that is away holds nobody up for longer."""
LATEST_S: Final = 30.0
_ATTEMPTS: Final = 16
_log: Final = logging.getLogger("navicert")


class Outside(NamedTuple):
    """Who else keeps checkpoints. trusted, quorum: whose cosignatures count, and of how many operators."""

    anchor: Anchor | None = None
    witnesses: Sequence[Witness] = ()
    trusted: tuple[TrustedWitness, ...] = ()
    quorum: int = 0


class Ledger:
    """A store, to be held against checkpoints of its log."""

    def __init__(self, path: Path, *, origin: str, keys: Sequence[TrustedKey]) -> None:
        self.path = path
        self.origin = origin
        self._keys = tuple(keys)
        self.connection = open_readonly(path)

    def examine(self, anchor: Anchor | None) -> Inscribed | None:
        """Return the store's newest checkpoint, once the log holds that, and what the anchor knows.

        Raises `IntegrityError` where it does not, or where the anchor that this store has written to is empty.
        """
        with reading(self.path):
            found = newest(self.connection)
            if found is not None:
                self.holds(found.note, "the last checkpoint of the store")
            note = anchor.last() if anchor is not None else None
            if anchor is not None and note is None and anchored(self.connection) == anchor.name:
                raise IntegrityError(
                    f"{anchor.name}: the anchor is empty or gone, and this store has written to it; put it back, or"
                    " name another file as `anchor`"
                )
            if note is not None and (found is None or note != found.note):
                self.holds(note, "the anchor")
        return found

    def holds(self, note: str, who: str) -> None:
        """Return where the log holds what a checkpoint of it says; raises `IntegrityError` where it does not."""
        epoch, said = epoch_of(self.connection), parse_checkpoint(parse_note(note).text)
        if said.origin != (mine := epoch_origin(self.origin, epoch)):
            if said.origin in {epoch_origin(self.origin, earlier) for earlier in range(1, epoch)}:
                return  # of before the last restore, which is on record
            raise IntegrityError(f"{self.path}: {who} is of the log `{said.origin}`, this store of `{mine}`")
        verify_checkpoint(note, said.origin, self._keys, name=self.origin)
        head = head_of(self.connection)
        if said.size > head:
            raise IntegrityError(
                f"{self.path}: {who} knows {said.size} entries of this log, and the store holds {head}: it was cut, or"
                " restored from a backup; put the newer store back, or run `navicert log restore`"
            )
        if StoredTree(self.connection).root(said.size) != said.root:
            raise IntegrityError(
                f"{self.path}: {who} knows another history of this log than the store holds, within the first"
                f" {said.size} entries: it was changed, or is one of two copies; run `navicert verify`"
            )


class Notary:
    """Makes the checkpoints of one journal. `start` raises where this store must not go on."""

    def __init__(
        self, path: Path, journal: SqliteJournal, *, origin: str, signer: NoteSigner, keys: Sequence[TrustedKey],
        clock: Clock, outside: Outside,
    ) -> None:  # fmt: skip
        self._path = path
        self._journal = journal
        self._origin = origin
        self._signer = signer
        self._clock = clock
        self._outside = outside
        self._ledger = Ledger(path, origin=origin, keys=keys)
        self._connection = self._ledger.connection
        self._tree = GrowingTree(self._connection)
        self._known: Inscribed | None = None
        self._head = self._size = self._cosigned = 0
        self._since: float | None = None
        self._anchored_at, self._anchored_size = 0.0, 0
        self._bell, self._round = Event(), Event()
        self._hurried = self._closing = False
        self._change = Condition()
        self._said: dict[str, str] = {}
        self._busy: set[str] = set()
        self._refused: IntegrityError | None = None
        self._asked = Event()
        self._threads = [Thread(target=self._run, name="navicert-notary", daemon=True)]
        if outside.witnesses and outside.quorum:
            self._threads.append(Thread(target=self._rounds, name="navicert-witnesses", daemon=True))

    def start(self) -> None:
        """Hold the store against its last checkpoint and the anchor, and begin; raises `IntegrityError`."""
        try:
            self._adopt()
            self._ledger.examine(self._outside.anchor)
        except BaseException:
            self._connection.close()
            raise
        self._journal.attach(self)
        for thread in self._threads:
            thread.start()
        self._round.set()
        if len(self._threads) > 1:  # before anything is appended to a log that a witness knows otherwise
            self._asked.wait(FIRST_S)
        if self._refused is not None:
            raise self._refused
        if self._head > self._size:
            self.stir(self._head)

    def stir(self, head: int) -> None:
        """The log has grown up to place `head`."""
        self._head = head
        if self._since is None:
            self._since = monotonic()
            self._bell.set()
        elif head - self._size >= AT_MOST and not self._bell.is_set():
            self._bell.set()

    def witnessed(self, seq: int, timeout: float) -> None:
        """Return once a quorum has cosigned a checkpoint that covers this place; raises `Unavailable`."""
        if len(self._threads) == 1:
            raise Unavailable("no witness is named; see docs/how-to/run-a-witness.md")
        end = monotonic() + timeout
        self._hurried = True
        self._bell.set()
        self._round.set()
        with self._change:
            while self._cosigned < seq:
                left = end - monotonic()
                if left <= 0 or self._closing:
                    why = self._said.get("witness", "")
                    raise Unavailable(
                        f"no quorum of witnesses has confirmed entry {seq} in time" + (why and f": {why}")
                    )
                self._change.wait(left)

    def close(self) -> None:
        """Make the last checkpoint, and give the witnesses one more chance."""
        self._closing = True
        self._bell.set()
        self._threads[0].join(timeout=LATEST_S)
        self._round.set()
        with self._change:
            self._change.notify_all()
        for thread in self._threads[1:]:
            thread.join(timeout=ROUND_S)
        self._connection.close()

    # checkpoints

    def _run(self) -> None:
        while True:
            self._rest()
            closing = self._closing
            try:
                if self._head > self._size:
                    self._make()
                self._hand_on()
            except IntegrityError as error:
                self._journal.refuse(error)
                self._say("checkpoint", str(error))
                return
            except Exception as error:  # noqa: BLE001 - said, and tried again: nothing is permitted by it
                self._say("checkpoint", f"no checkpoint could be made: {error}")
                self._since = monotonic()
            else:
                self._said.pop("checkpoint", None)
            if closing:
                return

    def _rest(self) -> None:
        """Wait until a checkpoint is due."""
        while not (self._closing or self._hurried):
            since = self._since
            if since is None:
                self._bell.wait()
            elif self._head - self._size >= AT_MOST or (left := since + EVERY_S - monotonic()) <= 0:
                break
            else:
                self._bell.wait(left)
            self._bell.clear()
        self._hurried = False
        self._since = None

    def _make(self) -> None:
        for _ in range(_ATTEMPTS):
            with reading(self._path):
                head = head_of(self._connection)
                epoch = epoch_of(self._connection)
                root = self._tree.grow(head)
            origin = epoch_origin(self._origin, epoch)
            note = sign_checkpoint(Checkpoint(origin=origin, size=head, root=root), self._origin, self._signer)
            made = Inscribed(epoch=epoch, size=head, at=self._clock.now(), note=note)
            tiles = dict(self._tree.tiles)
            try:
                self._journal.alone(lambda writer: inscribe(writer, self._known, made, tiles))  # noqa: B023 - runs at once
            except Moved:
                self._adopt()
                if self._size >= head:
                    return
                continue
            self._tree.tiles.clear()
            self._known, self._size = made, head
            self._round.set()
            return
        raise Unavailable("other processes make checkpoints all the time")

    def _hand_on(self) -> None:
        """Add the newest checkpoint to the anchor, at most once a second, whichever process has made it."""
        anchor, known = self._outside.anchor, self._known
        if anchor is None or known is None or known.size <= self._anchored_size:
            return
        if not self._closing and monotonic() - self._anchored_at < EVERY_S:
            self._since = self._since or monotonic()  # again in a second, if nothing else comes
            return
        try:
            with suppress(Moved):  # another process was faster, and has added a newer one
                anchor.append(known.note, self._follows(known))
        except Unavailable as error:
            self._say("anchor", str(error))
            return
        self._anchored_at, self._anchored_size = monotonic(), known.size
        self._said.pop("anchor", None)
        if anchored(self._connection) != anchor.name:
            self._journal.alone(lambda writer: note_anchor(writer, anchor.name))

    def _follows(self, made: Inscribed) -> Callable[[str | None], None]:
        """Return a check of the anchor's newest note: the log holds it (`IntegrityError`); it is older (`Moved`)."""

        def check(note: str | None) -> None:
            if note is None:
                return
            with reading(self._path):
                self._ledger.holds(note, "the anchor")
            said = parse_checkpoint(parse_note(note).text)
            if said.origin == epoch_origin(self._origin, made.epoch) and said.size > made.size:
                raise Moved

        return check

    def _adopt(self) -> None:
        """Go on from the newest checkpoint in the store, once the log holds what it says."""
        found = self._ledger.examine(None)
        with reading(self._path):
            self._head = head_of(self._connection)
            confirmed = newest(self._connection, cosigned=True)
        self._known, self._size = found, found.size if found is not None else 0
        with self._change:
            if found is not None and confirmed is not None and confirmed.epoch == found.epoch:
                self._cosigned = max(self._cosigned, confirmed.size)
            self._change.notify_all()

    # witnesses

    def _rounds(self) -> None:
        pause = EVERY_S
        while True:
            self._round.wait()
            self._round.clear()
            closing = self._closing
            try:
                met = self._ask_round()
            except IntegrityError as error:
                self._refused = error
                self._journal.refuse(error)
                self._say("witness", str(error))
                self._asked.set()
                return
            except Exception as error:  # noqa: BLE001 - said, and tried again: nothing is permitted by it
                self._say("witness", str(error))
                met = False
            self._asked.set()
            if closing:
                return
            if met:
                pause = EVERY_S
            else:  # again after a while, or as soon as somebody waits for it
                self._round.wait(pause)
                self._round.set()
                pause = min(pause * 2, LATEST_S)

    def _ask_round(self) -> bool:
        """Have the newest checkpoint cosigned; tell whether a quorum has."""
        connection = open_readonly(self._path)
        try:
            with reading(self._path):
                found = newest(connection)
                epoch = epoch_of(connection)
            first = not self._asked.is_set()  # even what was cosigned is shown again: somebody may know more by now
            if found is None or found.epoch != epoch or (found.size <= self._cosigned and not first):
                return True  # after a restore the first checkpoint of the new epoch comes at once
            answers: SimpleQueue[tuple[str, ...] | NavicertError] = SimpleQueue()
            free = [item for item in self._outside.witnesses if item.url not in self._busy]
            for witness in free:
                self._busy.add(witness.url)
                Thread(target=self._ask, args=(witness, found, answers), name="navicert-witness", daemon=True).start()
            note, end = found.note, monotonic() + ROUND_S
            for _ in free:
                try:
                    answer = answers.get(timeout=max(0.0, end - monotonic()))
                except Empty:
                    break
                if isinstance(answer, IntegrityError):
                    raise answer
                if not isinstance(answer, tuple):
                    self._say("witness", str(answer))
                    continue
                try:
                    by = cosignatures(cosigned(found.note, answer), self._outside.trusted)
                except VerificationError as error:  # by itself, so that it spoils nobody else's
                    self._say("witness", f"what a witness answered is no cosignature of it: {error}")
                    continue
                if not by:
                    self._say("witness", "a witness cosigned that the trust file does not name: see `witnesses` there")
                    continue
                note = cosigned(note, answer)
                if quorum_met(cosignatures(note, self._outside.trusted), self._outside.quorum):
                    self._keep(found._replace(note=note, cosigned=True))
                    return True
        finally:
            connection.close()
        return False

    def _ask(self, witness: Witness, found: Inscribed, answers: SimpleQueue[tuple[str, ...] | NavicertError]) -> None:
        """Have one witness cosign; in a thread of its own, so that a slow one holds up no other."""
        try:
            answers.put(self._add(witness, found))
        except NavicertError as error:
            answers.put(error)
        except Exception as error:  # noqa: BLE001 - an answer like any other, for the one who waits for it
            answers.put(Unavailable(f"{witness.url}: {error}"))
        finally:
            self._busy.discard(witness.url)

    def _add(self, witness: Witness, found: Inscribed) -> tuple[str, ...]:
        connection = open_readonly(self._path)
        try:
            old = min(self._cosigned, found.size)
            for _ in range(3):
                proof = consistency_proof(old, found.size, StoredTree(connection).nodes) if old else []
                try:
                    return witness.add(old, proof, found.note)
                except OtherSize as other:
                    if other.size == old:  # it knows this size, and another root for it
                        raise IntegrityError(
                            f"{self._path}: the witness {witness.url} knows another history of this log within the"
                            f" first {old} entries; this store was changed, or is one of two copies;"
                            " run `navicert verify`"
                        ) from None
                    head = newest(connection)
                    if head is None or other.size > head.size:
                        raise IntegrityError(
                            f"{self._path}: the witness {witness.url} has cosigned {other.size} entries of this log,"
                            f" and the store has a checkpoint of {found.size}: it was cut, or restored from a backup;"
                            " put the newer store back, or run `navicert log restore --checkpoint FILE` with the"
                            " checkpoint that the witness keeps"
                        ) from None
                    if other.size > found.size:
                        raise Unavailable(f"{witness.url}: it has cosigned a newer checkpoint already") from None
                    old = other.size
        finally:
            connection.close()
        raise Unavailable(f"{witness.url}: it says another size every time")

    def _keep(self, found: Inscribed) -> None:
        self._journal.alone(lambda writer: inscribe(writer, found, found, {}))
        with self._change:
            self._cosigned = max(self._cosigned, found.size)
            self._change.notify_all()
        self._said.pop("witness", None)
        if self._outside.anchor is not None:
            with suppress(Moved, Unavailable):  # the bare one was, or will be, there
                self._outside.anchor.append(found.note, self._newer(found))

    def _newer(self, made: Inscribed) -> Callable[[str | None], None]:
        def check(note: str | None) -> None:
            if note is not None and parse_checkpoint(parse_note(note).text).size > made.size:
                raise Moved

        return check

    def _say(self, part: str, text: str) -> None:
        if self._said.get(part) != text:
            self._said[part] = text
            _log.warning("%s", text)
