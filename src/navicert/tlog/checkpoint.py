"""Checkpoints (C2SP tlog-checkpoint, tlog-cosignature): the log's signed word of its size and root (R5).

* The log signs; witnesses cosign that the log only grew. One operator counts once, however many witnesses it runs.
* Keys are known by name and id; signatures of others are not looked at, as the format wants it.
* A key that the root revoked is believed up to the size that the root states, and no further.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from navicert.core.inert import brief
from navicert.model.errors import VerificationError
from navicert.model.trust import Revoked, TrustedKey, TrustedWitness
from navicert.model.value import Value
from navicert.tlog.note import (
    COSIGNATURE,
    Note,
    NoteSignature,
    NoteSigner,
    Verifier,
    check_text,
    cosigned_message,
    decode64,
    key_hash,
    log_verifier,
    note_text,
    parse_note,
    parse_signature_line,
    sign_note,
    signature_line,
)
from navicert.tlog.tree import EMPTY_ROOT, HASH

MOST: Final = 1 << 63
"""No size, index or time reaches this."""


class Checkpoint(Value, frozen=True, kw_only=True):
    """What a log says of itself. size: leaves. root: 32 bytes. extensions: further lines, of no meaning to us."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


class Cosigned(Value, frozen=True, kw_only=True):
    """That a known witness cosigned. name: of the witness. at: when it says that it did, in seconds since the epoch."""

    operator: str
    name: str
    at: int


def epoch_origin(origin: str, epoch: int) -> str:
    """Return the origin of the log's checkpoints in an epoch: the first bears the log's name alone."""
    return origin if epoch == 1 else f"{origin}/epoch-{epoch}"


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the text that is signed."""
    root = b64encode(checkpoint.root).decode()
    return "".join(f"{line}\n" for line in (checkpoint.origin, checkpoint.size, root, *checkpoint.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """Return what a note's text (not the whole note) says."""
    lines = text.split("\n")
    try:
        check_text(text)
    except ValueError as error:
        raise VerificationError("schema", f"checkpoint: {error}") from None
    if len(lines) < 4 or not all(lines[:-1]):
        raise VerificationError("schema", "checkpoint: it is not origin, size and root, each on a line")
    size, root = number(lines[1], "checkpoint size"), decode64(lines[2], "checkpoint root")
    if len(root) != HASH or (not size and root != EMPTY_ROOT):
        raise VerificationError("schema", f"checkpoint: `{brief(lines[2], 64)}` is not a root of {size} leaves")
    return Checkpoint(origin=lines[0], size=size, root=root, extensions=tuple(lines[3:-1]))


def sign_checkpoint(checkpoint: Checkpoint, name: str, signer: NoteSigner) -> str:
    """Return the note with the log's signature.

    Raises `VerificationError` (`schema`) or `ValueError` where origin, extensions or name cannot stand in it.
    """
    text = checkpoint_text(checkpoint)
    if parse_checkpoint(text) != checkpoint:
        raise ValueError("the checkpoint does not read back: a line of it is broken")
    return note_text(Note(text=text, signatures=(sign_note(text, name, signer),)))


def cosign(text: str, name: str, signer: NoteSigner, at: int) -> str:
    """Return the line of a witness over a checkpoint's text. at: seconds since the epoch. The key must be Ed25519."""
    parse_checkpoint(text)
    if not 0 <= at < MOST:
        raise ValueError(f"`{at}` is no time in seconds since the epoch")
    signature = at.to_bytes(8) + signer.sign(cosigned_message(at, text))
    return signature_line(
        NoteSignature(name=name, key_id=key_hash(name, COSIGNATURE, signer.public), signature=signature)
    )


def cosigned(note: str, lines: Iterable[str]) -> str:
    """Return the note with lines added, in their order; of a key that signed already, the first line stays.

    lines: with or without newline. Nothing is verified: `cosignatures` does that, on each witness's line alone.
    """
    found = parse_note(note)
    held = {(item.name, item.key_id): item for item in found.signatures}
    for line in lines:
        item = parse_signature_line(line.removesuffix("\n"))
        held.setdefault((item.name, item.key_id), item)
    whole = note_text(Note(text=found.text, signatures=tuple(held.values())))
    parse_note(whole)
    return whole


def verify_checkpoint(
    note: str, origin: str, log_keys: Iterable[TrustedKey], revoked: Iterable[Revoked] = (), *, name: str | None = None
) -> Checkpoint:
    """Return what the log said, where one of its keys signed it.

    origin: that the checkpoint must bear. name: that the log signs under, where it is not the origin. Raises
    `VerificationError`: `bad_checkpoint` (it is none), `wrong_origin`, `unknown_key` (no known key signed),
    `bad_signature` (a known one did not), `key_revoked` (only keys that are not believed up to this size).
    """
    try:
        found = parse_note(note)
        checkpoint = parse_checkpoint(found.text)
    except VerificationError as error:
        raise VerificationError("bad_checkpoint", str(error).removeprefix("schema: ")) from None
    if checkpoint.origin != origin:
        message = f"checkpoint: it is of `{brief(checkpoint.origin, 64)}`, not of `{brief(origin, 64)}`"
        raise VerificationError("wrong_origin", message)
    ended = {item.key_id: item.upto for item in revoked}
    signed = [key.key_id for key in log_keys if _signed_by(found, log_verifier(name or origin, key), "bad_signature")]
    if not signed:
        raise VerificationError(
            "unknown_key", f"checkpoint of {checkpoint.size} entries: no known key of the log signed"
        )
    if all(checkpoint.size > ended.get(key_id, MOST) for key_id in signed):
        message = (
            f"checkpoint of {checkpoint.size} entries: `{signed[0]}` is revoked, and believed up to {ended[signed[0]]}"
        )
        raise VerificationError("key_revoked", message)
    return checkpoint


def cosignatures(note: str, witnesses: Iterable[TrustedWitness]) -> tuple[Cosigned, ...]:
    """Return which known witnesses cosigned a checkpoint; unknown ones are not looked at.

    Raises `VerificationError`: `bad_cosignature` where a known key's line is not valid, `schema` for a malformed note
    or a key that is not a witness's.
    """
    found = parse_note(note)
    parse_checkpoint(found.text)
    answer = []
    for witness in witnesses:
        verifier = Verifier(witness.vkey)
        if verifier.kind != COSIGNATURE:
            raise VerificationError(
                "schema", f"witness `{brief(witness.vkey, 64)}`: not a key of type 4 (cosignature/v1)"
            )
        times = _signed_by(found, verifier, "bad_cosignature")
        answer += [Cosigned(operator=witness.operator, name=verifier.name, at=at) for at in times]
    return tuple(answer)


def quorum_met(cosigned_by: Iterable[Cosigned], quorum: int) -> bool:
    """Tell whether as many operators cosigned as the quorum wants; a quorum of 0 is met by nobody's word."""
    return len({item.operator for item in cosigned_by}) >= quorum


def number(text: str, what: str) -> int:
    """Return a decimal below 2^63; raises `VerificationError` unless it is its one spelling."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and str(int(text)) == text and int(text) < MOST):
        raise VerificationError("schema", f"{what}: `{brief(text, 64)}` is not a decimal below 2^63")
    return int(text)


def _signed_by(note: Note, verifier: Verifier, code: str) -> list[int]:
    """Return the time of each signature by a key; raises `VerificationError` with that code if one is not valid."""
    try:
        return [verifier.verifies(note.text, item.signature) for item in verifier.of(note)]
    except ValueError as error:
        raise VerificationError(code, f"checkpoint: the signature by `{brief(verifier.name, 64)}`: {error}") from None
