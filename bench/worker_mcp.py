"""An MCP server over HTTP that does nothing: the upstream of bench_gateway. Writes its port to standard output."""

from __future__ import annotations

import asyncio
import json

TOOL = {"name": "look", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}}
RESULTS = {
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"},
    "tools/list": {"tools": [TOOL], "resultType": "complete"},
    "resources/list": {"resources": [], "resultType": "complete"},
    "tools/call": {"content": [{"type": "text", "text": "seven"}], "resultType": "complete"},
}
DATA = {method: json.dumps(result) for method, result in RESULTS.items()}


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
        data, id_ = DATA.get(message.get("method", "")), json.dumps(message.get("id"))
        what = f'"result":{data}' if data else '"error":{"code":-32601,"message":"no"}'
        body = f'{{"jsonrpc":"2.0","id":{id_},{what}}}'.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
