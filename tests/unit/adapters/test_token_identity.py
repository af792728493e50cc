"""The token identity: what it reads, what it records, what it remembers, and how it is configured."""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

import navicert
from navicert.adapters.identity.development import DevelopmentIdentity
from navicert.adapters.identity.token import TokenIdentity
from navicert.assemble import make_home, make_verifier
from navicert.config import Config, TokenConfig, read_config
from navicert.model.errors import IdentityError, PolicyError
from navicert.testing.clock import START, FrozenClock
from unit.adapters.issuer import (
    AUDIENCE,
    HUMAN,
    ISSUER,
    NOW,
    Issuer,
    make_config,
    make_key,
    replace,
    revoked,
    verify,
    verifying,
    web,
)

SECOND = 1_000_000


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    made = Issuer()
    made.publish(tmp_path)
    return made


def settle(path: Path) -> None:
    """Have a file look as if it had been written a minute ago."""
    os.utime(path, (time.time() - 60, time.time() - 60))


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "ES256", "RS256"])
def test_each_default_algorithm_verifies(tmp_path: Path, algorithm: str) -> None:
    issuer = Issuer(algorithm)
    issuer.publish(tmp_path)

    assert verify(verifying(tmp_path), issuer.token()).human == HUMAN


def test_another_algorithm_verifies_where_it_is_configured_and_only_there(tmp_path: Path) -> None:
    issuer = Issuer("ES384")
    issuer.publish(tmp_path)

    assert verify(verifying(tmp_path, algorithms=("ES384",)), issuer.token()).human == HUMAN
    with pytest.raises(IdentityError, match="algorithm"):
        verify(verifying(tmp_path), issuer.token())


def test_the_evidence_says_how_each_subject_was_verified(tmp_path: Path, issuer: Issuer) -> None:
    replace(tmp_path / "revoked.json", revoked(START - 9 * SECOND))
    settle(tmp_path / "keys.json")
    token = issuer.token(cnf={"jkt": "thumb"})
    verifier = verifying(tmp_path, revocations="revoked.json")
    verify(verifier, token)
    who = verify(verifier, token, START + 5 * SECOND)

    assert [item.subject for item in who.evidence] == [HUMAN, "assistant"]
    for item in who.evidence:
        assert (item.method, item.issuer, item.binding) == ("jwt", ISSUER, "thumb")
        assert item.verified_at == START + 5 * SECOND
        assert item.expires_at == (NOW + 300) * SECOND
        assert item.token == hashlib.sha256(token.encode()).hexdigest()
        assert item.key == ECKey.import_key(issuer.published()[0]).thumbprint()
        assert (item.keys_source, item.keys_fetched_at) == ("keys.json", START)
        assert item.keys_digest == hashlib.sha256((tmp_path / "keys.json").read_bytes()).hexdigest()
        assert (item.status_source, item.status_checked_at) == ("revoked.json", START - 9 * SECOND)
    assert (who.service, who.session, who.development) == ("orders", "ses_1", False)


def test_without_a_revocation_list_the_evidence_says_so(tmp_path: Path, issuer: Issuer) -> None:
    evidence = verify(verifying(tmp_path), issuer.token()).evidence[0]

    assert (evidence.status_source, evidence.status_checked_at, evidence.binding) == (None, None, None)


@pytest.mark.parametrize(
    ("claim", "changes", "agent"),
    [
        ("azp", {"azp": "a", "client_id": "b"}, "a"),
        ("azp", {"without": "azp", "client_id": "b"}, "b"),
        ("client_id", {"azp": "a", "client_id": "b"}, "b"),
        ("act.sub", {"act": {"sub": "spiffe://acme.example/agent/7"}}, "spiffe://acme.example/agent/7"),
        ("https://acme.example/agent", {"https://acme.example/agent": "c"}, "c"),
    ],
)
def test_the_agent_stands_where_the_configuration_says(
    tmp_path: Path, issuer: Issuer, claim: str, changes: dict[str, Any], agent: str
) -> None:
    assert verify(verifying(tmp_path, agent_claim=claim), issuer.token(**changes)).agent == agent


def test_a_configured_agent_claim_has_no_stand_in(tmp_path: Path, issuer: Issuer) -> None:
    for act in (None, {}, "assistant", {"sub": ""}):
        with pytest.raises(IdentityError, match=r"`act\.sub`"):
            verify(verifying(tmp_path, agent_claim="act.sub"), issuer.token(act=act))


def test_roles_and_scope_stand_where_the_configuration_says(tmp_path: Path, issuer: Issuer) -> None:
    verifier = verifying(tmp_path, roles_claim="realm_access.roles", scope_claim="scp")
    who = verify(verifier, issuer.token(realm_access={"roles": ["lead"]}, scp=["crm.read"]))

    assert (who.roles, who.scope) == (("lead",), ("crm.read",))


def test_a_key_set_may_hold_keys_that_are_not_for_this(tmp_path: Path, issuer: Issuer) -> None:
    strange: list[Any] = [
        {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "a"},
        {"kty": "new", "kid": "b"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "c"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "d"},
        make_key().as_dict(private=False),
        make_key().as_dict(private=False) | {"kid": "k1", "use": "enc"},
        make_key().as_dict(private=False) | {"kid": "k1", "key_ops": ["encrypt"]},
        "text",
    ]
    replace(tmp_path / "keys.json", {"keys": [*strange, *issuer.published()]})

    assert verify(verifying(tmp_path), issuer.token()).human == HUMAN


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = verifying(tmp_path)

    settle(tmp_path / "keys.json")
    first = verify(verifier, issuer.token())
    second = verify(verifier, issuer.token(), START + 5 * SECOND)
    issuer.rotate("k2")
    issuer.publish(tmp_path)
    third = verify(verifier, issuer.token(), START + 9 * SECOND)

    read = [who.evidence[0].keys_fetched_at for who in (first, second, third)]
    assert read == [START, START, START + 9 * SECOND]


def test_two_writes_within_a_tick_of_the_file_system_are_both_seen(tmp_path: Path, issuer: Issuer) -> None:
    # seen to fail: with every stamp believed at once

    path = tmp_path / "revoked.json"
    path.write_text(json.dumps(revoked(sub=["u-18"])))
    found = path.stat()
    verifier = verifying(tmp_path, revocations="revoked.json")
    verify(verifier, issuer.token())
    path.write_text(json.dumps(revoked(sub=["u-17"])))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(IdentityError, match="was revoked"):
        verify(verifier, issuer.token())


def test_a_file_that_is_gone_or_broken_verifies_nothing(tmp_path: Path, issuer: Issuer) -> None:
    verifier, token = verifying(tmp_path), issuer.token()
    verify(verifier, token)
    path = tmp_path / "keys.json"
    good = path.read_bytes()
    for damage in (path.unlink, path.mkdir, path.rmdir, lambda: path.write_bytes(good[:-9])):
        damage()
        with pytest.raises(IdentityError, match=r"`keys\.json`"):
            verify(verifier, token)
    path.write_bytes(good)

    assert verify(verifier, token).human == HUMAN


def test_a_token_is_taken_apart_once_and_again_for_other_keys(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from navicert.adapters.identity import token as module

    calls = []
    real = module.extract_compact
    monkeypatch.setattr(module, "extract_compact", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    verifier, token = verifying(tmp_path), issuer.token()
    for _ in range(5):
        verify(verifier, token)
    assert len(calls) == 1
    replace(tmp_path / "keys.json", {"keys": [*issuer.published(), make_key().as_dict(private=False) | {"kid": "k9"}]})
    verify(verifier, token)

    assert len(calls) == 2


def test_what_is_remembered_is_bounded(tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("navicert.adapters.identity.token._REMEMBERED", 3)
    verifier = verifying(tmp_path)
    for number in range(9):
        verify(verifier, issuer.token(jti=str(number)))

    assert len(verifier._known) == 3


def test_it_runs_in_the_callers_thread_only_where_it_cannot_wait(tmp_path: Path) -> None:
    address = "https://idp.example/keys"

    assert verifying(tmp_path).inline
    assert verifying(tmp_path, revocations="revoked.json").inline
    assert not verifying(tmp_path, keys=address).inline
    assert not verifying(tmp_path, revocations=address).inline


def test_one_thread_asks_while_the_others_go_on(tmp_path: Path, issuer: Issuer) -> None:
    with web() as provider:
        provider.pages["/keys"] = {"keys": issuer.published()}
        verifier, clock, token = verifying(tmp_path, keys=f"{provider.at}/keys"), FrozenClock(), issuer.token()
        with ThreadPoolExecutor(8) as pool:
            for asked in (1, 2):
                found = list(pool.map(lambda _: verify(verifier, token, clock.now()).human, range(64)))
                assert found == [HUMAN] * 64
                assert provider.asked["/keys"] == asked
                clock.tick(200)
        assert "Authorization" not in provider.headers[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"issuer": " "}, "`issuer`"),
        ({"audience": ""}, "`audience`"),
        ({"keys": ""}, "`keys`"),
        ({"keys": "http://idp.example/keys"}, "https"),
        ({"keys": "ftp://idp.example/keys"}, "https"),
        ({"keys": "file:///keys.json"}, "https"),
        ({"keys": "https://"}, "https"),
        ({"keys": "https://[::1"}, "address"),
        ({"keys": "http://127.0.0.1.evil.example/keys"}, "https"),
        ({"keys": "https://a:b@idp.example/keys"}, "credentials"),
        ({"revocations": "http://idp.example/revoked"}, "https"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("ES256", "none")}, "`none`"),
        ({"algorithms": ("HS256",)}, "`HS256`"),
        ({"keys_fresh_s": 0}, "`keys_fresh_s`"),
        ({"revocation_fresh_s": float("nan")}, "`revocation_fresh_s`"),
        ({"max_age_s": -1}, "`max_age_s`"),
    ],
)
def test_a_configuration_that_would_weaken_it_does_not_load(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    config = Config(origin="o", service="s", identity=make_config(**changes))
    with pytest.raises(PolicyError, match=says) as caught:
        make_verifier(tmp_path, config)

    assert str(caught.value).startswith(f"{tmp_path / 'navicert.yaml'}: identity: ")


@pytest.mark.parametrize(
    "keys", ["keys.json", "https://idp.example/keys", "http://127.0.0.1:8/keys", "http://localhost/k", "http://[::1]/k"]
)
def test_keys_come_from_a_file_an_https_address_or_this_machine(tmp_path: Path, keys: str) -> None:
    assert isinstance(
        make_verifier(tmp_path, Config(origin="o", service="s", identity=make_config(keys=keys))), TokenIdentity
    )


def write(tmp_path: Path, identity: str) -> Path:
    home = make_home(tmp_path / "home", origin="test", service="desk")
    home.config.write_text(home.config.read_text().partition("identity:")[0] + identity)
    return home.folder


def test_the_configuration_is_a_word_or_a_mapping(tmp_path: Path) -> None:
    folder = write(tmp_path, f"identity: {{issuer: '{ISSUER}', audience: '{AUDIENCE}', keys: keys.json}}\n")

    assert read_config(folder).identity == TokenConfig(issuer=ISSUER, audience=AUDIENCE, keys="keys.json")
    assert isinstance(make_verifier(folder, Config(origin="o", service="s")), DevelopmentIdentity)


@pytest.mark.parametrize(
    "identity",
    ["identity: token\n", "identity: {issuer: x}\n", "identity: {issuer: x, audience: y, keys: z, verify: false}\n"],
)
def test_a_configuration_with_something_else_does_not_load(tmp_path: Path, identity: str) -> None:
    with pytest.raises(PolicyError, match=r"navicert\.yaml"):
        navicert.open(write(tmp_path, identity))
