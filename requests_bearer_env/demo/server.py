"""An HTTP server on loopback, and a certificate authority that exists as long as the program runs.

The demo sends its requests to this server, and so do the tests and benchmarks.
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

#: Seconds without data after which the server closes a connection.
PATIENCE = 10


class Request(NamedTuple):
    """A request as it arrived at the server; ``target`` is the path with its query."""

    method: str
    target: str
    headers: Message
    body: bytes


class Reply(NamedTuple):
    """The response to a request; a body that is not bytes is sent with one HTTP chunk for each item."""

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
        """Return a server's TLS context with a certificate for some host names, which may expire early."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, not_after=not_after).configure_cert(context)
        return context

    def save(self, path: Path) -> str:
        """Write the authority's own certificate to a file for ``verify=``, and return its path."""
        self._ca.cert_pem.write_to_path(str(path))
        return str(path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are written separately. With Nagle's algorithm the body would wait for the
    # client's delayed ACK of the headers: 40 ms for each request on Linux.
    disable_nagle_algorithm = True
    timeout = PATIENCE

    def do(self) -> None:
        """Answer one request of any method."""
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
        """Print nothing, because log lines would interrupt the demo's output."""


class Server(ThreadingHTTPServer):
    """An HTTP server on 127.0.0.1, with TLS if it gets a context.

    As a context manager it serves requests in threads of its own, and closes every connection on exit.
    """

    # On Windows, a server with SO_REUSEADDR can bind a port that another program listens on.
    allow_reuse_address: bool = os.name == "posix"

    #: Seconds after which `_serve` looks for the end, if the connection that announces it fails.
    timeout: float | None = 1

    def __init__(self, app: App, context: ssl.SSLContext | None = None, *, port: int = 0) -> None:
        """Start to listen.

        Args:
            app: A callable that answers each request, in the thread of the connection.
            context: The TLS context; None for plain HTTP.
            port: The port; 0 for any free port.

        Raises:
            OSError: The port is taken.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.daemon_threads = False  # so that closing waits for them
        self.app = app
        self.context = context
        #: The number of connections, including those whose TLS handshake failed.
        self.accepted: int = 0
        #: Every request that arrived, in order.
        self.seen: list[Request] = []
        self._connections: set[socket.socket] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._serve)

    def url(self, path: str = "/", host: str = "localhost") -> str:
        """Return a URL of this server."""
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://{host}:{self.server_port}{path}"

    def _serve(self) -> None:
        """Accept connections until the server is closed.

        serve_forever() is not used, because it notices the end only at its next interval.
        """
        while not self._closing:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Count a connection. Return False if `__exit__` has made it, so that it gets no TLS handshake."""
        del request, client_address  # http.server's arguments
        self.accepted += not self._closing
        return not self._closing

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake in the connection's thread, so that it blocks no other connection, then serve."""
        try:
            request.settimeout(PATIENCE)
            if self.context is not None:
                request = self.context.wrap_socket(request, server_side=True)
        except OSError:  # the client rejected the certificate or closed the connection
            self.shutdown_request(request)
            return
        self._connections.add(request)
        super().process_request_thread(request, client_address)
        self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about clients that close a connection early."""

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        # This connection wakes up handle_request(), which waits for one.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.server_port), PATIENCE).close()
        self._thread.join()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # the client may have closed it
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()
