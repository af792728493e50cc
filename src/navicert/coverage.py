"""Coverage: which agents, surfaces, tools and servers were seen mediated, and what was not (R1; T11).

* What was seen is told from the log alone: decisions, by the action's name, its agent and its surface. Canaries do not
  count.
* Held against it: what servers behind the gateway define (`mcp.json`), and what an agent's own transcript reports. A
  call that stands in a transcript and matches no decision was not mediated, or was not this log's.
* A call matches a decision by the tool's name, in the spellings that surfaces give it, and by its arguments: each that
  it names is that of the decision. Where either side's cannot be read, by name alone, and the statement says so. One
  decision stands for one call.
* A transcript is what the agent says of itself. What it leaves out is seen by nobody here.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from navicert.adapters.store.archive import Archive, LogRow, receipt_of
from navicert.canary.agent import NAME as CANARY
from navicert.core.canonical import canonical_parameters, decode_parameters, parse_json
from navicert.gateway.pins import Server
from navicert.model.errors import IntegrityError, InvalidAction
from navicert.model.receipt import Receipt
from navicert.model.value import Value
from navicert.verification.disclosed import PARAMETERS, plain

MOST_BYTES: Final = 256_000_000
"""A larger transcript is not read."""
_USES: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "function_call"})
_NAMED: Final = ("name", "tool_name")
_GIVEN: Final = ("input", "arguments", "args")
_SHORTEST_ID: Final = 8


class Call(NamedTuple):
    """A tool call that a transcript reports. place: in the file. arguments: None where they cannot be read."""

    place: str
    name: str
    arguments: dict[str, Any] | None


class Unread(NamedTuple):
    """What of a transcript could not be read, and why."""

    place: str
    why: str


class Seen(Value, frozen=True, kw_only=True):
    """How often something was seen mediated, and when last."""

    name: str
    actions: int
    last_at: str


class Behind(Value, frozen=True, kw_only=True):
    """A server behind the gateway. accepted: its tools. never: those of them that nobody has called."""

    name: str
    actions: int
    last_at: str | None
    accepted: tuple[str, ...]
    never: tuple[str, ...]


class Held(Value, frozen=True, kw_only=True):
    """A transcript held against the log. by_name: matched without their arguments, which could not be compared."""

    file: str
    calls: int
    by_arguments: int
    by_name: int
    unmediated: tuple[Call, ...]
    unread: tuple[Unread, ...]


class Coverage(Value, frozen=True, kw_only=True):
    """The statement. upto: place of the last entry that was looked at. canaries: decisions that do not count.

    is_complete: every call that a transcript reports was mediated, and every line of it was read.
    """

    upto: int
    actions: int
    canaries: int
    agents: tuple[Seen, ...]
    surfaces: tuple[Seen, ...]
    tools: tuple[Seen, ...]
    servers: tuple[Behind, ...]
    transcripts: tuple[Held, ...]

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing is missing."""
        return not any(item.unmediated or item.unread for item in self.transcripts)


def cover(
    archive: Archive, servers: dict[str, Server], transcripts: Iterable[Path] = (), *, session: str | None = None
) -> Coverage:
    """Return what was seen mediated, held against servers and transcripts. session: only what was decided in it."""
    files = [(path, *read_transcript(path)) for path in transcripts]
    wanted = {name for _, calls, _ in files for call in calls for name, _ in _meant(call, servers)}
    tally = {kind: _Tally() for kind in ("agent", "surface", "tool", "server")}
    known: dict[str, list[LogRow]] = defaultdict(list)
    actions = canaries = 0
    for row in archive.log(kind="decision", session=session):
        if not row.data:
            continue  # taken out (`navicert log prune`): what it was about is in the bundle
        receipt = receipt_of(row)
        if receipt.action is None or receipt.requester_context is None:
            continue
        if plain(receipt.requester_context.agent) == CANARY:
            canaries += 1
            continue
        actions += 1
        name = _name(receipt)
        tally["agent"].add(plain(receipt.requester_context.agent), receipt.at)
        tally["surface"].add(receipt.action.surface, receipt.at)
        tally["tool"].add(name, receipt.at)
        tally["server"].add(name.partition(".")[0], receipt.at)
        for spelled in spellings(name) & wanted:
            known[spelled].append(row)
    matcher = _Matcher(archive, known, servers)
    return Coverage(
        upto=archive.head()[0],
        actions=actions,
        canaries=canaries,
        agents=tally["agent"].seen(),
        surfaces=tally["surface"].seen(),
        tools=tally["tool"].seen(),
        servers=tuple(_behind(name, server, tally) for name, server in sorted(servers.items())),
        transcripts=tuple(matcher.held(str(path), calls, unread) for path, calls, unread in files),
    )


def spellings(name: str) -> set[str]:
    """Return how surfaces and hosts write the name of a tool: `files.read`, `read`, `files__read`, and so on."""
    parts = name.split(".")
    joined = {sign.join(parts) for sign in (".", "__", "_", "-", ":", "/")}
    return {name, parts[-1], *joined, f"mcp__{'__'.join(parts)}"}


class _Tally:
    """Counts by name, and when each was last."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def add(self, name: str, at: str) -> None:
        self._counts[name] += 1
        self._last[name] = max(at, self._last.get(name, ""))

    def of(self, name: str) -> tuple[int, str | None]:
        return self._counts[name], self._last.get(name)

    def seen(self) -> tuple[Seen, ...]:
        return tuple(
            Seen(name=name, actions=count, last_at=self._last[name])
            for name, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        )


def _name(receipt: Receipt) -> str:
    action = receipt.action
    return f"{plain(action.tool)}.{plain(action.operation)}" if action is not None else ""


def _behind(name: str, server: Server, tally: dict[str, _Tally]) -> Behind:
    actions, last_at = tally["server"].of(name)
    return Behind(
        name=name,
        actions=actions,
        last_at=last_at,
        accepted=tuple(sorted(server.tools)),
        never=tuple(tool for tool in sorted(server.tools) if not tally["tool"].of(f"{name}.{tool}")[0]),
    )


def _meant(call: Call, servers: dict[str, Server]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield what a call may be: itself, or where its tool calls others (`navicert tools --dispatches`), the other."""
    yield call.name, call.arguments
    given = call.arguments or {}
    for server, held in servers.items():
        for tool, dispatch in held.dispatch.items():
            if call.name in spellings(f"{server}.{tool}") and isinstance(given.get(dispatch.name), str):
                inner = given.get(dispatch.arguments, {})
                yield f"{server}.{given[dispatch.name]}", inner if isinstance(inner, dict) else None


class _Judged:
    """The decisions of one name that stand for no call yet, found by what they were about."""

    def __init__(self, archive: Archive, rows: list[LogRow], used: set[int]) -> None:
        self._used = used
        self._rows = [row.seq for row in rows]
        self._told = {row.seq: _told(_parameters(archive, row)) for row in rows}
        self._by: dict[tuple[str, str], list[int]] = defaultdict(list)
        for seq, told in self._told.items():
            for item in told or ():
                self._by[item].append(seq)

    def like(self, arguments: dict[str, Any]) -> int | None:
        """Return the decision that says each of these arguments, and as little besides as there is."""
        wanted = _told(arguments) or frozenset()
        rows = min((self._by[item] for item in wanted), key=len, default=self._rows)
        found = ((len(told), seq) for seq in rows if seq not in self._used and (told := self._told[seq]) is not None
                 and wanted <= told)  # fmt: skip
        return min(found, default=(0, None))[1]

    def any(self, *, unread: bool) -> int | None:
        """Return a decision, whatever it was about; unread: one of which that cannot be told."""
        free = (seq for seq in self._rows if seq not in self._used and (not unread or self._told[seq] is None))
        return next(free, None)


class _Matcher:
    """Finds the decision behind a call; each stands for one call."""

    def __init__(self, archive: Archive, known: dict[str, list[LogRow]], servers: dict[str, Server]) -> None:
        self._servers = servers
        self._used: set[int] = set()
        self._judged = {name: _Judged(archive, rows, self._used) for name, rows in known.items()}

    def held(self, file: str, calls: list[Call], unread: list[Unread]) -> Held:
        found: Counter[str] = Counter()
        missing: list[int] = []
        # the more a call says, the fewer decisions it fits: first, so that no other takes its own away
        for place, call in sorted(enumerate(calls), key=lambda item: -len(item[1].arguments or ())):
            how = self._match(call)
            found[how] += 1
            if not how:
                missing.append(place)
        return Held(
            file=file,
            calls=len(calls),
            by_arguments=found["arguments"],
            by_name=found["name"],
            unmediated=tuple(calls[place] for place in sorted(missing)),
            unread=tuple(unread),
        )

    def _match(self, call: Call) -> str:
        """Return by what a call was matched: `arguments`, `name`; empty where it was not."""
        for name, arguments in _meant(call, self._servers):
            judged = self._judged.get(name)
            if judged is None:
                continue
            seq, how = (judged.like(arguments), "arguments") if arguments is not None else (None, "")
            if seq is None:
                seq, how = judged.any(unread=arguments is not None), "name"
            if seq is not None:
                self._used.add(seq)
                return how
        return ""


def _parameters(archive: Archive, row: LogRow) -> dict[str, Any] | None:
    """Return what a decision was about; None where that was erased, or does not open."""
    with suppress(IntegrityError):
        found = archive.disclosed(row).get(PARAMETERS)
        return found if isinstance(found, dict) else None
    return None


def _told(arguments: dict[str, Any] | None) -> frozenset[tuple[str, str]] | None:
    """Return what arguments say, to be compared: one that is null counts as left out (ADR 0011)."""
    if arguments is None:
        return None
    said = ((name, json.dumps(_plain(value), sort_keys=True)) for name, value in arguments.items() if value is not None)
    return frozenset(said)


def _plain(value: Any) -> Any:
    """Return a JSON value in which a number is the same however it was written."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# transcripts


def read_transcript(path: Path) -> tuple[list[Call], list[Unread]]:
    """Return the tool calls that a transcript reports, and what of it could not be read.

    One JSON document, or one a line. Calls are found in any depth, in the common shapes (docs/reference/cli.md).
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            return [], [Unread(str(path), f"it is larger than {MOST_BYTES} bytes")]
        data = path.read_bytes()
    except OSError as error:
        return [], [Unread(str(path), f"it cannot be read ({error.strerror})")]
    return calls_in(data)


def calls_in(data: bytes) -> tuple[list[Call], list[Unread]]:
    """Return the tool calls in the text of a transcript, and what of it could not be read."""
    calls: list[Call] = []
    unread: list[Unread] = []
    taken: set[tuple[str, str, str]] = set()
    with suppress(InvalidAction):
        calls += _calls(parse_json(data, "its contents"), "", taken)
        return calls, unread
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            calls += _calls(parse_json(line, "its contents"), f"line {number} ", taken)
        except InvalidAction as error:
            unread.append(Unread(f"line {number}", str(error)))
    return calls, unread


def _calls(document: Any, place: str, taken: set[tuple[str, str, str]]) -> Iterator[Call]:
    """Yield the calls in a document, in its order. taken: those that were yielded before under an id of their own."""
    stack = [(document, place)]
    while stack:
        value, at = stack.pop()
        if isinstance(value, dict):
            found = _call(value, at)
            if found is not None:
                named = next(
                    (value[key] for key in ("id", "call_id", "tool_call_id") if type(value.get(key)) is str), ""
                )
                mark = (named, found.name, repr(found.arguments))
                if len(named) < _SHORTEST_ID or mark not in taken:
                    taken.add(mark)
                    yield found
                continue
            inner: Iterable[tuple[str, Any]] = value.items()
        elif isinstance(value, list):
            inner = ((str(index), item) for index, item in enumerate(value))
        else:
            continue
        stack += [(item, f"{at}/{key}") for key, item in reversed(list(inner))]


def _call(value: dict[str, Any], at: str) -> Call | None:
    """Return the call that an object is, None where it is none."""
    if value.get("type") in _USES:
        server = value.get("server_name")
        prefix = f"{server}." if type(server) is str else ""
        return _made(value, at, prefix)
    if value.get("method") == "tools/call" and isinstance(value.get("params"), dict):
        return _made(value["params"], at)
    for key in ("function", "function_call", "functionCall"):
        inner = value.get(key)
        if isinstance(inner, dict) and set(_GIVEN) & inner.keys():
            return _made(inner, at)
    return None


def _made(value: dict[str, Any], at: str, prefix: str = "") -> Call:
    name = next((value[key] for key in _NAMED if type(value.get(key)) is str), "(without a name)")
    given: Any = next((value[key] for key in _GIVEN if key in value), {})
    arguments = None
    with suppress(InvalidAction):
        if type(given) is str:
            given = parse_json(given.encode("utf-8", "surrogatepass"), "the arguments") if given else {}
        if isinstance(given, dict):
            arguments = decode_parameters(canonical_parameters(given))
    return Call(at.strip() or "the document", prefix + name, arguments)
