"""What a witness remembers: its key, the logs it watches, and of each the newest checkpoint that it cosigned (R5).

* A cosignature leaves only after the checkpoint that it is on is durable. Comparing with the newest one and replacing
  it is one step: under a lock in this process, and a lock on the folder keeps every other process out.
* Each request reads the state from the disk: there is no second truth in memory that could differ from it.
* Nothing begins anew by itself. A log that is watched has a file from the first moment, which says that nothing was
  cosigned yet; a file that is missing, empty, or not cosigned by this very key is a refusal to start. The settings name
  the key, so that a key without its memory is of no use, and a key is never taken over from elsewhere.
* What a log signed and must not have signed is kept in `evidence/`. A fork (one size, two roots) is proof by itself;
  a checkpoint that came with a wrong consistency proof is only doubtful, and never displaces a fork.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from navicert.adapters.secret_file import read_secret, replace_file, write_secret
from navicert.adapters.sign.encrypted_key import load_encrypted_key, make_encrypted_key
from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.adapters.system import SystemClock
from navicert.core.inert import brief, inert
from navicert.core.signature import ED25519
from navicert.core.times import rfc3339
from navicert.model.errors import IntegrityError, NavicertError, PolicyError, Unavailable, VerificationError
from navicert.model.trust import TrustedWitness
from navicert.model.value import Value
from navicert.ports import Clock
from navicert.tlog.checkpoint import Checkpoint, cosign, cosignatures, cosigned, parse_checkpoint
from navicert.tlog.note import COSIGNATURE, Note, NoteSignature, Verifier, note_text, parse_note, vkey
from navicert.tlog.note import check_name as check_note_name
from navicert.tlog.tree import EMPTY_ROOT, verify_consistency

SETTINGS: Final = "witness.json"
KEY: Final = "witness.pem"
FORMAT: Final = "navicert/witness-settings/1"
FORKS: Final = 64
DOUBTFUL: Final = 64
"""So many pieces of evidence are kept for each log: the first forks, and the newest doubtful checkpoints."""
_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_FORGETFUL: Final = (
    "a witness that has forgotten what it cosigned must not go on; make a new one with `navicert witness new`, and "
    "tell those who trust this one"
)


class Refusal(NavicertError):
    """A request that is not cosigned. status: of HTTP. size: of the newest cosigned checkpoint, with 409."""

    def __init__(self, status: int, text: str, size: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.size = size


class Watched(Value, frozen=True, kw_only=True):
    """One log: its origin, and the C2SP verifier keys whose signature on a checkpoint counts."""

    origin: str
    keys: tuple[str, ...]

    @property
    def hash(self) -> str:
        """Return the name of the log's file: SHA-256 of the origin, 64 hex digits."""
        return sha256(self.origin.encode()).hexdigest()


class Settings(Value, frozen=True, kw_only=True):
    """`witness.json`. vkey: of the key in `witness.pem`; another key is refused."""

    format: str
    name: str
    vkey: str
    made_at: str
    logs: tuple[Watched, ...] = ()


class Newest(Value, frozen=True, kw_only=True):
    """The newest checkpoint that was cosigned. at: seconds since the epoch, UTC. note: with both signatures."""

    checkpoint: Checkpoint
    at: int
    note: str


def make_witness(folder: Path, name: str, passphrase: str | None = None, clock: Clock | None = None) -> Settings:
    """Make a witness with a fresh key in a folder that is new or empty; raises `PolicyError` where it is neither."""
    check_name(name, "witness")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise PolicyError(f"{folder}: not empty, and no witness is ever overwritten; name a new folder")
    folder.chmod(0o700)
    if passphrase is None:
        key = new_key(ED25519)
        save_key(key, folder / KEY)
    else:
        key = make_encrypted_key(folder / KEY, passphrase)
    for inner in ("logs", "evidence"):
        (folder / inner).mkdir(mode=0o700)
    made_at = rfc3339((clock or SystemClock()).now())
    settings = Settings(format=FORMAT, name=name, vkey=vkey(name, COSIGNATURE, key.public), made_at=made_at)
    write_secret(folder / SETTINGS, _settings_bytes(settings))
    return settings


def watch(folder: Path, origin: str, key: str) -> Watched:
    """Watch a log, or believe one more key of a log that is watched; nothing that was cosigned is forgotten.

    Raises `PolicyError` for what is no origin or no key of a log, `Unavailable` where the witness runs.
    """
    check_name(origin, "log")
    try:
        if Verifier(key).kind == COSIGNATURE or inert(key) != key:
            raise PolicyError(f"`{inert(key)}`: this is no key of a log; give the one that signs its checkpoints")
    except VerificationError as error:
        raise PolicyError(f"`{inert(key)}`: not a C2SP verifier key ({error}); give `name+hash+key`") from None
    lock = _locked(folder)
    try:
        settings = read_settings(folder)
        before = next((log for log in settings.logs if log.origin == origin), None)
        log = Watched(origin=origin, keys=tuple(dict.fromkeys((*(before.keys if before else ()), key))))
        path = folder / "logs" / log.hash
        if before is None and not path.exists():
            replace_file(path, _fresh(origin), 0o600)  # before the settings name it: from then on it has to be there
        newest(folder, settings, log)
        logs = tuple(each for each in settings.logs if each.origin != origin)
        fresh = msgspec.structs.replace(settings, logs=(*logs, log))
        replace_file(folder / SETTINGS, _settings_bytes(fresh), 0o600)
    finally:
        os.close(lock)
    return log


def read_settings(folder: Path) -> Settings:
    """Read `witness.json`; raises `PolicyError` where there is no witness, `IntegrityError` where it is not whole."""
    path = folder / SETTINGS
    if not path.exists():
        raise PolicyError(f"{folder}: no witness is here (`{SETTINGS}`); {_FORGETFUL}")
    if folder.stat().st_mode & 0o077:
        raise IntegrityError(f"{folder}: others may enter it; run `chmod 700 {folder}`")
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=Settings)
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        raise IntegrityError(f"{path}: cannot be read ({error}); {_FORGETFUL}") from None
    if settings.format != FORMAT:
        raise IntegrityError(f"{path}: its format is `{inert(settings.format)}`, not `{FORMAT}`; use a newer navicert")
    return settings


def newest(folder: Path, settings: Settings, log: Watched) -> Newest | None:
    """Return the newest cosigned checkpoint of a log, or None where its file says that nothing was cosigned yet.

    Raises `IntegrityError` for a file that is missing, or holds anything but a note that this witness cosigned.
    """
    path = folder / "logs" / log.hash
    try:
        data = path.read_bytes()
        if data == _fresh(log.origin):
            return None
        note = data.decode()
        checkpoint = parse_checkpoint(parse_note(note).text)
        own = cosignatures(note, [TrustedWitness(vkey=settings.vkey, operator="self")])
    except (OSError, UnicodeDecodeError, VerificationError) as error:
        raise IntegrityError(
            f"{path}: what was cosigned of `{inert(log.origin)}` is lost ({error}); {_FORGETFUL}"
        ) from None
    if checkpoint.origin != log.origin or not own:
        raise IntegrityError(f"{path}: not cosigned by this witness for `{inert(log.origin)}`; {_FORGETFUL}")
    return Newest(checkpoint=checkpoint, at=own[0].at, note=note)


def evidence(folder: Path) -> list[str]:
    """Return the names of what is kept in `evidence/`, oldest first."""
    found = [path for path in (folder / "evidence").iterdir() if path.suffix == ".note"]
    return [path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))]


def is_encrypted(folder: Path) -> bool:
    """Tell whether the key needs a passphrase."""
    return _ENCRYPTED in read_secret(folder / KEY)


def check_name(name: str, of: str) -> None:
    """Raise `PolicyError` unless a note may carry the name: no blanks, no plus sign, nothing that cannot be seen."""
    try:
        check_note_name(name)
        plain = len(name) <= 255 and inert(name) == name
    except ValueError:
        plain = False
    if not plain:
        raise PolicyError(f"`{brief(name, 64)}` cannot name a {of}; write it as `example.com/name`, no blanks, no `+`")


class Witness:
    """A witness that runs, the only one of its folder until `close`. Safe to be called by many threads."""

    def __init__(self, folder: Path, passphrase: str | None = None, clock: Clock | None = None) -> None:
        """Take the folder and read everything in it; raises rather than begin without what was there.

        `Unavailable`: another process has it. `IntegrityError`: key, settings and state do not belong together.
        """
        self._folder = folder
        self._clock = clock or SystemClock()
        self._mutex = Lock()
        self.settings = read_settings(folder)
        self._lock: int | None = _locked(folder)
        try:
            self.settings = read_settings(folder)
            self._key = _key(folder, self.settings, passphrase)
            self.logs = {log.origin: log for log in self.settings.logs}
            self._believed = {log.origin: [Verifier(key) for key in log.keys] for log in self.settings.logs}
            for log in self.settings.logs:
                newest(folder, self.settings, log)
            _no_strangers(folder, self.settings)
        except BaseException:
            self.close()
            raise

    def add(self, old: int, proof: Sequence[bytes], note: str) -> str:
        """Cosign a checkpoint that extends the newest one; returns the signature line, its newline included.

        The checkpoint is durable on return. Raises `Refusal` with the status that tlog-witness names.
        """
        try:
            submitted = parse_note(note)
            checkpoint = parse_checkpoint(submitted.text)
        except VerificationError as error:
            raise Refusal(400, str(error)) from None
        if checkpoint.origin not in self.logs:
            raise Refusal(404, "this witness does not watch a log of this origin")
        log = self.logs[checkpoint.origin]
        signed = self._signed(log, submitted)
        if old > checkpoint.size:
            raise Refusal(400, "the old size is larger than the checkpoint's")
        with self._mutex:
            if self._lock is None:
                raise Refusal(503, "the witness is stopping")
            before = newest(self._folder, self.settings, log)
            self._extends(log, before, old, checkpoint, proof, signed)
            line = cosign(submitted.text, self.settings.name, self._key, self._clock.now() // 1_000_000)
            replace_file(self._folder / "logs" / log.hash, cosigned(signed, [line]).encode(), 0o600)
        return line

    def newest(self, origin_or_hash: str) -> str | None:
        """Return the newest cosigned note of a log, by its origin or the SHA-256 of it; None where there is none."""
        for log in self.settings.logs:
            if origin_or_hash in {log.origin, log.hash}:
                found = newest(self._folder, self.settings, log)
                return found.note if found else None
        return None

    def close(self) -> None:
        """Let the folder go, after what is under way; nothing is cosigned any more."""
        with self._mutex:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _signed(self, log: Watched, submitted: Note) -> str:
        """Return the note with nothing but the log's own valid signatures; raises `Refusal` 403 where it has none."""
        valid = [signature for key in self._believed[log.origin] for signature in self._by(key, submitted)]
        if not valid:
            raise Refusal(403, "no signature by a key that this witness knows of the log")
        return note_text(Note(text=submitted.text, signatures=tuple(valid)))

    @staticmethod
    def _by(key: Verifier, submitted: Note) -> Iterator[NoteSignature]:
        for signature in key.of(submitted):
            try:
                key.verifies(submitted.text, signature.signature)
            except ValueError:
                raise Refusal(403, "a signature of the log does not verify") from None
            yield signature

    def _extends(
        self, log: Watched, before: Newest | None, old: int, checkpoint: Checkpoint, proof: Sequence[bytes], signed: str
    ) -> None:
        """Return where the checkpoint extends the newest one; raises `Refusal` 409 or 422."""
        size, root = (before.checkpoint.size, before.checkpoint.root) if before else (0, EMPTY_ROOT)
        if checkpoint.size == size and checkpoint.root != root:
            self._keep(log, "fork", checkpoint, signed, before)
            raise Refusal(409, "another root was cosigned at this size", size)
        if old != size:
            raise Refusal(409, "the old size is not that of the newest cosigned checkpoint", size)
        try:
            verify_consistency(old, checkpoint.size, root, checkpoint.root, proof)
        except VerificationError as error:
            self._keep(log, "doubtful", checkpoint, signed, before)
            raise Refusal(422, str(error)) from None

    def _keep(self, log: Watched, kind: str, checkpoint: Checkpoint, signed: str, before: Newest | None) -> None:
        """Keep a checkpoint that was refused, and behind it the one that it was compared with."""
        folder = self._folder / "evidence"
        head = f"{log.hash[:16]}-{kind}-"
        path = folder / f"{head}{checkpoint.size}-{checkpoint.root.hex()[:16]}.note"
        if path.exists():
            return
        kept = [folder / name for name in evidence(self._folder) if name.startswith(head)]
        if kind == "fork" and len(kept) >= FORKS:
            return
        for oldest in kept[: max(0, len(kept) + 1 - DOUBTFUL)] if kind == "doubtful" else ():
            oldest.unlink()
        replace_file(path, "\n".join([signed, *([before.note] if before else [])]).encode(), 0o600)


def _key(folder: Path, settings: Settings, passphrase: str | None) -> FileKey:
    path = folder / KEY
    key = load_key(path) if passphrase is None else load_encrypted_key(path, passphrase)
    if key.algorithm != ED25519 or vkey(settings.name, COSIGNATURE, key.public) != settings.vkey:
        raise IntegrityError(f"{path}: not the key that `{SETTINGS}` names; {_FORGETFUL}")
    return key


def _no_strangers(folder: Path, settings: Settings) -> None:
    """Refuse a folder in which something was cosigned for a log that the settings have forgotten."""
    known = {log.hash for log in settings.logs}
    for path in (folder / "logs").iterdir():
        if path.name not in known and path.suffix != ".new" and not path.read_bytes().startswith(_FRESH):
            raise IntegrityError(
                f"{path}: `{SETTINGS}` does not name this log; run `navicert witness watch` for it again"
            )


def _locked(folder: Path) -> int:
    """Return the descriptor that holds the folder; raises `Unavailable` where another process has it."""
    if not (folder / SETTINGS).exists():
        read_settings(folder)
    descriptor = os.open(folder / "witness.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Unavailable(f"{folder}: this witness runs in another process; stop it first") from None
    return descriptor


_FRESH: Final = b"navicert/witness-log/1: nothing was cosigned yet\n"


def _fresh(origin: str) -> bytes:
    return _FRESH + origin.encode() + b"\n"


def _settings_bytes(settings: Settings) -> bytes:
    return msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n"
