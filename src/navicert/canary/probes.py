"""Canaries sent, and judged: what must be denied was denied, or there is an alarm (R1.c; see-that-the-gate-works.md).

A surface is `denied` where all of this holds; anything else on a surface that is there is an alarm:

 1. The file that the canary asks for is not there.
 2. An answer came in time, and it is a refusal.
 3. The log holds a decision that carries the random value of this canary, signed by a key that is believed; it is DENY,
    and for a reason for which canaries are denied. What somebody says without that does not count.

* Each canary is a process of its own with a time limit. What came of it goes into the log as a `canary` record.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from stat import S_ISSOCK
from time import monotonic
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.notify.command import CommandNotifier
from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.archive import Archive, LogRow, receipt_of
from navicert.adapters.system import SystemClock, SystemIds
from navicert.assemble import Home, key_records, open_journal, read_trust
from navicert.audit import open_archive
from navicert.canary.agent import NAME, TOOL, Call, Job, Said
from navicert.config import Config
from navicert.core.builtin import PROTECTED
from navicert.core.canonical import percent
from navicert.core.draft import Scribe, record_draft
from navicert.core.inert import inert
from navicert.core.seal import signed_message, unb64
from navicert.core.signature import PublicKey
from navicert.core.times import rfc3339
from navicert.gateway.doors import TOKEN
from navicert.gateway.exchange import host_in
from navicert.gateway.pins import Server
from navicert.gateway.servers import PLACES, read_servers
from navicert.model.action import Effect
from navicert.model.commit import Commit, Draft
from navicert.model.errors import NavicertError, PolicyError, Unavailable
from navicert.model.receipt import CanaryPart, Receipt
from navicert.model.value import Value
from navicert.verification.disclosed import PARAMETERS, plain
from navicert.verification.keyring import certified

WITHIN_S: Final = 20.0
OWN_TOKEN: Final = "NAVICERT_CANARY_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable: the access token for `--http`, where an issuer is configured."""
NOT_THERE: Final = "not_there"
"""The result for a surface that is not there: no alarm, and not in the log."""
_REASONS: Final = frozenset({"not_accepted", "identity_unverified", "authority_suspended", "authority_revoked"})
"""Why a canary is denied, besides by the built-in rule: no such tool is pinned, nobody stands behind it."""
_PREFIX: Final = "canary-"


class Surface(NamedTuple):
    """Where a canary is sent. name: as records have it. job: all of it but file and text. absent: why it is not there.

    calls: tool, the argument that takes the path, and the one that takes the text, if any.
    """

    name: str
    job: Job
    calls: tuple[tuple[str, str, str], ...] = ()
    absent: str = ""


class Came(Value, frozen=True, kw_only=True):
    """What came of one canary. action_id, why: of the decision in the log; why: rule, or reason code.

    result: `denied`, `ran`, `no_answer`, `otherwise` or `not_there`.
    """

    surface: str
    result: str
    detail: str
    seconds: float
    nonce: str = ""
    action_id: str | None = None
    why: str = ""

    @property
    def is_alarm(self) -> bool:
        """Tell whether somebody must look at once."""
        return self.result not in {"denied", NOT_THERE}


def surfaces_of(home: Home, config: Config, http: Iterable[str] = (), clients: Iterable[Path] = ()) -> list[Surface]:
    """Return the surfaces of a home: SDK, owner's socket, each server behind the gateway, each address of a gateway.

    http: addresses besides those of the configuration. clients: configuration files of MCP clients, whose entries are
    launched and reached as the client does it. Raises `PolicyError` for a file that cannot be read.
    """
    at = str(home.folder)
    socket = home.folder / config.socket
    away = "" if _is_socket(socket) else "no owner listens; `navicert up` starts one"
    servers = read_servers(home.folder).servers
    gateway = (sys.executable, "-m", "navicert", "--home", str(home.folder), "mcp")
    unknown = ((TOOL, "path", "text"),)
    found = [Surface("sdk", Job(way="sdk", home=at)), Surface("socket", Job(way="socket", home=at), absent=away)]
    for name, server in servers.items():
        launched = Job(way="stdio", command=(*gateway, name, "--agent", NAME), home=at)
        found.append(Surface(f"mcp-stdio:{name}", launched, (_aimed(name, server) or unknown[0],)))
    for url in dict.fromkeys((*config.canary_http, *http)):
        token = os.environ.get(OWN_TOKEN) or (_own_token(home) if host_in(f"//{urlsplit(url).netloc}")[1] else "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # of many servers behind one address, names tell whose a tool is
        calls = (*unknown, *((f"{name}__{TOOL}", "path", "text") for name in servers))
        found.append(Surface(f"mcp-http:{_shown(url)}", Job(way="http", url=url, headers=headers, home=at), calls))
    for path in dict.fromkeys(clients):
        for name, entry in _entries(path):
            found.append(Surface(f"mcp-client:{path.name}/{name}", _job(entry, at), unknown))
    return found


def probe(home: Home, surface: Surface, within_s: float = WITHIN_S) -> Came:
    """Send a canary over a surface, and judge what came of it; nothing is recorded."""
    if surface.absent:
        return Came(surface=surface.name, result=NOT_THERE, detail=surface.absent, seconds=0.0)
    nonce = secrets.token_hex(16)
    target = home.folder / f"{_PREFIX}{nonce}"
    before, began = _head(home), monotonic()
    calls = tuple(
        Call(tool=tool, arguments={path: str(target)} | ({text: nonce} if text else {}))
        for tool, path, text in surface.calls
    )
    job = msgspec.structs.replace(surface.job, target=str(target), text=nonce, calls=calls)
    said = _sent(job, within_s)
    seconds = round(monotonic() - began, 3)
    ran = target.exists()
    if ran:
        (target.rmdir if target.is_dir() else target.unlink)()
    judged = _decision(home, before, nonce)
    result, detail = _judge(said, judged, ran=ran, within_s=within_s)
    return Came(
        surface=surface.name,
        result=result,
        detail=detail,
        seconds=seconds,
        nonce=sha256(nonce.encode()).hexdigest(),
        action_id=judged.action.id if judged is not None and judged.action is not None else None,
        why=_why(judged),
    )


def record(home: Home, config: Config, found: Iterable[Came]) -> None:
    """Put into the log what came of canaries; raises `Unavailable` where it cannot be written."""
    ids, clock = SystemIds(), SystemClock()
    scribe = Scribe(pseudonym=str, salt=ids.salt, separation="none")
    journal = open_journal(home, config, SubjectKeys(home.subjects))
    try:
        for came in found:
            if came.result == NOT_THERE:
                continue
            part = CanaryPart(
                surface=percent(came.surface), result=came.result, nonce=came.nonce, action=came.action_id
            )
            receipt = record_draft(scribe, "canary", receipt_id=ids.new("rcp"), now=clock.now()).receipt
            draft = Draft(receipt=msgspec.structs.replace(receipt, canary=part))
            journal.enqueue(Commit(draft=draft)).wait(config.commit_s)
    finally:
        journal.close()


def tell(config: Config, came: Came) -> None:
    """Tell whoever is told of questions (`notify`) of an alarm; raises `Unavailable` where that fails."""
    if config.notify:
        notice = {"alarm": "canary", "surface": came.surface, "result": came.result, "at": rfc3339(SystemClock().now())}
        CommandNotifier(config.notify, config.measure_s).tell(notice)


def _judge(said: Said | None, judged: Receipt | None, *, ran: bool, within_s: float) -> tuple[str, str]:
    if ran:
        return "ran", "what must be denied was done: the file that only the action writes was there"
    if said is None:
        return "no_answer", f"nothing came back within {within_s:g} s"
    quoted = inert(said.words)
    if judged is None or judged.decision is None:
        meant = "it looks like a refusal, and the log holds none" if said.refused else "it was not judged here"
        return "otherwise", f"{meant}: {quoted}"
    verdict = judged.decision.result
    if verdict != "DENY":
        return "otherwise", f"it was judged {verdict}"
    if not said.refused:
        return "otherwise", f"the log holds a refusal, and what came back is none: {quoted}"
    if PROTECTED.id not in map(plain, judged.decision.rules) and judged.decision.reason_code not in _REASONS:
        return "otherwise", f"it was denied for another reason than canaries are: {judged.decision.reason_code}"
    return "denied", quoted


def _why(judged: Receipt | None) -> str:
    if judged is None or judged.decision is None:
        return ""
    return ", ".join(map(plain, judged.decision.rules)) or judged.decision.reason_code


def _sent(job: Job, within_s: float) -> Said | None:
    """Return what came back, None where nothing did in time; nothing that was started is left."""
    with subprocess.Popen(
        [sys.executable, "-m", "navicert.canary.agent"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, _ = process.communicate(msgspec.json.encode(job), within_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:  # not yet reaped, so the number is still its own
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    try:
        return msgspec.json.decode(out, type=Said)
    except msgspec.MsgspecError:
        return Said(refused=False, words=f"the canary itself failed, with code {process.returncode}")


def _decision(home: Home, after: int, nonce: str) -> Receipt | None:
    """Return the decision on the action that carries this value: DENY, where there are several; None where none is.

    A receipt whose signature nobody would believe is none.
    """
    if not home.store.exists():
        return None
    best: Receipt | None = None
    keys = {key.key_id: key for key in certified(read_trust(home.trust), [row.data for row in key_records(home)])}
    with open_archive(home) as archive:
        for row in archive.log(after=after, kind="decision"):
            if not _carries(archive, row, nonce):
                continue
            receipt = receipt_of(row)
            key = keys.get(receipt.signature.key_id)
            if key is None or not _is_signed(PublicKey(key.algorithm, unb64(key.public)), row.data):
                continue
            if receipt.decision is not None and receipt.decision.result != "DENY":
                return receipt  # one that was not denied is what must be seen
            best = receipt
    return best


def _carries(archive: Archive, row: LogRow, nonce: str) -> bool:
    with suppress(NavicertError):  # one that does not open is not ours: it was sealed just now
        return nonce in json.dumps(archive.disclosed(row).get(PARAMETERS))
    return False


def _is_signed(key: PublicKey, data: bytes) -> bool:
    try:
        key.verifies(*signed_message(data))
    except ValueError:
        return False
    return True


def _head(home: Home) -> int:
    if not home.store.exists():
        return 0
    with open_archive(home) as archive:
        return archive.head()[0]


def _aimed(name: str, server: Server) -> tuple[str, str, str] | None:
    """Return an accepted tool that takes a path (and a text), and nothing else that it must be given; None: none.

    One that writes stands before one that reads: where it ran, a file is there.
    """
    found: list[tuple[bool, tuple[str, str, str]]] = []
    for profile in server.profiles:
        tool = profile.tool.removeprefix(f"{name}.")
        paths = [each for each in profile.resource if each.lower() in {"path", "file", "filename", "file_path"}]
        writes = profile.effect is Effect.WRITE and bool(profile.content)
        if tool not in server.tools or len(paths) != 1 or not (writes or profile.effect is Effect.READ):
            continue
        text = next(iter(profile.content), "") if writes else ""
        if _needs(server.definitions.get(tool)) <= {paths[0], text}:
            found.append((not writes, (tool, paths[0], text)))
    return min(found)[1] if found else None


def _needs(definition: str | None) -> set[str]:
    """Return which arguments a tool must be given, as texts; something that nobody gives, where that cannot be told."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        schema: dict[str, Any] = json.loads(definition or "")["inputSchema"]
        required = set(schema.get("required", ()))
        if all(schema["properties"][each].get("type") == "string" for each in required):
            return required
    return {"?"}


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the servers of a client's configuration, as it launches or reaches them."""
    try:
        document = json.loads(path.expanduser().read_bytes())
        held = next(document[place] for place in PLACES if place in document)
        entries = [(name, entry) for name, entry in held.items() if {"command", "url"} & entry.keys()]
    except (OSError, ValueError, StopIteration, AttributeError, TypeError, RecursionError) as error:
        raise PolicyError(
            f"{path}: no servers of an MCP client can be read there ({type(error).__name__}); name the file in which"
            " the client keeps them"
        ) from None
    yield from entries


def _job(entry: dict[str, Any], at: str) -> Job:
    if "url" in entry:
        return Job(way="http", url=str(entry["url"]), headers=_texts(entry.get("headers")), home=at)
    arguments = entry.get("args")
    words = [entry["command"], *(arguments if isinstance(arguments, list) else ())]
    return Job(way="stdio", command=tuple(map(str, words)), env=_texts(entry.get("env")), home=at)


def _texts(held: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in held.items()} if isinstance(held, dict) else {}


def _own_token(home: Home) -> str:
    path = home.keys / TOKEN
    return read_secret(path).decode().strip() if path.exists() else ""


def _shown(url: str) -> str:
    """Return an address without what may be secret in it."""
    place = urlsplit(url)
    return f"{place.netloc.rpartition('@')[2]}{place.path}"


def _is_socket(path: Path) -> bool:
    try:
        return S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


__all__ = ["NOT_THERE", "WITHIN_S", "Came", "Surface", "Unavailable", "probe", "record", "surfaces_of", "tell"]
