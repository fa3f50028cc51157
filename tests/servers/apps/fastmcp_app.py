"""A FastMCP server with one tool, behind a bearer key: ``fastmcp_app PORT CERTIFICATE``."""

from __future__ import annotations

import os
import sys

from fastmcp import FastMCP
from fastmcp.server.auth import StaticTokenVerifier

USER = {"client_id": "user", "scopes": []}

server = FastMCP("adder", auth=StaticTokenVerifier({os.environ["SERVER_KEY"]: USER}))


@server.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    port, certificate = sys.argv[1:]
    tls = {"ssl_certfile": certificate, "ssl_keyfile": certificate}
    server.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False, uvicorn_config=tls)
