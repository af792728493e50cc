"""The lines of an evidence bundle: what each kind holds, and a reader that counts and hashes them (R5).

* A line is one JSON object in canonical form: its bytes are what encoding it again gives; unknown members are refused.
* The last line is over all bytes before it, so nothing changes on the way unseen. It is nobody's signature.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, BinaryIO, Final, TypeVar

import msgspec

from navicert.model.errors import VerificationError
from navicert.model.value import Value

FORMAT: Final = "bundle/1"
MAX_LINE: Final = 1 << 26
"""No line has more bytes than this: 64 MiB."""
T = TypeVar("T", bound=Value)


class Scope(Value, frozen=True, kw_only=True):
    """What a bundle is of: the whole log, one action, or one session; exactly one of them."""

    log: bool = False
    action: str | None = None
    session: str | None = None


class Manifest(Value, frozen=True, kw_only=True):
    """The first line. entries: how many, pruned ones included. revealed: `all`, `none`, or JSON pointers."""

    navicert: str
    entries: int
    made_at: str
    made_by: str
    origin: str
    revealed: str | tuple[str, ...]
    scope: Scope


class TrustLine(Value, frozen=True, kw_only=True):
    """The trust file, as canonical text."""

    trust: str


class CheckpointLine(Value, frozen=True, kw_only=True):
    """The newest checkpoint, as a signed note."""

    checkpoint: str


class CosignedLine(Value, frozen=True, kw_only=True):
    """The newest checkpoint that a quorum cosigned, where that is an older one, and that the newest continues it."""

    cosigned: str
    consistency: tuple[str, ...]


class PolicyLine(Value, frozen=True, kw_only=True):
    """A policy set, as the text that its hash is over."""

    policy: str


class EntryLine(Value, frozen=True, kw_only=True):
    """An entry, as the text that was signed. proof: base64 hashes, in bundles that are not of the whole log."""

    entry: str
    disclosures: tuple[str, ...] = ()
    proof: tuple[str, ...] | None = None


class PrunedLine(Value, frozen=True, kw_only=True):
    """What is left of an entry whose bytes were taken out of the log: its leaf in the tree, base64."""

    leaf: str
    seq: int


class FileLine(Value, frozen=True, kw_only=True):
    """A file to take along; nothing is verified by it."""

    name: str
    text: str


class EndLine(Value, frozen=True, kw_only=True):
    """How many lines stand before this one, and the SHA-256 over their bytes."""

    lines: int
    sha256: str


_KINDS: Final[tuple[type[Value], ...]] = (
    Manifest, TrustLine, CheckpointLine, CosignedLine, PolicyLine, EntryLine, PrunedLine, FileLine, EndLine,
)  # fmt: skip
_STARTS: Final = (
    (b'{"disclosures":', EntryLine),
    (b'{"entry":', EntryLine),
    (b'{"leaf":', PrunedLine),
    (b'{"policy":', PolicyLine),
    (b'{"name":', FileLine),
    (b'{"lines":', EndLine),
    (b'{"consistency":', CosignedLine),
    (b'{"checkpoint":', CheckpointLine),
    (b'{"trust":', TrustLine),
    (b'{"entries":', Manifest),
)
_DECODERS: Final[dict[type[Value], msgspec.json.Decoder[Any]]] = {kind: msgspec.json.Decoder(kind) for kind in _KINDS}
_encode = msgspec.json.Encoder(order="sorted").encode


def line_of(value: Value) -> bytes:
    """Return a line of a bundle, with its newline."""
    return _encode(value) + b"\n"


def is_bundle(start: bytes) -> bool:
    """Tell whether a file that starts so is meant to be a bundle."""
    return start.startswith(b'{"entries":')


class Lines:
    """The lines of a file, each of one kind, canonical, counted and hashed; the last is the end line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = sha256()
        self._count = 0
        self.place = "line 1"
        self.ahead: Value = self._next()

    def take(self, kind: type[T]) -> T:
        """Return the next line, which must be of that kind."""
        found = self.ahead
        if not isinstance(found, kind):
            raise VerificationError("schema", f"{self.place}: a `{_word(kind)}` line belongs here")
        if not isinstance(found, EndLine):
            self.ahead = self._next()
        return found

    def while_of(self, *kinds: type[Value]) -> Iterator[Value]:
        """Yield the next lines as long as they are of these kinds."""
        while isinstance(self.ahead, kinds):
            yield self.take(type(self.ahead))

    def _next(self) -> Value:
        self.place = f"line {self._count + 1}"
        line = self._file.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise VerificationError("schema", f"{self.place}: it has more than {MAX_LINE} bytes")
        kind = next((kind for start, kind in _STARTS if line.startswith(start)), None)
        if kind is None:
            why = "the file ends before its last line" if not line else "no line of a bundle begins so"
            raise VerificationError("bundle_cut" if not line else "schema", f"{self.place}: {why}")
        try:
            found: Value = _DECODERS[kind].decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise VerificationError("schema", f"{self.place}: {error}") from None
        if line_of(found) != line:
            raise VerificationError("not_canonical", f"{self.place}: not the one form that it has")
        if isinstance(found, EndLine):
            self._end(found)
        self._count += 1
        self._digest.update(line)
        return found

    def _end(self, found: EndLine) -> None:
        if found.lines != self._count:
            message = f"{self._count} lines are here, and the last one says {found.lines}"
            raise VerificationError("bundle_changed", message)
        if found.sha256 != self._digest.hexdigest():
            raise VerificationError("bundle_changed", "the bytes are not those that the last line was written for")
        if self._file.read(1):
            raise VerificationError("bundle_changed", "something stands behind the last line")


def _word(kind: type[Value]) -> str:
    return kind.__name__.removesuffix("Line").lower()


def encode64(data: bytes) -> str:
    """Return base64 (RFC 4648 section 4), as proofs and leaves stand in a bundle."""
    return b64encode(data).decode()
