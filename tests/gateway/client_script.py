"""Run the unmodified official client of MCP as plans say. Runs in `.peers/python`; `peers.client` starts it.

Standard input: one plan a line, as a JSON object; each has a connection of its own.
    server    a launch command (list: over stdio), or a URL (Streamable HTTP)
    mode      "auto" (probe for the later era, else the handshake), "legacy" (the handshake), or
              "2026-07-28" (neither: the client takes that era for granted)
    env       what a launched server gets beside PATH, HOME and the like; no more of the environment reaches it
    answer    what a person answers when asked: {"action": "accept", "content": {...}}; without it the client declares
              no elicitation
    tells     a file in which an address stands that a person is asked to open
    sample    what the model says when asked; without it the client declares no sampling
    calls     [[METHOD OF THE CLIENT, {ITS ARGUMENTS}], ...], made one after the other
Standard output: for each plan a line with one JSON object.
    version   the protocol version agreed on; `server`: what the server says of itself; `capabilities`, `instructions`
    results   one for each call: {"result": ...} as on the wire, or {"error": {"code", "message", "data"}}
    asked     what the server asked of the person and the model, in order
    notices   the notifications that reached the client, in order
    log       what a launched server wrote to its standard error
If there was no connection, or it broke: {"broken": TRACEBACK, "log"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

SECONDS = 60


def _plain(value: Any) -> Any:
    return None if value is None else value.model_dump(mode="json", by_alias=True, exclude_none=True)


async def run(plan: dict[str, Any], log: Any) -> dict[str, Any]:
    asked: list[Any] = []
    notices: list[Any] = []

    async def elicit(_context: Any, params: Any) -> types.ElicitResult:
        asked.append(_plain(params))
        if "tells" in plan and params.mode == "url":
            await asyncio.to_thread(Path(plan["tells"]).write_text, params.url)
        return types.ElicitResult(**plan["answer"])

    async def sample(_context: Any, params: Any) -> types.CreateMessageResult:
        asked.append(_plain(params))
        said = types.TextContent(type="text", text=plan["sample"])
        return types.CreateMessageResult(role="assistant", content=said, model="peer")

    async def notice(message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        notices.append(_plain(message))

    server = plan["server"]
    if isinstance(server, list):
        launch = StdioServerParameters(command=server[0], args=server[1:], env=plan.get("env"))
        server = stdio_client(launch, errlog=log)
    callbacks: dict[str, Any] = {}
    if "answer" in plan:
        callbacks["elicitation_callback"] = elicit
    if "sample" in plan:
        callbacks["sampling_callback"] = sample
    async with Client(
        server, mode=plan["mode"], cache=None, read_timeout_seconds=30, message_handler=notice, **callbacks
    ) as client:
        results = []
        for method, arguments in plan["calls"]:
            try:
                results.append({"result": _plain(await getattr(client, method)(**arguments))})
            except MCPError as error:
                results.append({"error": _plain(error.error)})
        return {
            "version": client.protocol_version,
            "server": _plain(client.server_info),
            "capabilities": _plain(client.server_capabilities),
            "instructions": client.instructions,
            "results": results,
            "asked": asked,
            "notices": notices,
        }


def main() -> None:
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as log:
            try:
                done = asyncio.run(asyncio.wait_for(run(json.loads(line), log), SECONDS))
            except Exception:  # noqa: BLE001 - whatever broke the connection is what the test wants to read
                done = {"broken": traceback.format_exc()}
            log.seek(0)
            print(json.dumps(done | {"log": log.read()}), flush=True)  # noqa: T201 - this is its output


if __name__ == "__main__":
    main()
