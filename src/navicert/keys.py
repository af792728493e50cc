"""The signing key of a home folder: rotate it, and publish what verifiers have to believe (DESIGN.md section 7).

A rotation, in an order in which it may break off anywhere and is taken up by the next call:

 1. The new key is written beside the old one, durable. Nothing knows of it yet.
 2. One transaction: a `key` record that holds the new public key, signed by the old key, and the store's note of it.
    From here on the old key signs nothing: engines that hold it get `Unavailable` and refuse.
 3. The trust file lists the new key, and until when the old one signed.
 4. The new key takes the old one's place, in one rename; the old one is kept under its own name. Engines may start.

Old receipts verify for ever: their key stays in the trust file. Broken off after 2, an engine that starts says that the
key was rotated; `rotate_key` then finishes steps 3 and 4 from the record, and makes no other key.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from navicert.adapters.secret_file import replace_file, sync_folder
from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.adapters.store.archive import Archive, receipt_of
from navicert.adapters.store.handover import append_key_record
from navicert.adapters.system import SystemClock, SystemIds
from navicert.assemble import Home, read_trust, trusted
from navicert.config import read_config
from navicert.core.draft import NO_LOG, NO_SIGNATURE
from navicert.core.seal import b64, parse
from navicert.core.signature import ED25519
from navicert.core.times import micros, rfc3339
from navicert.model.errors import IntegrityError
from navicert.model.receipt import RECEIPT_VERSION, KeyPart, Receipt
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.verification.keyring import fingerprint


class Rotation(Value, frozen=True, kw_only=True):
    """What a rotation did. resumed: an earlier one had broken off, and was finished instead of making another key."""

    retired: str
    key_id: str
    seq: int
    at: str
    fingerprint: str
    resumed: bool = False


class Published(Value, frozen=True, kw_only=True):
    """What verifiers need: the trust file's text, and the fingerprint to compare by another way than the file came."""

    text: str
    fingerprint: str


def rotate_key(folder: Path, algorithm: str = ED25519) -> Rotation:
    """Replace the signing key of a home folder; restart its engines afterwards, they refuse until then.

    Raises `Unavailable` where the store is busy or was handed over meanwhile. Whatever it raises, call it again.
    """
    home, config = Home(folder), read_config(folder)
    old = load_key(home.receipt_key)
    record = _unfinished(home, old)
    if record is not None:
        return _finish(home, old, record, resumed=True)
    new = new_key(algorithm)
    save_key(new, key_path(home, new.key_id))
    # a failure that is reported may still be durable: the new key stays where it is, whatever happens
    data = append_key_record(home.store, config.origin, old, _drafted(new))
    return _finish(home, old, parse(data), resumed=False)


def publish(folder: Path) -> Published:
    """Return the trust file of a home folder, with its fingerprint."""
    home = Home(folder)
    mark = fingerprint(read_trust(home.trust))
    return Published(text=home.trust.read_text(encoding="utf-8"), fingerprint=mark)


def key_path(home: Home, key_id: str) -> Path:
    """Return where a key lies that does not sign now: not yet, or not any more."""
    return home.keys / f"receipt-{key_id.replace(':', '-')}.pem"


def _drafted(new: FileKey) -> Callable[[], Receipt]:
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


def _unfinished(home: Home, current: FileKey) -> Receipt | None:
    """Return the newest `key` record, where the key that signs now is the one that it retired."""
    if not home.store.exists():
        return None
    with Archive(home.store) as archive:
        records = [receipt_of(row) for row in archive.log(kind="key")]
    if not records or records[-1].key is None or records[-1].key.key_id == current.key_id:
        return None
    if records[-1].signature.key_id != current.key_id:
        message = f"{home.receipt_key}: {current.key_id} was retired long ago; restore {records[-1].key.key_id}"
        raise IntegrityError(message)
    return records[-1]


def _finish(home: Home, old: FileKey, record: Receipt, *, resumed: bool) -> Rotation:
    """Steps 3 and 4; doing them again changes nothing."""
    if record.key is None:
        raise IntegrityError("a key record names a key")
    fresh = key_path(home, record.key.key_id)
    new = load_key(fresh)
    trust = _handed_over(read_trust(home.trust), old.key_id, new, record.at)
    replace_file(home.trust, msgspec.json.format(msgspec.json.encode(trust), indent=2) + b"\n")
    kept = key_path(home, old.key_id)
    if not kept.exists():
        os.link(home.receipt_key, kept)
    sync_folder(home.keys)
    fresh.replace(home.receipt_key)
    sync_folder(home.keys)
    return Rotation(
        retired=old.key_id,
        key_id=new.key_id,
        seq=record.log.seq,
        at=record.at,
        fingerprint=fingerprint(trust),
        resumed=resumed,
    )


def _handed_over(trust: Trust, old: str, new: FileKey, at: str) -> Trust:
    keys = [msgspec.structs.replace(key, until=at) if key.key_id == old else key for key in trust.keys]
    if all(key.key_id != new.key_id for key in keys):
        keys.append(trusted(new, micros(at)))
    return msgspec.structs.replace(trust, keys=tuple(keys))
