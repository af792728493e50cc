"""Signed notes (C2SP signed-note): a text, and lines in which keys sign it (R5).

* A key is known by its name and its id of four bytes; the id is no proof of anything, the signature is.
* Types of keys: Ed25519, ECDSA P-256 (its id has no name in it), and cosignatures of witnesses (Ed25519, with a time).
* A note is of one form: base64 is canonical, no control character but the newline, at most 64 signatures.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from navicert.core.inert import brief
from navicert.core.seal import unb64
from navicert.core.signature import ED25519, ES256, PublicKey
from navicert.model.errors import VerificationError
from navicert.model.trust import TrustedKey
from navicert.model.value import Value

NOTE_ED25519: Final = 0x01
NOTE_ECDSA: Final = 0x02
COSIGNATURE: Final = 0x04
MOST_SIGNATURES: Final = 64
_DASH: Final = "\u2014 "
_SPKI: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What stands before an uncompressed P-256 point (65 bytes) in its SubjectPublicKeyInfo."""
_ALGORITHMS: Final = {NOTE_ED25519: ED25519, NOTE_ECDSA: ES256, COSIGNATURE: ED25519}
_KINDS: Final = {ED25519: NOTE_ED25519, ES256: NOTE_ECDSA}


class NoteSigner(Protocol):
    """A private key (adapters/sign): it signs with 64 bytes, ES256 as r and s."""

    @property
    def algorithm(self) -> str:
        """`Ed25519` or `ES256`."""
        ...

    @property
    def public(self) -> bytes:
        """Raw Ed25519 key, or uncompressed SEC1 point."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes of signature."""
        ...


class NoteSignature(Value, frozen=True, kw_only=True):
    """One signature line. key_id: 4 bytes. signature: as the type of the key has it (ECDSA: DER; witness: 72 bytes)."""

    name: str
    key_id: bytes
    signature: bytes


class Note(Value, frozen=True, kw_only=True):
    """A text that ends with a newline, and who signed it, in the order of the lines. Nothing is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


class Verifier:
    """A public key that verifies notes, from its vkey; made once per key."""

    __slots__ = ("_key", "key_id", "kind", "name", "vkey")

    def __init__(self, vkey: str) -> None:
        """Read `name+id+base64(type, key)`; raises `VerificationError` (`schema`) where that is not a key we know."""
        self.vkey = vkey
        self.name, _, rest = vkey.partition("+")
        shown, _, encoded = rest.partition("+")
        data = decode64(encoded, "verifier key")
        self.kind, public = data[0] if data else 0, data[1:]
        if self.kind == NOTE_ECDSA and public.startswith(_SPKI):
            public = public.removeprefix(_SPKI)
        elif self.kind not in _ALGORITHMS or self.kind == NOTE_ECDSA:
            raise VerificationError("schema", f"verifier key `{brief(vkey, 64)}`: no type and key that we know")
        try:
            self._key = PublicKey(_ALGORITHMS[self.kind], public)
            self.key_id = key_hash(self.name, self.kind, public)
        except ValueError as error:
            raise VerificationError("schema", f"verifier key `{brief(vkey, 64)}`: {error}") from None
        if shown != self.key_id.hex():
            raise VerificationError("schema", f"verifier key `{brief(vkey, 64)}`: its id is not that of the key")

    def of(self, note: Note) -> Iterator[NoteSignature]:
        """Yield the note's signatures that claim to be by this key."""
        for item in note.signatures:
            if item.name == self.name and item.key_id == self.key_id:
                yield item

    def verifies(self, text: str, signature: bytes) -> int:
        """Return the time (seconds) that a cosignature states, 0 for other keys; `ValueError` where it is not valid.

        text: of the note, with its last newline. signature: as `NoteSignature.signature` holds it.
        """
        if self.kind == COSIGNATURE:
            at = int.from_bytes(signature[:8])
            if at >= 1 << 63:
                raise ValueError("a cosignature's time is beyond what its format allows")
            self._key.verifies(cosigned_message(at, text), signature[8:])
            return at
        self._key.verifies(text.encode(), _plain(signature) if self.kind == NOTE_ECDSA else signature)
        return 0


def key_hash(name: str, kind: int, public: bytes) -> bytes:
    """Return the id (4 bytes) of a key under a name; of an ECDSA key the name does not count.

    public: raw Ed25519 key, or uncompressed SEC1 point. Raises `ValueError` for another length, or a name that no note
    can hold.
    """
    check_name(name)
    data = _encoded(kind, public)
    return sha256(data if kind == NOTE_ECDSA else b"%s\n%c%s" % (name.encode(), kind, data)).digest()[:4]


def vkey(name: str, kind: int, public: bytes) -> str:
    """Return the verifier key as C2SP writes it: `name+id+base64(type, key)`; raises as `key_hash` does."""
    return f"{name}+{key_hash(name, kind, public).hex()}+{b64encode(bytes([kind]) + _encoded(kind, public)).decode()}"


def log_verifier(name: str, key: TrustedKey) -> Verifier:
    """Return what verifies the notes of a log of that name, signed by that key; raises `VerificationError`."""
    try:
        return Verifier(vkey(name, _KINDS[key.algorithm], unb64(key.public)))
    except (KeyError, ValueError):
        message = f"log key `{brief(key.key_id, 64)}`: it is not a key, or `{brief(name, 64)}` cannot stand in a note"
        raise VerificationError("bad_key", message) from None


def sign_note(text: str, name: str, signer: NoteSigner) -> NoteSignature:
    """Return a log's signature over a text; raises `ValueError` where text or name cannot stand in a note."""
    check_text(text)
    kind = _KINDS[signer.algorithm]
    key_id = key_hash(name, kind, signer.public)
    signature = signer.sign(text.encode())
    if kind == NOTE_ECDSA:
        signature = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    return NoteSignature(name=name, key_id=key_id, signature=signature)


def cosigned_message(at: int, text: str) -> bytes:
    """Return what a witness signs: that it saw the checkpoint `text` at that time (seconds)."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def signature_line(signature: NoteSignature) -> str:
    """Return the line, with its newline."""
    return f"{_DASH}{signature.name} {b64encode(signature.key_id + signature.signature).decode()}\n"


def parse_signature_line(line: str) -> NoteSignature:
    """Return what a line (without its newline) says."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = decode64(encoded, "signature line")
    if not line.startswith(_DASH) or len(data) < 5:
        raise VerificationError("schema", f"signature line `{brief(line, 64)}`: it is not `\u2014 NAME BASE64`")
    try:
        check_name(name)
    except ValueError as error:
        raise VerificationError("schema", f"signature line: {error}") from None
    return NoteSignature(name=name, key_id=data[:4], signature=data[4:])


def note_text(note: Note) -> str:
    """Return the whole note."""
    return f"{note.text}\n" + "".join(signature_line(item) for item in note.signatures)


def parse_note(data: str | bytes) -> Note:
    """Return text and signatures; nothing of it is verified yet."""
    try:
        whole = data if isinstance(data, str) else data.decode()
        at = whole.rindex("\n\n") + 1
        check_text(whole)
    except ValueError as error:
        raise VerificationError("schema", f"note: no text, empty line and signatures ({error})") from None
    lines = whole[at + 1 :].split("\n")[:-1]
    if not 1 <= len(lines) <= MOST_SIGNATURES:
        raise VerificationError("schema", f"note: it has {len(lines)} signatures, not 1 to {MOST_SIGNATURES}")
    return Note(text=whole[:at], signatures=tuple(map(parse_signature_line, lines)))


def decode64(text: str, what: str) -> bytes:
    """Return the bytes of base64 (RFC 4648 section 4); raises `VerificationError` unless it is their one encoding."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    if b64encode(data).decode() != text:
        raise VerificationError("schema", f"{what}: `{brief(text, 64)}` is not canonical base64")
    return data


def check_name(name: str) -> None:
    """Return where a key may bear the name; `ValueError` for none, white space, `+` or a control character in it."""
    if not name or "+" in name or any(char.isspace() or char < " " for char in name):
        raise ValueError(f"`{brief(name, 64)}` cannot name a key: no white space, no `+`")
    name.encode()


def check_text(text: str) -> None:
    """Return where a note may hold the text; `ValueError` for another end than a newline, or a control character."""
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise ValueError("the text does not end with a newline, or holds a control character")
    text.encode()


def _encoded(kind: int, public: bytes) -> bytes:
    if len(public) != {ED25519: 32, ES256: 65}.get(_ALGORITHMS.get(kind, "")):
        raise ValueError(f"{len(public)} bytes are no key of type {kind}")
    return _SPKI + public if kind == NOTE_ECDSA else public


def _plain(signature: bytes) -> bytes:
    """Return r and s (64 bytes) of a DER signature; raises `ValueError` unless it is their one encoding."""
    r, s = decode_dss_signature(signature)
    if not (0 < r < 1 << 256 and 0 < s < 1 << 256):
        raise ValueError("not a P-256 signature in DER")
    return r.to_bytes(32) + s.to_bytes(32)
