"""The token identity (port `IdentityVerifier`): who acts is read from a signed access token (RFC 9068), R6.c.

* The token is the word of the issuer; the application may narrow what it says and repeat it, never change it.
* Signature, issuer, audience, type and times are checked against keys and a revocation list that are fresh; what is
  not fresh is not believed (fail closed). A signature is checked once for each key set, the rest at every action.
* Messages name claims and fields, never what stands in a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact

from navicert.adapters.identity.facts import Facts, read_facts
from navicert.adapters.identity.fetch import check_address, is_address
from navicert.adapters.identity.held import SECOND, SKEW, Copy, hold
from navicert.adapters.identity.keys import ALGORITHMS, VerifyingKey, parse_keys
from navicert.adapters.identity.revocation import Listed, Revocations
from navicert.config import TokenConfig
from navicert.core.scope import intersect
from navicert.model.errors import IdentityError, PolicyError
from navicert.model.identity import ActionIdentity, Claims, Delegation, Evidence

MAX_TOKEN: Final = 16_384
_FORBIDDEN: Final = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
_COOL_S: Final = 30.0
_REMEMBERED: Final = 4096
Keys = Copy[Mapping[str, VerifyingKey]]


class TokenIdentity:
    """Takes human, agent, roles and scope from the token of a session."""

    def __init__(self, config: TokenConfig, home: Path, service: str) -> None:
        """Make one for a configuration; raises `PolicyError` where a field is out of bounds. Reads nothing yet."""
        _check(config)
        self._config = config
        self._service = service
        self._type = _media(config.type)
        self._registry = _Pinned(algorithms=config.algorithms, strict_check_header=False)
        self._keys = hold(
            config.keys, home, what="the key set", parse=parse_keys, fresh_s=config.keys_fresh_s, cool_s=_COOL_S
        )
        self._revocations = (
            Revocations(config.revocations, home, fresh_s=config.revocation_fresh_s)
            if config.revocations is not None
            else None
        )
        self._known: dict[tuple[str, str], Facts] = {}
        self._lock = Lock()

    @property
    def inline(self) -> bool:
        """True where keys and revocation list are files."""
        return self._keys.inline and (self._revocations is None or self._revocations.inline)

    def verify(self, claims: Claims, session: str, delegation: tuple[Delegation, ...], now: int) -> ActionIdentity:
        """Return what the token says, within what the application asks for; raises `IdentityError`.

        At the end of a delegation the agent is the one that was delegated to, on the application's word; the token's
        own agent must stand at its beginning.
        """
        if not claims.token:
            raise IdentityError("this session has no token; the application must pass token=... to guard.session()")
        if len(claims.token) > MAX_TOKEN:
            raise IdentityError("the token is longer than 16 KB; the application must get a smaller one")
        keys, facts = self._facts(claims.token, now)
        self._must_be_in_force(facts, now)
        listed = self._revocations.get(now) if self._revocations is not None else None
        if listed is not None:
            _must_not_be_revoked(listed, facts, delegation)
        _must_agree(claims, facts, delegation)
        scope = intersect(facts.scope, claims.scope)
        for link in delegation:
            scope = intersect(scope, link.scope)
        return ActionIdentity(
            human=facts.human,
            service=claims.service or self._service,
            agent=delegation[-1].delegatee if delegation else facts.agent,
            session=session,
            roles=facts.roles,
            scope=scope,
            delegation=delegation,
            evidence=tuple(self._evidence(subject, facts, keys, listed, now) for subject in (facts.human, facts.agent)),
        )

    def _facts(self, token: str, now: int) -> tuple[Keys, Facts]:
        """Return what the token says, and the key set by which its signature was found good."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        keys = self._keys.get(now)
        facts = self._known.get((digest, keys.digest))
        if facts is not None:
            return keys, facts
        keys, signed, key = self._signed(token, keys, now)
        facts = read_facts(signed.payload or b"", self._config, digest=digest, key=key.thumbprint)
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest, keys.digest] = facts
        return keys, facts

    def _signed(self, token: str, keys: Keys, now: int) -> tuple[Keys, CompactSignature, VerifyingKey]:
        """Return the token, taken apart, its signature checked."""
        try:
            signed = extract_compact(token.encode("ascii"), registry=self._registry)
        except (JoseError, ValueError, TypeError):
            raise IdentityError("this is no signed token; the application must pass the access token (JWT)") from None
        header: object = signed.protected  # a stranger's: it may be anything that JSON can be
        if not isinstance(header, dict):
            raise IdentityError("the token's header is malformed; the application must pass the access token (JWT)")
        if found := sorted(_FORBIDDEN & header.keys()):
            raise IdentityError(
                f"the token's header has `{found[0]}`, which is never followed; the issuer must omit it"
            )
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
        if not isinstance(algorithm, str) or algorithm not in self._config.algorithms:
            raise IdentityError(
                "the token is not signed by an accepted algorithm; the issuer must use one of "
                + ", ".join(self._config.algorithms)
            )
        if not isinstance(kind, str) or _media(kind) != self._type:
            raise IdentityError(f"the token is not of type `{self._type}`; the application must pass the access token")
        if not isinstance(kid, str):
            raise IdentityError("the token does not name its key (`kid`); the issuer must")
        key = keys.value.get(kid)
        if key is None:
            keys = self._keys.again(now)
            key = keys.value.get(kid)
        if key is None or algorithm not in key.algorithms:
            raise IdentityError("the token's key is not in the key set; the application must get a new token")
        try:
            good = validate_compact(signed, key.key, registry=self._registry)
        except (JoseError, ValueError, TypeError):
            good = False
        if not good:
            raise IdentityError("the token's signature is wrong; the application must pass the token as it was issued")
        return keys, signed, key

    def _must_be_in_force(self, facts: Facts, now: int) -> None:
        if facts.expires_at <= now - SKEW:
            raise IdentityError("the token has expired; the application must open a session with a new one")
        if max(facts.not_before or 0, facts.issued_at or 0) > now + SKEW:
            raise IdentityError("the token is not valid yet; the operator must compare this machine's clock")
        most = self._config.max_age_s
        if most is not None and (facts.issued_at is None or now - facts.issued_at > most * SECOND + SKEW):
            raise IdentityError("the token is too old here; the application must open a session with a new one")

    def _evidence(self, subject: str, facts: Facts, keys: Keys, listed: Listed | None, now: int) -> Evidence:
        return Evidence(
            subject=subject,
            method="jwt",
            issuer=self._config.issuer,
            verified_at=now,
            expires_at=facts.expires_at,
            token=facts.digest,
            key=facts.key,
            keys_source=self._config.keys,
            keys_fetched_at=keys.fetched_at,
            keys_digest=keys.digest,
            status_source=self._config.revocations if listed is not None else None,
            status_checked_at=listed.issued_at if listed is not None else None,
            binding=facts.binding,
        )


class _Pinned(JWSRegistry):
    """The algorithms that the configuration allows; `EdDSA` is taken as `Ed25519`, which all our keys for it are."""

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise ValueError("not allowed")
        return self.algorithms["Ed25519" if name == "EdDSA" else name]


def _must_agree(claims: Claims, facts: Facts, delegation: tuple[Delegation, ...]) -> None:
    """Raise `IdentityError` where the application says something else than the token."""
    if claims.human is not None and claims.human != facts.human:
        raise IdentityError("the session names another human than its token; the application must leave human=... out")
    if claims.roles and set(claims.roles) != set(facts.roles):
        raise IdentityError("the session names other roles than its token; the application must leave roles=... out")
    if not delegation:
        if claims.agent is not None and claims.agent != facts.agent:
            raise IdentityError(
                "the session names another agent than its token; the application must leave agent=... out"
            )
        return
    # labels go up a delegation by the names that the session was opened with: there they must be the verified ones
    if delegation[0].delegator != facts.agent or claims.human is None:
        raise IdentityError(
            "the delegation does not begin at the token's human and agent; to delegate, the application must open the "
            "session with human=... and agent=... as the token has them"
        )
    if claims.agent != delegation[-1].delegatee:
        raise IdentityError("the session's agent is not the one delegated to; the application must delegate to it")


def _must_not_be_revoked(listed: Listed, facts: Facts, delegation: tuple[Delegation, ...]) -> None:
    revoked = listed.revoked
    if facts.token_id in revoked.jti:
        raise IdentityError("the token was revoked; the application must open a session with a new one")
    if facts.subject in revoked.sub or facts.human in revoked.sub:
        raise IdentityError("the human was revoked; nothing more is permitted for them")
    if facts.agent in revoked.agent or any(link.delegatee in revoked.agent for link in delegation):
        raise IdentityError("the agent was revoked; nothing more is permitted to it")


def _media(kind: str) -> str:
    """Return a media type without its `application/`, which RFC 7515 lets a token leave out."""
    return kind.casefold().removeprefix("application/")


def _check(config: TokenConfig) -> None:
    for name in ("issuer", "audience", "keys", "type", "agent_claim", "roles_claim", "scope_claim"):
        if not getattr(config, name).strip():
            raise PolicyError(f"`{name}` is empty; write it, or leave it out where it has a default")
    for place in filter(None, (config.keys, config.revocations)):
        if is_address(place):
            check_address(place)
    for name in config.algorithms or ("nothing",):
        if name not in ALGORITHMS:
            raise PolicyError(f"`algorithms` has `{name}`; choose from {', '.join(sorted(ALGORITHMS))}")
    for name in ("keys_fresh_s", "revocation_fresh_s", "max_age_s"):
        value = getattr(config, name)
        if value is not None and not 1 <= value <= 86_400:
            raise PolicyError(f"`{name}` must be from 1 to 86400 seconds")
