"""A proxy framework before one server, for bench_gateway.py; runs in .bench-venv-proxy.

worker_proxy.py URL          over HTTP; the port is the first line of standard output
worker_proxy.py COMMAND...   over standard input and output
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

import uvicorn
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

logging.disable(logging.CRITICAL)
target = sys.argv[1:]
if target[0].startswith("http"):
    app = create_proxy(target[0]).http_app(json_response=True)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        print(sock.getsockname()[1], flush=True)
        asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False)).serve([sock]))
else:
    create_proxy(StdioTransport(target[0], target[1:])).run(transport="stdio", show_banner=False)
