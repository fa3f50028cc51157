"""FastMCP's streamable HTTP transport, over TLS."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import requests

from tests.helpers import statuses
from tests.servers.contract import Answers, RotationContract
from tests.servers.support import RIGHT, Files, Site, Start

#: What the transport requires of every POST.
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def site(start: Start, files: Files) -> Site:
    """A FastMCP server."""
    program = [sys.executable, "-m", "tests.servers.apps.fastmcp_app"]
    return start(lambda port: [*program, str(port), files.certificate], SERVER_KEY=RIGHT)


def message(method: str, **params: Any) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def event(response: requests.Response) -> Any:
    """The first event of a stream."""
    lines = (line for line in response.iter_lines() if line.startswith(b"data:"))
    return json.loads(next(lines).removeprefix(b"data:"))


class TestFastMCP(RotationContract):
    """GET belongs to a session that POST has opened, so the right key gets 400."""

    name = "FastMCP"
    path = "/mcp"
    answers = Answers(right=400, wrong=401, none=401)
    # Every answer that is neither 2xx nor a redirect fails, even with the right key.
    exit_status = 1

    def test_stream_is_read_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """POST is answered with a stream of events; a tool can be called in the session that it opens."""
        session.auth = site.rotated()
        session.headers.update(HEADERS)
        client = {"name": "test", "version": "1"}
        opening = message("initialize", protocolVersion="2025-03-26", capabilities={}, clientInfo=client)
        with session.post(site.url("/mcp"), json=opening, stream=True) as response:
            assert statuses(response) == [401, 200]
            assert response.headers["Content-Type"] == "text/event-stream"
            assert event(response)["result"]["serverInfo"]["name"] == "adder"
        session.headers["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]
        session.post(site.url("/mcp"), json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        call = message("tools/call", name="add", arguments={"a": 2, "b": 3})
        with session.post(site.url("/mcp"), json=call, stream=True) as response:
            assert event(response)["result"]["structuredContent"] == {"result": 5}
