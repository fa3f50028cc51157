"""An HTTP server on loopback, with TLS from a certificate authority that lives as long as the program.

What the demo talks to; the tests and benchmarks use it, too, for whatever a server can do to a key.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from email.message import Message
    from pathlib import Path
    from types import TracebackType

#: Seconds of silence after which either side gives a connection up.
PATIENCE = 10


class Request(NamedTuple):
    """A request as the server saw it; ``target`` is the path with its query."""

    method: str
    target: str
    headers: Message
    body: bytes


class Reply(NamedTuple):
    """What to answer; a body that is not bytes is sent in chunks as it comes."""

    status: int
    body: bytes | Iterable[bytes] = b""
    headers: tuple[tuple[str, str], ...] = ()


if TYPE_CHECKING:
    App = Callable[[Request], Reply]


class Authority:
    """A throwaway certificate authority.

    Raises:
        ModuleNotFoundError: trustme, which the extra ``demo`` brings, is not installed.
    """

    def __init__(self) -> None:
        import trustme

        self._ca: Any = trustme.CA()

    def context(self, *names: str, not_after: datetime | None = None) -> ssl.SSLContext:
        """What a server needs to prove that it is one of these host names, until some time if need be."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, not_after=not_after).configure_cert(context)
        return context

    def save(self, path: Path) -> str:
        """Write the authority's own certificate, for ``verify=``, and return the path."""
        self._ca.cert_pem.write_to_path(str(path))
        return str(path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are written separately. With Nagle's algorithm the body would wait for the
    # client's delayed ACK of the headers: 40 ms for each request on Linux.
    disable_nagle_algorithm = True
    timeout = PATIENCE

    def do(self) -> None:
        """Answer one request, whatever its method."""
        server = cast("Server", self.server)
        request = Request(self.command, self.path, self.headers, self._body())
        server.seen.append(request)
        reply = server.app(request)
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in reply.body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = do

    def version_string(self) -> str:
        """The header Server of text-generation-webui."""
        return "uvicorn"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Print nothing: a request's line would be in the way of what the demo tells."""


class Server(ThreadingHTTPServer):
    """An HTTP server on 127.0.0.1, with TLS if it is given a context.

    As a context manager it serves in threads of its own, and in the end has closed every connection.
    """

    # On Windows, SO_REUSEADDR would take a port away from another program.
    allow_reuse_address: bool = os.name == "posix"

    def __init__(self, app: App, context: ssl.SSLContext | None = None, *, port: int = 0) -> None:
        """Listen.

        Args:
            app: Called for each request, in the connection's thread.
            context: The server's certificate; None for plain HTTP.
            port: Where to listen; 0 for any free port.

        Raises:
            OSError: The port is taken.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.daemon_threads = False  # so that closing waits for them
        self.app = app
        self.context = context
        #: Every request that arrived, in order.
        self.seen: list[Request] = []
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def url(self, path: str = "/", host: str = "localhost") -> str:
        """A URL of this server."""
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://{host}:{self.server_port}{path}"

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands here rather than where connections are accepted, then serve the connection."""
        try:
            request.settimeout(PATIENCE)
            if self.context is not None:
                request = self.context.wrap_socket(request, server_side=True)
        except OSError:  # the client did not like the certificate, or left
            self.shutdown_request(request)
            return
        self._connections.add(request)
        super().process_request_thread(request, client_address)
        self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave in the middle."""

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # it may have gone already
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
