"""Episodes: what an agent did under a request, call by call, as every suite gives them and every decider sees them.

* One JSON object per line, xz packed; `{"kind": "suite"}` gives the tools, `{"kind": "run"}` one episode.
* `{"kind": "text"}` is a text that many calls share; a call refers to it by number (`at`) instead of an `output`.
* `label`, `writes`, `utility`, `security` are for the scorer alone: no decider is ever given them.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

DATA: Final = Path(__file__).resolve().parent / "data"
BENIGN: Final = "benign"


class Tool(msgspec.Struct, frozen=True):
    """A tool as its server describes it. schema: JSON Schema of its parameters, an object."""

    name: str
    description: str
    schema: Mapping[str, Any]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call, as recorded. label: `benign`, or the id of the attack that it belongs to.

    writes: it changed something (marking a mail as read is not counted). output: what the agent saw.
    """

    tool: str
    args: dict[str, Any]
    output: str
    label: str = BENIGN
    writes: bool = False
    error: bool = False

    @property
    def benign(self) -> bool:
        """Whether it serves the user's task."""
        return self.label == BENIGN


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One session of one agent. mode: `benign` (nothing injected), `append`, `interleave`, or a suite's own word.

    injection_task: None without an attack. said: later words of the user, by the number of calls made before them.
    action: the attack needs a call at all. utility, security: what the suite's own check says of the run as recorded
    (the task is solved; the attack succeeded), None where it has none. source: who recorded it, such as a model.
    """

    suite: str
    id: str
    prompt: str
    tools: Mapping[str, Tool]
    calls: tuple[Call, ...]
    mode: str = BENIGN
    user_task: str = ""
    injection_task: str | None = None
    said: Mapping[int, str] = {}
    action: bool = True
    utility: bool | None = None
    security: bool | None = None
    source: str = ""

    @property
    def benign(self) -> bool:
        """Whether nothing is injected."""
        return self.injection_task is None


def read(path: Path) -> Iterator[Episode]:
    """The episodes of a packed file, in its order. Suites and texts stand before the runs that use them."""
    suites: dict[str, dict[str, Tool]] = {}
    texts: list[str] = []
    with lzma.open(path, "rb") as lines:
        for line in lines:
            item = msgspec.json.decode(line)
            kind = item.pop("kind")
            if kind == "suite":
                suites[item["suite"]] = {name: Tool(name, **tool) for name, tool in item["tools"].items()}
            elif kind == "text":
                texts.append(item["text"])
            else:
                for call in item["calls"]:
                    if "at" in call:
                        call["output"] = texts[call.pop("at")]
                calls = tuple(Call(**call) for call in item.pop("calls"))
                said = {int(number): text for number, text in item.pop("said").items()}
                yield Episode(tools=suites[item["suite"]], calls=calls, said=said, **item)


def write(path: Path, episodes: Iterable[Episode]) -> int:
    """Pack the episodes; return the size of the file in bytes. The same episodes give the same file."""
    lines: list[Any] = []
    suites: set[str] = set()
    texts: dict[str, int] = {}
    for episode in episodes:
        if episode.suite not in suites:
            suites.add(episode.suite)
            tools = {n: {"description": t.description, "schema": t.schema} for n, t in episode.tools.items()}
            lines.append({"kind": "suite", "suite": episode.suite, "tools": tools})
        calls = []
        for call in episode.calls:
            if call.output not in texts:
                lines.append({"kind": "text", "text": call.output})
            at = texts.setdefault(call.output, len(texts))
            item = {"tool": call.tool, "args": call.args, "at": at, "label": call.label, "writes": call.writes}
            calls.append(item | ({"error": True} if call.error else {}))
        fields = {name: getattr(episode, name) for name in Episode.__struct_fields__ if name not in ("tools", "calls")}
        lines.append({"kind": "run", **fields, "calls": calls})
    raw = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]
    path.write_bytes(lzma.compress(raw, format=lzma.FORMAT_XZ, filters=filters))
    return path.stat().st_size


def every(episodes: Iterable[Episode], step: int) -> Iterator[Episode]:
    """All that are benign, and about one in `step` of those that are attacked: always the same."""
    for episode in episodes:
        if episode.benign or crc32(episode.id.encode()) % step == 0:
            yield episode
