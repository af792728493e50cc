"""Attack family D.4: tokens. Each attack stands beside its benign twin, which must pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc.jwk import OctKey

import navicert
from navicert import ActionDenied, Guard, IdentityError
from navicert.assemble import make_home
from navicert.model.identity import Claims, Delegation
from navicert.testing.clock import START, FrozenClock
from unit.adapters.issuer import (
    AUDIENCE,
    HUMAN,
    ISSUER,
    NOW,
    Issuer,
    b64,
    make_key,
    replace,
    revoked,
    signed,
    verify,
    verifying,
    web,
)
from unit.sdk.world import HEAD

SECOND = 1_000_000
DAY = 86_400


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    made = Issuer()
    made.publish(tmp_path)
    return made


def claims_of(token: str) -> bytes:
    body = token.split(".")[1]
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


# ------------------------------------------------------------------------------------------------------ the signature


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("kid", ["k1", None])
def test_an_unsigned_token_is_no_token(tmp_path: Path, issuer: Issuer, name: str, kid: str | None) -> None:
    # seen to fail: without the look at the configured algorithms
    verifier = verifying(tmp_path)
    header = {"alg": name, "typ": "at+jwt"} | ({"kid": kid} if kid else {})
    body = issuer.token().split(".")[1]
    for signature in ("", issuer.token().split(".")[2]):
        with pytest.raises(IdentityError, match="algorithm"):
            verify(verifier, f"{b64(json.dumps(header).encode())}.{body}.{signature}")

    assert verify(verifier, issuer.token()).human == HUMAN


@pytest.mark.parametrize("shape", ["pem", "der", "jwk", "modulus"])
def test_a_public_key_is_never_a_shared_secret(tmp_path: Path, shape: str) -> None:
    issuer = Issuer("RS256")
    issuer.publish(tmp_path)
    verifier = verifying(tmp_path)
    key = issuer.keys["k1"]
    secret = {
        "pem": key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(issuer.published()[0]).encode(),
        "modulus": issuer.published()[0]["n"].encode(),
    }[shape]
    header = {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}
    message = f"{b64(json.dumps(header).encode())}.{issuer.token().split('.')[1]}"
    forged = f"{message}.{b64(hmac.digest(secret, message.encode(), hashlib.sha256))}"
    with pytest.raises(IdentityError, match="algorithm"):
        verify(verifier, forged)

    assert verify(verifier, issuer.token()).human == HUMAN


def test_a_shared_secret_in_the_key_set_verifies_nothing(tmp_path: Path, issuer: Issuer) -> None:
    secret = OctKey.generate_key(256)
    replace(tmp_path / "keys.json", {"keys": [*issuer.published(), secret.as_dict() | {"kid": "shared"}]})
    verifier = verifying(tmp_path)
    with pytest.raises(IdentityError):
        verify(verifier, signed({"alg": "HS256", "typ": "at+jwt", "kid": "shared"}, claims_of(issuer.token()), secret))

    assert verify(verifier, issuer.token()).human == HUMAN


def test_a_key_serves_only_its_own_algorithm(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: without the look at what the key serves (the key's own `alg` is not in the library's hands)
    rsa = Issuer("RS256")
    rsa.rotate("k2")
    restricted = rsa.published()[0] | {"alg": "RS512"}
    replace(tmp_path / "keys.json", {"keys": [*issuer.published(), restricted]})
    verifier = verifying(tmp_path)
    with pytest.raises(IdentityError, match="key"):
        verify(verifier, rsa.token())
    replace(tmp_path / "keys.json", {"keys": [*issuer.published(), *rsa.published()]})

    assert verify(verifier, rsa.token()).human == HUMAN


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_of_a_token_can_be_changed(tmp_path: Path, issuer: Issuer, part: int) -> None:
    # seen to fail: with the signature taken as good
    verifier = verifying(tmp_path)
    parts = issuer.token().split(".")
    other = issuer.token(header={"typ": "application/at+jwt"}, sub="u-1", jti="t-2").split(".")
    parts[part] = other[part]
    with pytest.raises(IdentityError, match="signature"):
        verify(verifier, ".".join(parts))

    assert verify(verifier, ".".join(other)).human == f"{ISSUER}|u-1"


@pytest.mark.parametrize("kid", ["", "k2", "../keys.json", "/dev/null", "k1\0", "K1", "k1' OR '1'='1", "x" * 300])
def test_a_key_id_is_only_a_name(tmp_path: Path, issuer: Issuer, kid: str) -> None:
    verifier = verifying(tmp_path)
    with pytest.raises(IdentityError):
        verify(verifier, issuer.token(header={"kid": kid}))
    with pytest.raises(IdentityError, match="`kid`"):
        verify(verifier, issuer.token(without="kid"))

    assert verify(verifier, issuer.token(header={"kid": "k1"})).human == HUMAN


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "kid"])
def test_a_token_cannot_bring_its_own_key(tmp_path: Path, issuer: Issuer, name: str) -> None:
    # seen to fail: without the forbidden names, jku and its kind pass on a token whose own key is good
    verifier = verifying(tmp_path)
    with web() as theirs:
        thief = Issuer()
        theirs.pages["/keys"] = {"keys": thief.published()}
        brought: Any = {"jwk": thief.published()[0], "x5c": ["MIIB"]}.get(name, f"{theirs.at}/keys")
        for by in (thief, issuer):
            with pytest.raises(IdentityError):
                verify(verifier, by.token(header={name: brought}))

        assert theirs.asked == {}
    assert verify(verifier, issuer.token(header={"x5t": "abc"})).human == HUMAN


def test_a_critical_extension_is_not_skipped(tmp_path: Path, issuer: Issuer) -> None:
    verifier = verifying(tmp_path)
    for header in ({"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}):
        with pytest.raises(IdentityError):
            verify(verifier, issuer.token(header=header))


@pytest.mark.parametrize("text", ["", " ", "a.b", "a.b.c", "a.b.c.d.e", "....", "é.é.é", "\ud800.a.b", "bnVsbA.e30.AA"])
def test_what_is_no_token_is_refused_as_such(tmp_path: Path, issuer: Issuer, text: str) -> None:
    verifier = verifying(tmp_path)
    for token in (text, f"{text}.{issuer.token()}", b64(b"[]") + issuer.token()[4:], b64(b'"alg"') + ".e30.AA"):
        with pytest.raises(IdentityError):
            verify(verifier, token)


# ----------------------------------------------------------------------------------------------------- the claims


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"without": "iss"}, "issuer"),
        ({"aud": "https://other.example"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": [["https://orders.example"]]}, "audience"),
        ({"aud": AUDIENCE + ".evil.example"}, "audience"),
        ({"without": "aud"}, "audience"),
        ({"header": {"typ": "JWT"}}, "type"),
        ({"header": {"typ": "id+jwt"}}, "type"),
        ({"header": {"typ": ["at+jwt"]}}, "no signed token|type"),
        ({"without": "typ"}, "type"),
        ({"exp": NOW - 31}, "expired"),
        ({"exp": 0}, "expired"),
        ({"without": "exp"}, "`exp`"),
        ({"exp": None}, "`exp`"),
        ({"exp": str(NOW + 300)}, "`exp`"),
        ({"exp": True}, "`exp`"),
        ({"exp": 10**300}, "`exp`"),
        ({"exp": NOW * 1000}, "`exp`"),
        ({"nbf": NOW + 31}, "not valid yet"),
        ({"iat": NOW + 31}, "not valid yet"),
        ({"sub": ""}, "`sub`"),
        ({"sub": " "}, "`sub`"),
        ({"sub": 17}, "`sub`"),
        ({"without": "sub"}, "`sub`"),
        ({"sub": "assistant"}, "no human"),
        ({"azp": None, "client_id": None}, "`azp`"),
        ({"azp": {"id": "assistant"}}, "`azp`"),
        ({"roles": "support"}, "`roles`"),
        ({"roles": [["admin"]]}, "`roles`"),
        ({"scope": {"crm": "*"}}, "`scope`"),
        ({"jti": 1}, "`jti`"),
    ],
)
def test_a_token_for_others_or_for_another_time_is_refused(
    tmp_path: Path, issuer: Issuer, changes: dict[str, Any], says: str
) -> None:
    # seen to fail: each of the checks of iss, aud, typ, exp, nbf, iat and sub removed in turn
    with pytest.raises(IdentityError, match=says):
        verify(verifying(tmp_path), issuer.token(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": [AUDIENCE, "https://other.example"]},
        {"header": {"typ": "application/at+jwt"}},
        {"header": {"typ": "AT+JWT"}},
        {"exp": NOW - 29},
        {"exp": NOW + 0.5},
        {"nbf": NOW + 29},
        {"iat": NOW + 29},
        {"nbf": NOW - DAY, "iat": NOW - DAY},
        {"without": "azp"},
        {"without": "jti"},
        {"without": "iat"},
        {"without": "roles"},
    ],
)
def test_an_ordinary_token_passes(tmp_path: Path, issuer: Issuer, changes: dict[str, Any]) -> None:
    who = verify(verifying(tmp_path), issuer.token(**changes))

    assert (who.human, who.agent, who.scope) == (HUMAN, "assistant", ("crm.*", "email.send"))
    assert not who.development


def test_a_token_may_be_too_old_before_it_expires(tmp_path: Path, issuer: Issuer) -> None:
    verifier = verifying(tmp_path, max_age_s=600)
    late = issuer.token(exp=NOW + DAY)
    for token, now in ((late, START + 631 * SECOND), (issuer.token(without="iat"), START)):
        with pytest.raises(IdentityError, match="too old"):
            verify(verifier, token, now)

    assert verify(verifier, late, START + 600 * SECOND).human == HUMAN
    assert verify(verifying(tmp_path), late, START + 631 * SECOND).human == HUMAN


def test_a_token_that_was_good_once_expires_all_the_same(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: with the times checked only where the signature is
    verifier, token, clock = verifying(tmp_path), issuer.token(), FrozenClock()
    for wait in (0, 299, 30):
        clock.tick(wait)
        assert verify(verifier, token, clock.now()).human == HUMAN
    clock.tick(1)
    with pytest.raises(IdentityError, match="expired"):
        verify(verifier, token, clock.now())


def test_a_token_has_at_most_16_kilobytes(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: without the limit
    verifier = verifying(tmp_path)
    with pytest.raises(IdentityError, match="16 KB"):
        verify(verifier, issuer.token(note="x" * 12_500))

    assert verify(verifier, issuer.token(note="x" * 11_000)).human == HUMAN


# --------------------------------------------------------------------------------- what the application may say besides


@pytest.mark.parametrize(
    "claims",
    [
        {"human": "kim"},
        {"human": ""},
        {"human": "u-17"},
        {"human": HUMAN.upper()},
        {"agent": "root"},
        {"agent": ""},
        {"roles": ("admin",)},
        {"roles": ("support", "admin")},
    ],
)
def test_what_the_application_says_never_overrides_the_token(
    tmp_path: Path, issuer: Issuer, claims: dict[str, Any]
) -> None:
    # seen to fail: with each of the three comparisons removed
    with pytest.raises(IdentityError, match="leave"):
        verify(verifying(tmp_path), issuer.token(), **claims)


@pytest.mark.parametrize("claims", [{}, {"human": HUMAN}, {"agent": "assistant"}, {"roles": ("support",)}])
def test_the_application_may_repeat_what_the_token_says(tmp_path: Path, issuer: Issuer, claims: dict[str, Any]) -> None:
    who = verify(verifying(tmp_path), issuer.token(), **claims)

    assert (who.human, who.agent, who.roles) == (HUMAN, "assistant", ("support",))


@pytest.mark.parametrize(
    ("granted", "asked", "got"),
    [
        ("crm.* email.send", ("*",), ("crm.*", "email.send")),
        ("crm.* email.send", ("crm.read", "bank.pay"), ("crm.read",)),
        ("crm.read", ("crm.*", "bank.*"), ("crm.read",)),
        ("crm.*", (), ()),
        ("", ("*",), ()),
        (None, ("*",), ()),
        ("openid profile", ("crm.read",), ()),
        ("*", ("crm.*",), ("crm.*",)),
        (["crm.*"], ("*",), ("crm.*",)),
    ],
)
def test_the_application_can_only_narrow_the_scope(
    tmp_path: Path, issuer: Issuer, granted: Any, asked: tuple[str, ...], got: tuple[str, ...]
) -> None:
    # seen to fail: with a missing scope taken as `*`, and with the application's scope taken as it is
    assert verify(verifying(tmp_path), issuer.token(scope=granted), scope=asked).scope == got
    assert verify(verifying(tmp_path), issuer.token(without="scope"), scope=asked).scope == ()


@pytest.mark.parametrize("token", [None, ""])
def test_nobody_acts_without_a_token(tmp_path: Path, issuer: Issuer, token: str | None) -> None:
    with pytest.raises(IdentityError, match="no token"):
        verify(verifying(tmp_path), token, human=HUMAN, agent="assistant")


# --------------------------------------------------------------------------------------------------------- delegation


def link(delegator: str, delegatee: str, *scope: str) -> Delegation:
    return Delegation(delegator=delegator, delegatee=delegatee, scope=scope, issued_at=START)


CHAIN = (link("assistant", "helper", "crm.*"), link("helper", "reader", "crm.read", "web.get"))
CHILD: dict[str, Any] = {"human": HUMAN, "agent": "reader"}


def test_a_delegated_agent_has_at_most_what_each_link_hands_on(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: with the links left out of the intersection
    who = verify(verifying(tmp_path), issuer.token(), delegation=CHAIN, **CHILD)

    assert (who.human, who.agent, who.scope) == (HUMAN, "reader", ("crm.read",))
    assert [item.subject for item in who.evidence] == [HUMAN, "assistant"]
    assert all(item.evidence is None for item in who.delegation)


@pytest.mark.parametrize(
    ("chain", "claims"),
    [
        ((link("other", "reader", "crm.*"),), CHILD),
        ((link("", "reader", "crm.*"),), CHILD),
        (CHAIN, CHILD | {"agent": "assistant"}),
        (CHAIN, CHILD | {"agent": "helper"}),
        (CHAIN, CHILD | {"agent": None}),
        (CHAIN, CHILD | {"human": None}),
        (CHAIN, CHILD | {"human": "kim"}),
        (CHAIN, CHILD | {"roles": ("admin",)}),
    ],
)
def test_a_delegation_begins_at_the_token_and_ends_at_the_session(
    tmp_path: Path, issuer: Issuer, chain: tuple[Delegation, ...], claims: dict[str, Any]
) -> None:
    # seen to fail: with the comparison of either end removed
    with pytest.raises(IdentityError):
        verify(verifying(tmp_path), issuer.token(), delegation=chain, **claims)


# --------------------------------------------------------------------------------------------- keys and their freshness


def test_keys_that_are_stale_verify_nothing_while_the_provider_is_down(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: with what is held handed out at any age
    with web() as provider:
        provider.pages["/keys"] = {"keys": issuer.published()}
        verifier, clock = verifying(tmp_path, keys=f"{provider.at}/keys", keys_fresh_s=300), FrozenClock()
        token = issuer.token(exp=NOW + DAY)
        assert verify(verifier, token, clock.now()).human == HUMAN
        provider.stop()
        for wait in (100, 100, 99):
            clock.tick(wait)
            assert verify(verifier, token, clock.now()).human == HUMAN
        clock.tick(1)
        with pytest.raises(IdentityError, match="stale"):
            verify(verifier, token, clock.now())


def test_keys_that_were_never_there_verify_nothing(tmp_path: Path, issuer: Issuer) -> None:
    with web() as provider:
        verifier = verifying(tmp_path, keys=f"{provider.at}/keys")
        with pytest.raises(IdentityError, match="not there yet"):
            verify(verifier, issuer.token())
        provider.pages["/keys"] = {"keys": issuer.published()}

        assert verify(verifier, issuer.token(), START + 6 * SECOND).human == HUMAN


def test_a_provider_that_comes_back_is_believed_again(tmp_path: Path, issuer: Issuer) -> None:
    with web() as provider:
        keys = {"keys": issuer.published()}
        provider.pages["/keys"] = keys
        verifier, clock = verifying(tmp_path, keys=f"{provider.at}/keys", keys_fresh_s=300), FrozenClock()
        token = issuer.token(exp=NOW + DAY)
        verify(verifier, token, clock.now())
        del provider.pages["/keys"]
        clock.tick(301)
        for _ in range(3):
            with pytest.raises(IdentityError, match="stale"):
                verify(verifier, token, clock.now())
        assert provider.asked["/keys"] == 2  # a provider in trouble is not asked at every action
        provider.pages["/keys"] = keys
        clock.tick(6)

        assert verify(verifier, token, clock.now()).human == HUMAN


def test_a_clock_that_is_set_back_does_not_keep_keys_fresh(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: with a negative age counted as young
    with web() as provider:
        provider.pages["/keys"] = {"keys": issuer.published()}
        verifier = verifying(tmp_path, keys=f"{provider.at}/keys")
        token = issuer.token(iat=NOW - DAY, exp=NOW + DAY)
        verify(verifier, token)
        provider.stop()
        with pytest.raises(IdentityError, match="stale"):
            verify(verifier, token, START - 3600 * SECOND)


def test_a_rotated_key_is_found_by_one_request_and_the_old_one_is_dropped(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: without `again`; and with the cache keyed by the token alone
    with web() as provider:
        provider.pages["/keys"] = {"keys": issuer.published()}
        verifier, clock = verifying(tmp_path, keys=f"{provider.at}/keys"), FrozenClock()
        old = issuer.token()
        verify(verifier, old, clock.now())
        issuer.rotate("k2")
        provider.pages["/keys"] = {"keys": issuer.published()}
        clock.tick(1)
        who = verify(verifier, issuer.token(), clock.now())

        assert (who.human, provider.asked["/keys"]) == (HUMAN, 2)
        assert who.evidence[0].keys_fetched_at == clock.now()
        clock.tick(31)
        with pytest.raises(IdentityError, match="key set"):
            verify(verifier, old, clock.now())


def test_unknown_keys_cannot_make_us_flood_the_provider(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: without the cool-down
    with web() as provider:
        provider.pages["/keys"] = {"keys": issuer.published()}
        verifier, clock = verifying(tmp_path, keys=f"{provider.at}/keys"), FrozenClock()
        for number in range(20):
            with pytest.raises(IdentityError, match="key set"):
                verify(verifier, issuer.token(header={"kid": f"junk-{number}"}), clock.now())
            clock.tick(1)
        assert provider.asked["/keys"] == 2
        assert verify(verifier, issuer.token(), clock.now()).human == HUMAN
        issuer.rotate("k2")
        provider.pages["/keys"] = {"keys": issuer.published()}
        clock.tick(11)

        assert verify(verifier, issuer.token(), clock.now()).human == HUMAN
        assert provider.asked["/keys"] == 3


@pytest.mark.parametrize("how", ["other host", "file", "too long", "status", "no json", "no keys", "two of one id"])
def test_what_is_not_the_providers_key_set_is_not_used(tmp_path: Path, issuer: Issuer, how: str) -> None:
    good = {"keys": issuer.published()}
    with web() as provider, web() as other:
        other.pages["/keys"] = good
        if how in {"other host", "file"}:
            (tmp_path / "theirs.json").write_text(json.dumps(good))
            provider.moved["/keys"] = f"{other.at}/keys" if how == "other host" else (tmp_path / "theirs.json").as_uri()
        else:
            provider.pages["/keys"] = {
                "too long": json.dumps(good).encode() + b" " * 1_000_000,
                "status": None,
                "no json": b"<html>",
                "no keys": {"keys": []},
                "two of one id": {"keys": [*good["keys"], make_key().as_dict(private=False) | {"kid": "k1"}]},
            }[how]
        with pytest.raises(IdentityError, match="not there yet"):
            verify(verifying(tmp_path, keys=f"{provider.at}/keys"), issuer.token())
        assert other.asked == {}
        provider.pages["/right"] = good
        provider.moved["/moved"] = "/right"

        assert verify(verifying(tmp_path, keys=f"{provider.at}/moved"), issuer.token()).human == HUMAN


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate for this machine that nobody has signed, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp.example")])
    start = datetime.now(UTC) - timedelta(hours=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    return path, tls


def test_keys_from_a_server_without_a_trusted_certificate_are_not_used(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # seen to fail: with a context that checks nothing
    path, tls = certificate(tmp_path)
    with web(tls) as provider:
        provider.pages["/keys"] = {"keys": issuer.published()}
        with pytest.raises(IdentityError, match="does not answer"):
            verify(verifying(tmp_path, keys=f"{provider.at}/keys"), issuer.token())
        monkeypatch.setenv("SSL_CERT_FILE", str(path))

        assert verify(verifying(tmp_path, keys=f"{provider.at}/keys"), issuer.token()).human == HUMAN


# ---------------------------------------------------------------------------------------------------------- revocation


@pytest.mark.parametrize(
    "lists", [{"jti": ["t-1"]}, {"sub": ["u-17"]}, {"sub": [HUMAN]}, {"agent": ["assistant"]}, {"agent": ["reader"]}]
)
@pytest.mark.parametrize("where", ["file", "address"])
def test_what_was_revoked_during_the_session_is_not_believed_again(
    tmp_path: Path, issuer: Issuer, lists: dict[str, list[str]], where: str
) -> None:
    # seen to fail: with each of the look-ups removed
    with web() as provider:
        path, clock = tmp_path / "revoked.json", FrozenClock()

        def say(document: Any) -> None:
            replace(path, document)
            provider.pages["/revoked"] = document

        say(revoked(jti=["t-2"], sub=["u-1"], agent=["other"]))
        place = "revoked.json" if where == "file" else f"{provider.at}/revoked"
        verifier = verifying(tmp_path, revocations=place)
        chain = (link("assistant", "reader", "crm.*"),)
        assert verify(verifier, issuer.token(), clock.now(), chain, **CHILD).agent == "reader"
        clock.tick(31)
        say(revoked(clock.now(), **lists))
        with pytest.raises(IdentityError, match="was revoked"):
            verify(verifier, issuer.token(), clock.now(), chain, **CHILD)

        assert verify(verifier, issuer.token(jti="t-3", sub="u-3", azp="bot"), clock.now()).agent == "bot"


@pytest.mark.parametrize("where", ["file", "address"])
def test_a_revocation_list_that_is_stale_permits_nothing(tmp_path: Path, issuer: Issuer, where: str) -> None:
    # seen to fail: without the look at `issued_at`
    with web() as provider:
        path, clock = tmp_path / "revoked.json", FrozenClock()
        replace(path, revoked())
        provider.pages["/revoked"] = revoked()
        place = "revoked.json" if where == "file" else f"{provider.at}/revoked"
        verifier = verifying(tmp_path, revocations=place)
        for wait in (0, 30, 30):
            clock.tick(wait)
            assert verify(verifier, issuer.token(), clock.now()).human == HUMAN
        clock.tick(1)
        with pytest.raises(IdentityError, match="revocation list"):
            verify(verifier, issuer.token(), clock.now())
        clock.tick(10)
        replace(path, revoked(clock.now()))
        provider.pages["/revoked"] = revoked(clock.now())

        assert verify(verifier, issuer.token(), clock.now()).human == HUMAN


def test_an_older_revocation_list_does_not_bring_anybody_back(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: with whatever was read last taken
    path = tmp_path / "revoked.json"
    verifier = verifying(tmp_path, revocations="revoked.json")
    replace(path, revoked(START + SECOND, sub=["u-17"]))
    with pytest.raises(IdentityError, match="was revoked"):
        verify(verifier, issuer.token(), START + SECOND)
    replace(path, revoked(START))
    with pytest.raises(IdentityError, match="was revoked"):
        verify(verifier, issuer.token(), START + SECOND)
    replace(path, revoked(START + 2 * SECOND))

    assert verify(verifier, issuer.token(), START + 2 * SECOND).human == HUMAN


def test_a_revocation_list_from_the_future_is_not_believed_for_ever(tmp_path: Path, issuer: Issuer) -> None:
    path = tmp_path / "revoked.json"
    verifier = verifying(tmp_path, revocations="revoked.json")
    replace(path, revoked(START + DAY * SECOND))
    with pytest.raises(IdentityError, match="revocation list"):
        verify(verifier, issuer.token())
    replace(path, revoked(START))

    assert verify(verifier, issuer.token()).human == HUMAN


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{}",
        "[]",
        '{"issued_at": "2027-01-15T08:00:00Z"}',
        '{"issued_at": "2027-01-15T08:00:00", "revoked": {}}',
        '{"issued_at": "2027-01-15T08:00:00Z", "revoked": {"subs": ["u-17"]}}',
        '{"issued_at": "2027-01-15T08:00:00Z", "revoked": {"sub": "u-17"}}',
        None,
    ],
)
def test_a_revocation_list_that_cannot_be_read_permits_nothing(
    tmp_path: Path, issuer: Issuer, document: str | None
) -> None:
    path = tmp_path / "revoked.json"
    verifier = verifying(tmp_path, revocations="revoked.json")
    replace(path, {"issued_at": "2027-01-15T08:00:00Z", "revoked": {}})
    assert verify(verifier, issuer.token()).human == HUMAN
    path.unlink()
    if document is not None:
        path.write_text(document)
    with pytest.raises(IdentityError, match="revocation list"):
        verify(verifier, issuer.token())


# ------------------------------------------------------------------------------------------------- through the guard

POLICY = (
    HEAD
    + """\
rules:
  - {id: mail, match: {tool: email}, decision: ALLOW}
"""
)


CONFIG = """identity:
  issuer: https://idp.example
  audience: https://orders.example
  keys: keys.json
  revocations: revoked.json
"""


@contextmanager
def desk(folder: Path, issuer: Issuer, policy: str = POLICY) -> Iterator[tuple[Guard, list[str], Any]]:
    """Open a deployment that verifies tokens, as its configuration says."""
    home = make_home(folder / "home", origin="test", service="desk", policy=policy)
    home.config.write_text(home.config.read_text().partition("identity:")[0] + CONFIG)
    issuer.publish(home.folder)
    replace(home.folder / "revoked.json", revoked(time.time_ns() // 1000))
    sent: list[str] = []
    with navicert.open(home.folder) as guard:

        @guard.tool("email.send", effect="send", destination="to", returns="INTERNAL")
        def send(to: str) -> None:
            sent.append(to)

        yield guard, sent, send


def current(issuer: Issuer, **changes: Any) -> str:
    return issuer.token(iat=int(time.time()), exp=int(time.time()) + 300, **changes)


def test_an_action_runs_by_its_token_until_the_token_is_revoked(tmp_path: Path, issuer: Issuer) -> None:
    with desk(tmp_path, issuer) as (guard, sent, send):
        with guard.session(request="tell Bob", token=current(issuer)):
            send("bob@acme.example")
            replace(tmp_path / "home/revoked.json", revoked(time.time_ns() // 1000, jti=["t-1"]))
            with pytest.raises(ActionDenied):
                send("bob@acme.example")
        with guard.session(request="tell Bob", token=current(issuer, jti="t-2")):
            send("ann@acme.example")

    assert sent == ["bob@acme.example", "ann@acme.example"]


@pytest.mark.parametrize("claims", [{"human": "kim"}, {"agent": "root"}, {"token": None}, {"token": "a.b.c"}])
def test_no_action_runs_where_session_and_token_disagree(
    tmp_path: Path, issuer: Issuer, claims: dict[str, Any]
) -> None:
    with desk(tmp_path, issuer) as (guard, sent, send):
        token = current(issuer)
        with guard.session(**{"request": "tell Bob", "token": token} | claims), pytest.raises(ActionDenied):
            send("bob@acme.example")
        assert sent == []
        with guard.session(request="tell Bob", token=token, human=HUMAN, agent="assistant") as session:
            send("bob@acme.example")
            with session.delegate(agent="helper", scope="email.*"):
                send("ann@acme.example")

    assert sent == ["bob@acme.example", "ann@acme.example"]


@pytest.mark.parametrize(
    ("roles", "ran"),
    [(["support"], True), (["support", "guest"], True), (["guest"], False), (["unlisted"], False), ([], False)],
)
def test_a_role_may_use_at_most_what_the_policy_lists_for_it(
    tmp_path: Path, issuer: Issuer, roles: list[str], ran: bool
) -> None:
    # seen to fail: without the ceiling in `identify`
    policy = POLICY + "roles:\n  support: ['email.*']\n  guest: ['web.*']\n"
    with (
        desk(tmp_path, issuer, policy) as (guard, sent, send),
        guard.session(request="tell Bob", token=current(issuer, roles=roles)),
        nullcontext() if ran else pytest.raises(ActionDenied),
    ):
        send("bob@acme.example")

    assert sent == ["bob@acme.example"] * ran


def test_no_token_and_nothing_of_it_but_names_stands_in_a_message(tmp_path: Path, issuer: Issuer) -> None:
    verifier = verifying(tmp_path)
    marked = {"sub": "SECRET-1", "azp": "SECRET-2", "jti": "SECRET-3", "roles": ["SECRET-4"], "scope": "SECRET-5"}
    messages = []
    for changes in (
        *({"iss": "SECRET-0"}, {"aud": "SECRET-0"}, {"exp": 1}, {"nbf": NOW + 99}, {"roles": "SECRET"}),
        *({"header": {"kid": "SECRET"}}, {"header": {"typ": "SECRET"}}, {"without": "kid"}),
    ):
        token = issuer.token(**marked | changes)
        for text in (token, token[:-3]):
            with pytest.raises(IdentityError) as caught:
                verifier.verify(Claims(token=text, human="x", roles=("y",)), "ses_1", (), START)
            messages.append((str(caught.value), token))

    assert [text for text, token in messages if "SECRET" in text or token[:20] in text] == []
