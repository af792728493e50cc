"""Verification as somebody else would do it: the product's verifier as a program of its own, on a file, offline.

* And what somebody would do who wants to see it fail: change one value in an exported file, wherever it stands.
* Where the adapter says how records are signed, their signatures are checked here too, with nothing of the product's.
"""

from __future__ import annotations

import json
import re
import subprocess
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from navicert.conformance.product import Broken

PATIENCE_S: Final = 60
JCS_INLINE: Final = "jcs-inline"
"""How a record is signed: the RFC 8785 bytes of its JSON without `signature.value`, which is base64url."""
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_AT_ONCE: Final = 4


def verifies(command: Sequence[str], path: Path, root: str) -> tuple[bool, str]:
    """Return whether the verifier accepts the file under this root, and its last line.

    It runs in an empty folder, so that it finds nothing but the file. Raises `Broken` where it does not end.
    """
    code, said = _run([word.replace("{file}", str(path.absolute())).replace("{root}", root) for word in command])
    return code == 0, said[-1] if said else ""


def verify_each(command: Sequence[str], batch: Sequence[str], texts: Sequence[str], root: str) -> list[bool]:
    """Return for each of these texts, as a file of its own, whether the verifier accepts it.

    batch: the command for many files at once, where there is one. Raises `Broken` where it does not answer for each.
    """
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.evidence") for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        if not batch:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                return [holds for holds, _ in pool.map(lambda path: verifies(command, path, root), paths)]
        at = batch.index("{files}")
        filled = [word.replace("{root}", root) for word in batch]
        _, said = _run([*filled[:at], *map(str, paths), *filled[at + 1 :]])
    if len(said) != len(texts) or not set(said) <= {"verified", "refused"}:
        raise Broken(f"the verifier does not answer for each of {len(texts)} files: {said[-1] if said else 'nothing'}")
    return [line == "verified" for line in said]


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    with TemporaryDirectory() as empty:
        try:
            ran = subprocess.run(  # noqa: S603 - the command is the tester's own
                command, cwd=empty, capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Broken(f"the verifier does not run: {error}") from None
    return ran.returncode, (ran.stdout + ran.stderr).strip().splitlines()


# changing what was exported


def other(value: str) -> str:
    """Return the value with a letter or digit in its middle changed, to one that hex digits and base64url have too."""
    at = next(place for place in range(len(value) // 2, len(value)) if value[place].isalnum())
    return f"{value[:at]}{'b' if value[at] == 'a' else 'a'}{value[at + 1 :]}"


def changed(text: str, value: str, becomes: str) -> Iterator[str]:
    """Yield the text of a file of JSON with a value changed at one of its places, once for each of them.

    A place is a JSON string that is the value; those within texts that are themselves JSON, as they are or in
    base64url, count too. All else in the text stays as it is, to the byte.
    """
    for found in _STRING.finditer(text):
        try:
            inner: str = json.loads(found[0])
        except ValueError:
            continue  # in a text that is no JSON, a pair of quotes need not be a string
        for instead in _instead(inner, value, becomes):
            yield f"{text[: found.start()]}{_like(found[0], inner, instead)}{text[found.end() :]}"


def _instead(inner: str, value: str, becomes: str) -> Iterator[str]:
    if inner == value:
        yield becomes
    elif inner[:1] in {"{", "["}:
        yield from changed(inner, value, becomes)
    elif len(plain := _unencoded(inner)) > 1 and plain[0] in "{[":
        yield from map(_encoded, changed(plain, value, becomes))


def _like(written: str, inner: str, instead: str) -> str:
    """Return a JSON string for another text, in the spelling of the one that stood there."""
    ascii_only = json.dumps(inner) == written
    return json.dumps(instead, ensure_ascii=ascii_only)


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unencoded(text: str) -> str:
    try:
        plain = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return ""
    return plain if _encoded(plain) == text else ""


# signatures, without the product


def signed(raw: str, keys: Mapping[str, str]) -> bool:
    """Tell whether a record's own signature (`jcs-inline`) is valid under one of these keys, by id, in base64url.

    The record is of printable ASCII without floats, so sorted members without white space are its RFC 8785 form.
    """
    try:
        record = json.loads(raw)
        part = record["signature"]
        signature, public = _bytes(part.pop("value")), _bytes(keys[part["key_id"]])
        message = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if part["algorithm"] == "Ed25519":
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        elif part["algorithm"] == "ES256":
            r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public)
            key.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
        else:
            return False
    except (InvalidSignature, ValueError, LookupError, TypeError, AttributeError):  # or no such record at all
        return False
    return True


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
