"""Who vouches for people and agents in the kit: an issuer of access tokens (RFC 9068), with keys of its own.

Identity comes to the system under test by tokens only, so what a receipt says about people can be held against what the
kit has issued (R6).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OKPKey

from navicert.conformance.contract import Issuer

NAME: Final = "https://issuer.kit.example"
AUDIENCE: Final = "https://tools.kit.example"


class TokenIssuer:
    """Issues and revokes tokens; `files` is what the system under test gets to know."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key = OKPKey.generate_key("Ed25519", {"kid": "kit-1", "use": "sig", "alg": "Ed25519"})
        self._stranger = OKPKey.generate_key("Ed25519", {"kid": "kit-1", "use": "sig", "alg": "Ed25519"})
        self._issued = 0
        self._revoked: dict[str, list[str]] = {"jti": [], "sub": [], "agent": []}
        keys, revocations = folder / "keys.json", folder / "revoked.json"
        self.files = Issuer(issuer=NAME, audience=AUDIENCE, keys=str(keys), revocations=str(revocations))
        keys.write_text(json.dumps({"keys": [self._key.as_dict(private=False)]}), encoding="utf-8")
        self.refresh()

    def token(self, human: str, agent: str, *, forged: bool = False, **claims: Any) -> str:
        """Return a token; claims over those of an ordinary one. forged: signed by somebody else's key, same name."""
        now = int(time.time())
        self._issued += 1
        said = {
            "iss": NAME, "aud": AUDIENCE, "sub": human, "azp": agent, "jti": f"token-{self._issued}",
            "iat": now, "exp": now + 600, "scope": "kit.*", "roles": [],
        } | claims  # fmt: skip
        header = {"alg": "Ed25519", "typ": "at+jwt", "kid": "kit-1"}
        return jwt.encode(header, said, self._stranger if forged else self._key, algorithms=["Ed25519"])

    def principal(self, human: str) -> str:
        """Return the human as receipts name them."""
        return f"{NAME}|{human}"

    def revoke(self, *, human: str | None = None, agent: str | None = None) -> None:
        """Revoke whatever was and will be issued to somebody."""
        self._revoked["sub"] += [human] if human else []
        self._revoked["agent"] += [agent] if agent else []
        self.refresh()

    def refresh(self) -> None:
        """Issue the revocation list anew: an old one counts for nothing."""
        found = {
            "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "revoked": {name: each for name, each in self._revoked.items() if each},
        }
        path = Path(self.files.revocations)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(found), encoding="utf-8")
        beside.replace(path)
