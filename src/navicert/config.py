"""Configuration: `navicert.yaml` in the home folder, read strictly; every field has one meaning and a default."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from navicert.model.errors import PolicyError
from navicert.model.value import Value
from navicert.syntax.reader import Fault, read_yaml
from navicert.syntax.words import json

HOME: Final = ".navicert"
FILE: Final = "navicert.yaml"


class TokenConfig(Value, frozen=True, kw_only=True):
    """How access tokens are verified (R6.c).

    issuer, audience: what `iss` and `aud` must be. keys: the issuer's JWK set, as a file relative to the home folder or
    an https address. algorithms: the signatures accepted. type: the `typ` of the token. agent_claim: where the agent
    stands (`azp`, or else `client_id`); dots go into objects. roles_claim, scope_claim: where these stand.
    revocations: the revocation list, as `keys`. keys_fresh_s, revocation_fresh_s: for how long keys from an address,
    and a revocation list, may be used. max_age_s: how old a token may be, whatever its expiry.
    """

    issuer: str
    audience: str
    keys: str
    algorithms: tuple[str, ...] = ("EdDSA", "Ed25519", "ES256", "RS256")
    type: str = "at+jwt"
    agent_claim: str = "azp"
    roles_claim: str = "roles"
    scope_claim: str = "scope"
    revocations: str | None = None
    keys_fresh_s: float = 300.0
    revocation_fresh_s: float = 60.0
    max_age_s: float | None = None


class JudgeConfig(Value, frozen=True, kw_only=True):
    """A language model that is asked whether an action serves the request; what it says only tightens.

    url: of an endpoint that speaks OpenAI's chat completions, without `/chat/completions`. model: its name there.
    key_file: holds the key, relative to the home folder. timeout_s: for the whole exchange; at most `measure_s`.
    """

    url: str
    model: str
    key_file: str | None = None
    timeout_s: float = 1.5


class Config(Value, frozen=True, kw_only=True):
    """One deployment.

    origin: name of this log, as verifiers will know it. service: the service identity (R6.a). policy: file,
    relative to the home folder. cedar: file of Cedar `forbid` policies, likewise. identity: `development`, or how
    tokens are verified. measure_s: deadline for detectors and identity. commit_s: deadline for the store. permit_s:
    how long a permit is good. wait_s: default deadline of a wait. in_band_s: how long a call waits for a person or
    a fact before it hands out a handle. files_root: absolute path against which tools of category `files` take
    relative ones. retention_days: how long an ended session's context is kept. key_hours: for how long
    a key signs receipts before an engine that starts replaces it; 0: it never does. socket: where the resident owner
    listens, relative to the home folder. users: names or numbers of the operating-system users who may connect to
    it, besides the owner's own. listen: host and port for TCP, where wanted. page: host and port of the approval page,
    where wanted. notify: a command that is told of every question, and of alarms, as JSON on its standard input.
    canary_minutes: how often the resident owner sends canaries; 0: never. canary_http: addresses of gateways that get
    one, too. anchor: a file outside of the home folder, to which checkpoints of the log are appended. witnesses:
    addresses of those who cosign them; whose word counts stands in the trust file. embeddings: what compares actions
    with the user's words: `small`, or `minilm`, a model that is installed besides. judge: a language model, too.
    """

    origin: str
    service: str
    policy: str = "policy.yaml"
    cedar: str | None = None
    identity: str | TokenConfig = "development"
    measure_s: float = 2.0
    commit_s: float = 5.0
    permit_s: float = 300.0
    wait_s: int = 900
    in_band_s: float = 50.0
    retention_days: int = 30
    key_hours: int = 24
    files_root: str | None = None
    socket: str = "navicert.sock"
    users: tuple[str | int, ...] = ()
    people: tuple[str | int, ...] = ()
    listen: str | None = None
    page: str | None = None
    notify: tuple[str, ...] = ()
    canary_minutes: int = 0
    canary_http: tuple[str, ...] = ()
    anchor: str | None = None
    witnesses: tuple[str, ...] = ()
    embeddings: Literal["small", "minilm"] = "small"
    judge: JudgeConfig | None = None


def find_home(start: Path | None = None) -> Path:
    """Return the home folder: `.navicert` in `start` (default: here) or in a folder above it; raises `PolicyError`."""
    folder = (start or Path.cwd()).resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / HOME / FILE).is_file():
            return candidate / HOME
    raise PolicyError(f"{folder}: no {HOME} folder here or above; make one with `navicert init`")


def read_config(home: Path) -> Config:
    """Read the configuration of a home folder; raises `PolicyError` with file and place."""
    path = home / FILE
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); make a new home with `navicert init`") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path}: it is not UTF-8; save it as UTF-8") from None
    try:
        config = msgspec.convert(json(read_yaml(text), "the configuration"), Config)
    except Fault as fault:
        raise PolicyError(f"{path}:{fault.place.line}:{fault.place.column}: {fault}") from None
    except msgspec.ValidationError as error:
        raise PolicyError(
            f"{path}: {str(error)[:1].lower()}{str(error)[1:]}; see docs/reference/configuration.md"
        ) from None
    if isinstance(config.identity, str) and config.identity != "development":
        raise PolicyError(
            f"{path}: identity `{config.identity}` is not known; write `development`, or a mapping with issuer, "
            "audience and keys"
        )
    if config.judge is not None and not 0 < config.judge.timeout_s <= config.measure_s:
        raise PolicyError(
            f"{path}: judge.timeout_s: {config.judge.timeout_s:g} is not within measure_s, {config.measure_s:g}: what "
            "comes later is unknown; raise measure_s, or lower it"
        )
    return config


def shown_path(path: Path) -> str:
    """Return a path as a person would write it from here."""
    try:
        short = path.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        return str(path)
    return str(short)
