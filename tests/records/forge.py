"""A forger: changes entries of a log, and signs again what follows, with keys that it holds."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from navicert.adapters.sign.file_key import FileKey, load_key
from navicert.core.seal import b64

ZERO = "0" * 64
Plain = dict[str, Any]


def canonical(plain: Plain) -> bytes:
    """As `docs/reference/receipts.md` says it; not with our own encoder."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def plains(entries: Iterable[bytes]) -> list[Plain]:
    return [json.loads(data) for data in entries]


def keys_of(folder: Path) -> dict[str, FileKey]:
    """Return every signing key of a home folder, by id."""
    return {key.key_id: key for key in map(load_key, sorted((folder / "keys").glob("receipt*.pem")))}


def sign(plain: Plain, key: FileKey) -> Plain:
    """Sign one receipt in place, under this key's id."""
    plain["signature"] = {"algorithm": key.algorithm, "key_id": key.key_id}
    plain["signature"]["value"] = b64(key.sign(canonical(plain)))
    return plain


def digest(plain: Plain) -> str:
    """Return the SHA-256 by which a receipt names another."""
    return sha256(canonical(plain)).hexdigest()


def resigned(
    log: list[Plain],
    key_for: Callable[[Plain], FileKey],
    *,
    renumber: bool = True,
    originals: Iterable[Plain] = (),
) -> list[bytes]:
    """Give every receipt its places in both chains, and a signature; `completes` follows the receipt that it names.

    originals: the receipts before the forger changed them, so that it follows those too that were changed themselves.
    """
    names = {digest(plain): plain["receipt_id"] for plain in originals}
    placed: dict[str, str] = {}
    entries: list[bytes] = []
    sessions: dict[str, tuple[int, str]] = {}
    moved: dict[str, str] = {}
    prev = ZERO
    for seq, original in enumerate(log, 1):
        plain = copy.deepcopy(original)
        before = digest(plain)
        if renumber:
            plain["log"] |= {"seq": seq, "prev": prev}
            if "session" in plain:
                count, head = sessions.get(plain["session"]["id"], (0, ZERO))
                plain["session"] |= {"seq": count + 1, "prev": head}
            if "completes" in plain:
                named = plain["completes"]
                plain["completes"] = placed.get(names.get(named, ""), moved.get(named, named))
        data = canonical(sign(plain, key_for(original)))
        prev = sha256(data).hexdigest()
        moved.setdefault(before, prev)
        placed.setdefault(plain["receipt_id"], prev)
        if "session" in plain:
            sessions[plain["session"]["id"]] = (plain["session"]["seq"], prev)
        entries.append(data)
    return entries


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterable[tuple[str | int, ...]]:
    """Yield the path of every leaf; an empty list or object is one."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path


def holder(plain: Any, path: tuple[str | int, ...]) -> Any:
    for name in path[:-1]:
        plain = plain[name]
    return plain


def flip(plain: Plain, path: tuple[str | int, ...]) -> Plain:
    """Return a copy with one leaf changed to another value of its own type."""
    changed = copy.deepcopy(plain)
    inside = holder(changed, path)
    value = inside[path[-1]]
    if isinstance(value, bool):
        other: Any = not value
    elif isinstance(value, int):
        other = value + 1
    elif isinstance(value, str):
        other = value[:-1] + ("A" if value[-1:] != "A" else "B")
    else:
        other = ["x"] if isinstance(value, list) else {"x": "y"}
    inside[path[-1]] = other
    return changed
