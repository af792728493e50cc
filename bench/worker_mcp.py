"""An MCP server that does nothing, in both revisions: the upstream of bench_gateway.

Over HTTP it writes its port to standard output; with `--stdio` it speaks there.
"""

from __future__ import annotations

import asyncio
import json
import sys

TOOL = {"name": "look", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}}
WHOLE = {"resultType": "complete", "ttlMs": 60_000, "cacheScope": "private"}
RESULTS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}, "resources": {}},
        "serverInfo": {"name": "bench", "version": "1"},
    },
    "ping": {},
    "server/discover": {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "resources": {}},
        "resultType": "complete",
    },
    "tools/list": {"tools": [TOOL], **WHOLE},
    "resources/list": {"resources": [], **WHOLE},
    "tools/call": {"content": [{"type": "text", "text": "seven"}], "resultType": "complete"},
}
DATA = {method: json.dumps(result) for method, result in RESULTS.items()}


def answer(message: dict) -> str:
    data = DATA.get(message.get("method", ""))
    what = f'"result":{data}' if data else '"error":{"code":-32601,"message":"no"}'
    return f'{{"jsonrpc":"2.0","id":{json.dumps(message.get("id"))},{what}}}'


class Server(asyncio.Protocol):
    def __init__(self) -> None:
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (at := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:at].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self.held) < at + 4 + length:
                return
            body, self.held = self.held[at + 4 : at + 4 + length], self.held[at + 4 + length :]
            self.answer(json.loads(body) if body else {})

    def answer(self, message: dict) -> None:
        if not message:  # a GET: it has no stream of its own
            self.transport.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        if "id" not in message:
            self.transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            return
        body = answer(message).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def speak() -> None:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" in message:
            sys.stdout.write(answer(message) + "\n")
            sys.stdout.flush()


if "--stdio" in sys.argv:
    speak()
else:
    asyncio.run(main())
