"""A forward proxy on loopback: CONNECT tunnels, and plain HTTP that it can read."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from types import TracebackType
from typing import cast


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        proxy = cast("Proxy", self.server)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        proxy.seen.append(head.decode("latin-1"))
        method, target, _ = head.decode("latin-1").split(" ", 2)
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as upstream:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._shovel(upstream)
            return
        self.wfile.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def _shovel(self, upstream: socket.socket) -> None:
        ways = {self.connection: upstream, upstream: self.connection}
        while True:
            for ready in select.select(list(ways), [], [], 10)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                ways[ready].sendall(data)


class Proxy(socketserver.ThreadingTCPServer):
    """Answers every plain request with 401 itself, for what matters is what it has seen."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        #: The head of every request, as text.
        self.seen: list[str] = []
        self.url = f"http://user:hunter2@127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
