"""The Merkle tree of RFC 6962 (SHA-256): roots, and proofs that an entry is in it and that it has only grown (R5).

* A leaf is everywhere the hash of an entry (`leaf_hash`), never its data: an entry that was pruned has nothing else.
* Verifying raises; nothing here returns whether it holds. `size` and `root` are to come from a signed checkpoint.
* Every hash is of 32 bytes exactly: with other lengths, two different pairs would have one parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final

from navicert.model.errors import IntegrityError, VerificationError

Nodes = Callable[[int, int], bytes]
"""(level, index) -> the hash of the complete subtree over the leaves from `index << level` on, `1 << level` of them."""

HASH: Final = 32
"""Bytes of a hash."""
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Return the leaf that stands for an entry."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the parent of two hashes."""
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one hash for each complete subtree, so O(log n) memory for n leaves."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Take up a tree where `hashes` of another frontier left it; raises `IntegrityError` where they do not fit."""
        self.size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count() or any(len(item) != HASH for item in self._hashes):
            raise IntegrityError(f"{len(self._hashes)} hashes are not the right edge of a tree of {size} leaves")

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees, largest (leftmost) first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add a leaf at the right; raises `ValueError` for anything but a hash."""
        if len(leaf) != HASH:
            raise ValueError(f"a leaf is a hash of {HASH} bytes, not {len(leaf)}: give `leaf_hash(data)`")
        size = self.size
        while size & 1:
            leaf = node_hash(self._hashes.pop(), leaf)
            size >>= 1
        self._hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return _folded(self._hashes)


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaves."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def root_of(size: int, nodes: Nodes) -> bytes:
    """Return the root of the first `size` leaves."""
    return _range(0, size, nodes)


def inclusion_proof(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """Return the audit path of a leaf (RFC 6962 section 2.1.1), its sibling first; `ValueError` outside the tree."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(middle, end, nodes))
            end = middle
        else:
            path.append(_range(start, middle, nodes))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, nodes: Nodes) -> list[bytes]:
    """Return the proof that a tree of `new` leaves continues that of `old` (RFC 6962 section 2.1.2).

    It is empty from 0 leaves, and where nothing was added; `ValueError` where `old` is more than `new`.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not continue one of {old}")
    if old == 0:
        return []
    start, end, proof = 0, new, []
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range(middle, end, nodes))
            end = middle
        else:
            proof.append(_range(start, middle, nodes))
            start = middle
    if start:
        proof.append(_range(start, end, nodes))
    return proof[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Return where `leaf` stands at `index` in the tree of `size` leaves with that root (RFC 9162 section 2.1.3.2).

    Raises `VerificationError` with the code `bad_inclusion` where the proof does not show it.
    """
    if not 0 <= index < size:
        raise VerificationError("bad_inclusion", f"leaf {index} is not in a tree of {size} leaves")
    _hashes_only("bad_inclusion", (leaf, *proof))
    place, last, found = index, size - 1, leaf
    for item in proof:
        if last == 0:
            raise VerificationError("bad_inclusion", f"leaf {index} of {size}: the proof has too many hashes")
        if place & 1 or place == last:
            found = node_hash(item, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, item)
        place, last = place >> 1, last >> 1
    if last or found != root:
        raise VerificationError("bad_inclusion", f"leaf {index} of {size}: the proof does not lead to the signed root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return where the tree of `new` leaves begins with all that of `old` (RFC 9162 section 2.1.4.2).

    Raises `VerificationError` with the code `bad_consistency` where the proof does not show it.
    """
    place = f"from {old} to {new} leaves"
    if not 0 <= old <= new:
        raise VerificationError("bad_consistency", f"{place}: a log never shrinks")
    _hashes_only("bad_consistency", proof)
    if old in {0, new}:
        if proof or old_root != (new_root if old else EMPTY_ROOT) or (not new and new_root != EMPTY_ROOT):
            raise VerificationError("bad_consistency", f"{place}: the roots do not fit, or a proof where none is due")
        return
    inner, last, rest = old - 1, new - 1, list(proof)
    while inner & 1:
        inner, last = inner >> 1, last >> 1
    # Where the old tree is one complete subtree of the new one, its root is the first hash, and is left out.
    first = rest.pop(0) if inner and rest else old_root
    before, after = first, first
    for item in rest:
        if last == 0:
            raise VerificationError("bad_consistency", f"{place}: the proof has too many hashes")
        if inner & 1 or inner == last:
            before, after = node_hash(item, before), node_hash(item, after)
            while not inner & 1 and inner:
                inner, last = inner >> 1, last >> 1
        else:
            after = node_hash(after, item)
        inner, last = inner >> 1, last >> 1
    if last or before != old_root or after != new_root:
        raise VerificationError(
            "bad_consistency", f"{place}: what stood in the log was changed, or the proof is of others"
        )


def _hashes_only(code: str, hashes: Iterable[bytes]) -> None:
    if any(len(item) != HASH for item in hashes):
        raise VerificationError(code, f"the proof holds something else than hashes of {HASH} bytes")


def _split(size: int) -> int:
    """Return the largest power of two below `size` (at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _range(start: int, end: int, nodes: Nodes) -> bytes:
    """Return the hash over the leaves from `start`, a multiple of every subtree's size in it, to `end`."""
    hashes = []
    for level in reversed(range((end - start).bit_length())):
        if (end - start) >> level:
            hashes.append(nodes(level, start >> level))
            start += 1 << level
    return _folded(hashes)


def _folded(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root
