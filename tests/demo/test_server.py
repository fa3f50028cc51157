"""The HTTP server that the demo and the tests talk to."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import NoReturn

import pytest
import requests

from requests_bearer_env.demo.server import Reply, Request, Server
from tests.helpers import KEY, Serve, keyed


def test_chunked_bodies_are_read(serve: Serve, session: requests.Session) -> None:
    """Requests sends a generator in chunks."""
    server = serve(keyed(KEY))
    response = session.post(server.url(), data=iter([b"one", b"two"]), headers={"Authorization": f"Bearer {KEY}"})
    assert (response.status_code, server.seen[0].body) == (200, b"onetwo")


def test_head_has_no_body(serve: Serve, session: requests.Session) -> None:
    """The response to HEAD has the headers of GET, and no body (RFC 9110 section 9.3.2)."""
    response = session.head(serve(lambda request: Reply(200, b"body")).url())
    assert (response.headers["Content-Length"], response.content) == ("4", b"")


def test_connections_do_not_delay_small_writes(serve: Serve, session: requests.Session) -> None:
    """TCP_NODELAY is set: Nagle's algorithm would hold each body back for 40 ms."""
    options: list[int] = []

    def app(request: Request) -> Reply:
        options.extend(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in server._connections)
        return Reply(200)

    server = serve(app)
    session.get(server.url())
    assert len(options) == 1
    assert options[0] != 0


def test_a_client_without_tls_does_no_harm(serve: Serve, session: requests.Session) -> None:
    """The server counts and closes the connection, and answers the next request."""
    server = serve(keyed(KEY))
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in client.recv(100)
    assert (server.accepted, server.seen) == (1, [])
    assert session.get(server.url()).status_code == 401


def test_a_client_that_leaves_does_no_harm(
    serve: Serve, ca: str, session: requests.Session, capfd: pytest.CaptureFixture[str]
) -> None:
    """The server prints no traceback, and answers the next request."""
    server = serve(keyed(KEY))
    context = ssl.create_default_context(cafile=ca)
    raw = socket.create_connection(("127.0.0.1", server.server_port))
    with context.wrap_socket(raw, server_hostname="localhost") as client:
        client.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        client.recv(100)
    assert session.get(server.url()).status_code == 401
    assert capfd.readouterr() == ("", "")


def test_a_server_stops_if_the_wakeup_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing connects once to wake the thread that accepts; if that fails, the thread ends at its next timeout."""

    def connect(*_: object) -> NoReturn:
        raise OSError

    assert Server.timeout is not None
    monkeypatch.setattr(Server, "timeout", 0.01)
    with Server(lambda request: Reply(200)):
        monkeypatch.setattr(socket, "create_connection", connect)
