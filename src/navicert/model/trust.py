"""Trust: which keys a verifier believes, from a file that it got by another way than the log."""

from __future__ import annotations

from navicert.model.value import Value


class TrustedKey(Value, frozen=True, kw_only=True):
    """A public key (raw Ed25519, or SEC1 point; base64url), and from when to when it signed (RFC 3339)."""

    key_id: str
    algorithm: str
    public: str
    since: str
    until: str | None = None


class Trust(Value, frozen=True, kw_only=True):
    """A trust file: the log's name and its keys. Later keys may also be certified inside the log by an earlier one."""

    origin: str
    keys: tuple[TrustedKey, ...]
