"""What a token says, once its signature is good: claims (RFC 7519, RFC 9068) → facts, each checked for its form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from navicert.adapters.identity.held import SECOND
from navicert.config import TokenConfig
from navicert.model.errors import IdentityError

_LATEST: Final = 10**11
_MAX_NAME: Final = 500
_MAX_LIST: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """One token. Times are microseconds, UTC; human is `issuer|subject`; digest is the SHA-256 of the token."""

    digest: str
    key: str
    human: str
    subject: str
    agent: str
    roles: tuple[str, ...]
    scope: tuple[str, ...]
    token_id: str | None
    expires_at: int
    not_before: int | None
    issued_at: int | None
    binding: str | None


def read_facts(payload: bytes, config: TokenConfig, *, digest: str, key: str) -> Facts:
    """Return what the claims say; raises `IdentityError` where one is missing, malformed, or meant for others."""
    try:
        claims = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        claims = None
    if not isinstance(claims, dict):
        raise IdentityError("the token holds no claims; the application must pass the access token (JWT)")
    if claims.get("iss") != config.issuer:
        raise IdentityError("the token is from another issuer; the application must get one from the configured issuer")
    audience = claims.get("aud")
    if config.audience not in (audience if isinstance(audience, list) else [audience]):
        raise IdentityError("the token is for another audience; the application must get one for this service")
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise IdentityError("the token has no expiry (`exp`); the issuer must set one")
    subject = _name(claims.get("sub"), "sub")
    agent = _name(_agent(claims, config), config.agent_claim)
    if subject in {agent, claims.get("azp"), claims.get("client_id")}:
        raise IdentityError("no human stands behind the token, its subject is the client; a person must sign in")
    binding = _at(claims, "cnf.jkt")
    return Facts(
        digest=digest,
        key=key,
        human=f"{config.issuer}|{subject}",
        subject=subject,
        agent=agent,
        roles=_names(_at(claims, config.roles_claim), config.roles_claim),
        scope=_scope(_at(claims, config.scope_claim), config.scope_claim),
        token_id=_name(claims["jti"], "jti") if "jti" in claims else None,
        expires_at=expires_at,
        not_before=_time(claims, "nbf"),
        issued_at=_time(claims, "iat"),
        binding=_name(binding, "cnf.jkt") if binding is not None else None,
    )


def _agent(claims: dict[str, Any], config: TokenConfig) -> object:
    found = _at(claims, config.agent_claim)
    return claims.get("client_id") if found is None and config.agent_claim == "azp" else found


def _at(claims: dict[str, Any], name: str) -> object:
    """Return the claim of this name, or the one that the name leads to by its dots (`act.sub`); None for none."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def _time(claims: dict[str, Any], name: str) -> int | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LATEST:
        raise IdentityError(f"the token's `{name}` is no time; the issuer must write seconds since 1970")
    return int(value * SECOND)


def _name(value: object, claim: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_NAME:
        raise IdentityError(f"the token has no usable `{claim}`; the issuer must set it, or the operator another claim")
    return value


def _names(value: object, claim: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > _MAX_LIST:
        raise IdentityError(f"the token's `{claim}` is no list of at most {_MAX_LIST} names; the issuer must write one")
    return tuple(dict.fromkeys(_name(item, claim) for item in value))


def _scope(value: object, claim: str) -> tuple[str, ...]:
    """Return the patterns; a token without scope grants nothing."""
    if isinstance(value, str):
        value = value.split()
    return _names(value, claim)
