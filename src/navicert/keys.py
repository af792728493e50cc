"""The keys of a home folder: the root and what it signs, and the key of receipts (DESIGN.md section 7).

The root signs the trust file, and lies elsewhere but for its first day. Under it sign the key of the log (checkpoints)
and the key of receipts, which is replaced often. A rotation, in an order in which it may break off anywhere and is
taken up by the next call:

 1. The new key is written beside the old one, durable. Nothing knows of it yet.
 2. One transaction: a `key` record that holds the new public key, signed by the old key, and the store's note of it.
    From here on the old key signs nothing: engines that hold it load the new one.
 3. With the root at hand, the trust file lists the new key, and until when the old one signed. Without it the trust
    file stays as it is, and the record in the log alone certifies the new key.
 4. The new key takes the old one's place, in one rename: the old private key is gone.

Old receipts verify for ever: their key is in the trust file, or was certified in the log by one that is. Broken off
after 2, `rotate_key` (and an engine that starts) finishes steps 3 and 4 from the record, and makes no other key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from navicert.adapters.file_lock import locked
from navicert.adapters.secret_file import replace_file, sync_folder
from navicert.adapters.sign.encrypted_key import is_encrypted, open_encrypted_key, save_encrypted_key
from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.adapters.store.archive import Archive, LogRow, receipt_of
from navicert.adapters.store.handover import append_key_record
from navicert.adapters.store.readonly import schema_of
from navicert.adapters.system import SystemClock, SystemIds
from navicert.assemble import Home, key_records, must_be_trusted, read_trust, trusted
from navicert.config import Config, read_config
from navicert.core.draft import NO_LOG, NO_SIGNATURE
from navicert.core.seal import b64
from navicert.core.signature import ED25519
from navicert.core.times import micros, rfc3339
from navicert.model.errors import IntegrityError, Unavailable
from navicert.model.receipt import RECEIPT_VERSION, KeyPart, Receipt
from navicert.model.trust import Revoked, Root, Trust, TrustedWitness
from navicert.model.value import Value
from navicert.tlog.note import COSIGNATURE, Verifier
from navicert.verification.keyring import certified, fingerprint, trust_message

HOUR_US: Final = 3_600_000_000
WAIT_S: Final = 5.0


class Rotation(Value, frozen=True, kw_only=True):
    """What a rotation did. resumed: an earlier one had broken off, and was finished instead of making another key.

    listed: the trust file lists the new key. Otherwise the log alone certifies it.
    """

    retired: str
    key_id: str
    seq: int
    at: str
    fingerprint: str
    resumed: bool = False
    listed: bool = True


class Published(Value, frozen=True, kw_only=True):
    """What verifiers need: the trust file's text, and the fingerprint to compare by another way than the file came."""

    text: str
    fingerprint: str


class Moved(Value, frozen=True, kw_only=True):
    """Where the root went. made: the home had none, so that its fingerprint is another now than `before`."""

    key_id: str
    fingerprint: str
    before: str
    made: bool


class Revocation(Value, frozen=True, kw_only=True):
    """What was revoked. lost: entries of the log behind its place that the key signed; verification ends at the first.

    replaced: the new key of the log, where its key was the one revoked.
    """

    revoked: Revoked
    fingerprint: str
    lost: int
    replaced: str | None = None


# the trust file


def sign_trust(trust: Trust, root: FileKey) -> Trust:
    """Return the trust file as its root signs it now; raises `ValueError` for text outside printable ASCII."""
    named = Root(key_id=root.key_id, algorithm=root.algorithm, public=b64(root.public))
    fresh = msgspec.structs.replace(trust, root=named, issued_at=rfc3339(SystemClock().now()), signature="")
    return msgspec.structs.replace(fresh, signature=b64(root.sign(trust_message(fresh))))


def write_trust(home: Home, trust: Trust) -> None:
    """Put a trust file in its place: all or nothing, durable on return."""
    replace_file(home.trust, msgspec.json.format(msgspec.json.encode(trust), indent=2) + b"\n")


def root_of(home: Home, trust: Trust, given: FileKey | None = None) -> FileKey | None:
    """Return the root's private key: the one given, or the home's; None where it is away, or where there is no root.

    Raises `IntegrityError` for a key that is not this root.
    """
    if trust.root is None:
        if given is not None:
            raise IntegrityError(f"{home.trust}: it has no root yet; make one with `navicert key root`")
        return None
    root = given
    if root is None and home.root_key.exists() and not is_encrypted(home.root_key):
        root = load_key(home.root_key)
    if root is not None and root.key_id != trust.root.key_id:
        raise IntegrityError(f"{root.key_id} is not the root of this log, which is {trust.root.key_id}")
    return root


def load_root(path: Path, passphrase: Callable[[], str]) -> FileKey:
    """Load a root key from a file; passphrase: asked where it is encrypted."""
    return open_encrypted_key(path, passphrase()) if is_encrypted(path) else load_key(path)


def publish(folder: Path) -> Published:
    """Return the trust file of a home folder, with its fingerprint."""
    home = Home(folder)
    mark = fingerprint(read_trust(home.trust))
    return Published(text=home.trust.read_text(encoding="utf-8"), fingerprint=mark)


# rotation


def rotate_key(folder: Path, algorithm: str = ED25519, root: FileKey | None = None) -> Rotation:
    """Replace the signing key of a home folder; its engines load the new one by themselves.

    root: the root's key, where it is not in the home and the trust file is to list the new key. Raises `Unavailable`
    where the store is busy or was handed over meanwhile. Whatever it raises, call it again.
    """
    home, config = Home(folder), read_config(folder)
    with _alone(home):
        return _rotate(home, config, algorithm, root)


def rotate_when_due(home: Home, config: Config) -> Rotation | None:
    """Finish what broke off, and replace a key that has signed for `key_hours`; None where there is nothing to do.

    A home whose trust file has no root is left alone: its fingerprint would change with every key.
    """
    if not _due(home, config):
        return None
    with _alone(home):
        if not _due(home, config):  # another process was faster
            return None
        return _rotate(home, config, load_key(home.receipt_key).algorithm, None)


def signing_key(home: Home, key_id: str) -> FileKey:
    """Return the key that the log was handed over to: in its place, or on the way there."""
    for path in (home.receipt_key, key_path(home, key_id), home.receipt_key):
        with suppress(IntegrityError):
            key = load_key(path)
            if key.key_id == key_id:
                return key
    raise Unavailable(f"the signing key was rotated, and {key_id} is not in {home.keys}; restore it from your backup")


def key_path(home: Home, key_id: str) -> Path:
    """Return where a key lies that does not sign yet."""
    return home.keys / f"receipt-{key_id.replace(':', '-')}.pem"


def _due(home: Home, config: Config) -> bool:
    if not schema_of(home.store):
        return False
    records = key_records(home)
    if records and _unfinished(home, records, load_key(home.receipt_key)) is not None:
        return True
    if config.key_hours <= 0 or read_trust(home.trust).root is None:
        return False
    with Archive(home.store) as archive:
        first = next(archive.log(after=records[-1].seq if records else 0), None)
    return first is not None and SystemClock().now() - micros(receipt_of(first).at) > config.key_hours * HOUR_US


def _rotate(home: Home, config: Config, algorithm: str, root: FileKey | None) -> Rotation:
    root = root_of(home, read_trust(home.trust), root)  # before anything is done
    old = load_key(home.receipt_key)
    record = _unfinished(home, key_records(home), old)
    resumed = record is not None
    if record is None:
        must_be_trusted(home, config, old)  # nobody would believe what it certifies
        new = new_key(algorithm)
        save_key(new, key_path(home, new.key_id))
        # a failure that is reported may still be durable: the new key stays where it is, whatever happens
        append_key_record(home.store, config.origin, old, key_draft(new))
        record = receipt_of(key_records(home)[-1])
    return _finish(home, old, record, root, resumed=resumed)


def key_draft(new: FileKey) -> Callable[[], Receipt]:
    """Return what makes the `key` record of a key."""
    clock, ids = SystemClock(), SystemIds()

    def draft() -> Receipt:
        return Receipt(
            version=RECEIPT_VERSION,
            kind="key",
            receipt_id=ids.new("rcp"),
            at=rfc3339(clock.now()),
            log=NO_LOG,
            signature=NO_SIGNATURE,
            key=KeyPart(key_id=new.key_id, algorithm=new.algorithm, public=b64(new.public)),
        )

    return draft


def _unfinished(home: Home, records: list[LogRow], current: FileKey) -> Receipt | None:
    """Return the newest `key` record, where the key that signs now is the one that it retired."""
    newest = receipt_of(records[-1]) if records else None
    if newest is None or newest.key is None or newest.key.key_id == current.key_id:
        return None
    if newest.signature.key_id != current.key_id:
        message = f"{home.receipt_key}: {current.key_id} was retired long ago; restore {newest.key.key_id}"
        raise IntegrityError(message)
    return newest


def _finish(home: Home, old: FileKey, record: Receipt, root: FileKey | None, *, resumed: bool) -> Rotation:
    """Steps 3 and 4; doing them again changes nothing."""
    if record.key is None:
        raise IntegrityError("a key record names a key")
    fresh = key_path(home, record.key.key_id)
    if load_key(fresh).key_id != record.key.key_id:
        raise IntegrityError(f"{fresh}: it is another key than its name says; restore it from your backup")
    trust = read_trust(home.trust)
    if root is not None or trust.root is None:
        keys = certified(trust, [row.data for row in key_records(home)])
        trust = msgspec.structs.replace(trust, keys=keys)
        trust = sign_trust(trust, root) if root is not None else trust
        write_trust(home, trust)
    fresh.replace(home.receipt_key)
    for path in home.keys.glob("receipt-*.pem"):  # of rotations that broke off before their record, or of old versions
        path.unlink()
    sync_folder(home.keys)
    return Rotation(
        retired=old.key_id,
        key_id=record.key.key_id,
        seq=record.log.seq,
        at=record.at,
        fingerprint=fingerprint(trust),
        resumed=resumed,
        listed=any(key.key_id == record.key.key_id for key in trust.keys),
    )


# what the root does besides


def move_root(folder: Path, to: Path, passphrase: str | None = None) -> Moved:
    """Write the root's key to a file, under a passphrase if one is given; then destroy the one in the home.

    An old home without a root is given one first, and a key of the log. Nothing is destroyed before the file was read
    back, and broken off, it is called again with the same file. Raises `IntegrityError` where there is no root here.
    """
    home = Home(folder)
    if to.resolve().is_relative_to(home.folder.resolve()):
        raise IntegrityError(f"{to}: it lies in the home; the root belongs where the engine's own user cannot reach it")
    going = home.keys / "root.gone"
    with _alone(home):
        trust = read_trust(home.trust)
        before, made = fingerprint(trust), trust.root is None
        if made:
            trust = _rooted(home, trust)
        here = next((path for path in (home.root_key, going) if path.exists()), None)
        if here is None:
            raise IntegrityError(f"{home.root_key}: the root was moved away already; whoever moved it knows where")
        root = load_key(here) if here == home.root_key else None
        if not to.exists():
            if root is None:
                raise IntegrityError(f"{to}: the root is not there, and its move had been finished but for the erasure")
            if passphrase is not None:
                save_encrypted_key(root, to, passphrase)
            else:
                save_key(root, to)
        copy = load_root(to, lambda: passphrase or "")
        root_of(home, trust, copy)  # it is the root
        sign_trust(trust, copy)  # and it signs
        if here == home.root_key:
            home.root_key.replace(going)
        _destroy(going)
    return Moved(key_id=copy.key_id, fingerprint=fingerprint(trust), before=before, made=made)


def revoke_key(
    folder: Path, key_id: str, *, at: int, upto: int, reason: str = "", root: FileKey | None = None, lose: int = 0
) -> Revocation:
    """Have the root state that a key ended before its time: what it signed counts up to place `upto`, and no further.

    at: microseconds, when it may have been stolen. lose: how many entries of this log the key signed behind that place;
    verification ends at the first of them. Raises `IntegrityError` where there are others, for a key that is not of
    this log, for the one that signs receipts now, and where the root is not at hand.
    """
    home = Home(folder)
    with _alone(home):
        trust, signs = read_trust(home.trust), load_key(home.receipt_key)
        held = _held_root(home, trust, root)
        records = [row.data for row in key_records(home)]
        known = certified(trust, records)
        if key_id == signs.key_id:
            raise IntegrityError(f"{key_id} signs now; replace it first with `navicert key rotate`, then revoke it")
        lost = _signed_behind(home, key_id, upto)
        if len(lost) != lose:
            raise IntegrityError(
                f"{key_id} signed {len(lost)} entries of this log behind place {upto}, the last of them {lost[-1]}: it"
                f" would verify up to {upto} and no further; revoke it with --upto {lost[-1]}, or say --lose"
                f" {len(lost)}"
                if lost
                else f"{key_id} signed nothing behind place {upto}; leave --lose out"
            )
        if all(key.key_id != key_id for key in (*known, *trust.log)):
            raise IntegrityError(f"{key_id} is no key of this log; `navicert key publish` names them")
        ended = Revoked(key_id=key_id, at=rfc3339(at), upto=upto, reason=reason)
        others = tuple(item for item in trust.revoked if item.key_id != key_id)
        fresh, replaced = msgspec.structs.replace(trust, revoked=(*others, ended)), None
        if any(key.key_id == key_id for key in trust.log):
            fresh, replaced = _other_log_key(home, fresh, key_id)
        # whatever the revoked key certified behind its place goes; the key that signs here was believed until now
        kept = certified(sign_trust(fresh, held), records)
        kept += tuple(key for key in known if key.key_id == signs.key_id and key not in kept)
        fresh = sign_trust(msgspec.structs.replace(fresh, keys=kept), held)
        write_trust(home, fresh)
    return Revocation(revoked=ended, fingerprint=fingerprint(fresh), lost=len(lost), replaced=replaced)


def witnessed_before(folder: Path, at: int) -> int | None:
    """Return the size of the newest checkpoint that a quorum had cosigned before a time, None where none is known."""
    home = Home(folder)
    if not home.store.exists():
        return None
    with Archive(home.store) as archive:
        found = archive.checkpoint(cosigned=True, before=at)
    return found.size if found is not None else None


def trust_witness(
    folder: Path, vkey: str, operator: str, quorum: int | None = None, root: FileKey | None = None
) -> Trust:
    """Have the root name a witness, and of how many operators there must be a cosignature; returns the trust file.

    quorum: left out, as it was, and at least 1. Raises `VerificationError` (`schema`) for what is no witness's key.
    """
    home = Home(folder)
    if Verifier(vkey).kind != COSIGNATURE:
        raise IntegrityError(f"`{vkey}`: not a witness's key: its type is not that of cosignatures (04)")
    with _alone(home):
        trust = read_trust(home.trust)
        held = _held_root(home, trust, root)
        others = tuple(item for item in trust.witnesses if item.vkey != vkey)
        witnesses = (*others, TrustedWitness(vkey=vkey, operator=operator))
        wanted, operators = quorum or max(trust.quorum, 1), len({item.operator for item in witnesses})
        if not 1 <= wanted <= operators:
            raise IntegrityError(f"a quorum of {wanted} cannot be had of {operators} operators; name more witnesses")
        trust = sign_trust(msgspec.structs.replace(trust, witnesses=witnesses, quorum=wanted), held)
        write_trust(home, trust)
    return trust


def _held_root(home: Home, trust: Trust, given: FileKey | None) -> FileKey:
    root = root_of(home, trust, given)
    if root is None:
        hint = "bring it with --root FILE" if trust.root is not None else "make one with `navicert key root`"
        raise IntegrityError(f"{home.folder}: the root key is not here; {hint}")
    return root


def _rooted(home: Home, trust: Trust) -> Trust:
    """Give an old home its root and the key of its log; what an earlier try has made is taken."""
    algorithm = load_key(home.receipt_key).algorithm
    for path in (home.root_key, home.log_key):
        if not path.exists():
            save_key(new_key(algorithm), path)
    log = trusted(load_key(home.log_key), SystemClock().now())
    keys = certified(trust, [row.data for row in key_records(home)])
    trust = sign_trust(msgspec.structs.replace(trust, keys=keys, log=(log,)), load_key(home.root_key))
    write_trust(home, trust)
    return trust


def _other_log_key(home: Home, trust: Trust, revoked: str) -> tuple[Trust, str]:
    """Put a new key in the place of a revoked one that signs checkpoints, and list it, also that of an earlier try."""
    current = load_key(home.log_key)
    if current.key_id == revoked:
        current = new_key(current.algorithm)
        fresh = home.log_key.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        save_key(current, fresh)
        fresh.replace(home.log_key)
        sync_folder(home.keys)
    if all(key.key_id != current.key_id for key in trust.log):
        log = (*trust.log, trusted(current, SystemClock().now()))
        trust = msgspec.structs.replace(trust, log=log)
    return trust, current.key_id


def _signed_behind(home: Home, key_id: str, upto: int) -> list[int]:
    if not schema_of(home.store):
        return []
    with Archive(home.store) as archive:
        rows = (row for row in archive.log(after=upto) if row.data)
        return [row.seq for row in rows if receipt_of(row).signature.key_id == key_id]


def _destroy(path: Path) -> None:
    """Overwrite a key file, and remove it."""
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync_folder(path.parent)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Hold the keys of a home: two that rotate at once would each make one."""
    descriptor = os.open(home.keys, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with locked(descriptor, monotonic() + WAIT_S, f"{home.keys}: another process changes the keys"):
            yield
    finally:
        os.close(descriptor)
