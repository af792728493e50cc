"""Domain-separated SHA-256: no digest of one kind can stand for one of another kind."""

from __future__ import annotations

from hashlib import sha256

from navicert.core.canonical import state_bytes
from navicert.model.context import SessionContext
from navicert.model.policy import Rule

_ACTION = b"navicert/action/1\0"
_ENTRY = b"navicert/entry/1\0"
_RULE = b"navicert/rule/1\0"
_CONTEXT = b"navicert/context/1\0"
_NEWER = (b',"walked":{}', b',"waiting":[]')
"""Fields that contexts did not have in version 0.1, as they stand at the end of the bytes while they are empty."""


def action_digest(tool: str, operation: str, parameters: bytes) -> str:
    """Return the digest that binds tool, operation and canonical parameters, as hex."""
    head = b"%d:%s%d:%s" % (len(t := tool.encode()), t, len(o := operation.encode()), o)
    return sha256(_ACTION + head + parameters).hexdigest()


def entry_digest(previous: str, entry: bytes) -> str:
    """Return the head of a context chain after one more entry (R2.f)."""
    return sha256(_ENTRY + previous.encode() + b"\0" + entry).hexdigest()


def context_digest(context: SessionContext) -> str:
    """Return the digest of a whole accumulated context; its salt keeps it unguessable.

    A context that makes no use of them has the digest that it had before contexts could hold waits and sequences.
    """
    data = state_bytes(context)[:-1]
    for empty in _NEWER:
        if not data.endswith(empty):
            break
        data = data.removesuffix(empty)
    return sha256(_CONTEXT + data + b"}").hexdigest()


def rule_digest(rule: Rule) -> str:
    """Return a rule's content hash; its place in the file, comments and layout do not count."""
    return sha256(_RULE + state_bytes(rule)).hexdigest()


def bytes_digest(data: bytes) -> str:
    """Return plain SHA-256 as hex, as `sha256sum` prints it: for log entries and receipts."""
    return sha256(data).hexdigest()
