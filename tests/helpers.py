"""What the tests share: keys and a search for them, apps for the loopback server, a provider, a proxy, mounts."""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import os
import select
import socket
import socketserver
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import requests
from requests.auth import AuthBase

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.credential import Credential
from requests_bearer_env.demo.server import Reply, Request, Server
from requests_bearer_env.doctor import Check
from requests_bearer_env.doctor.examination import examine
from requests_bearer_env.errors import COMMAND_LINE

#: The key of most tests; only a request on the wire may show it.
KEY = "sk-SENTINEL/0123456789+abcdefghijklmnopqrstuvwxyz~ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OTHER_KEY = "sk-ROTATED-0123456789.abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letters_and_digits(text: str) -> str:
    """Return the letters and digits of a text."""
    return "".join(filter(str.isalnum, text))


#: The parts of both keys that have eight characters, in lower case, with and without punctuation.
_PIECES = {
    text[at : at + 8]
    for key in (KEY.lower(), OTHER_KEY.lower())
    for text in (key, letters_and_digits(key))
    for at in range(len(text) - 7)
}


def assert_hidden(shown: object, where: str = "") -> None:
    """Fail if a text, or the repr of another object, has eight characters of a key in a row, in upper or lower case."""
    text = (shown if isinstance(shown, str) else repr(shown)).lower()
    assert _PIECES.isdisjoint(text[at : at + 8] for at in range(len(text) - 7)), where or text


App = Callable[[Request], Reply]
Serve = Callable[..., Server]

OLD, NEW = f"Bearer {KEY}", f"Bearer {OTHER_KEY}"


class Vault:
    """A provider that gives the next answer at each call, and the last one from then on.

    An answer that is an exception is raised, and one that is a function is called.
    """

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


def statuses(response: requests.Response) -> list[int]:
    """The statuses of a response and of those before it."""
    return [*(earlier.status_code for earlier in response.history), response.status_code]


#: Two names of this machine, which make two origins.
HERE, THERE = "localhost", "127.0.0.1"


def redirect(location: Callable[[], str], status: int = 302) -> App:
    """An app that redirects every request."""
    return lambda request: Reply(status, headers=(("Location", location()),))


def redirecting(
    serve: Serve, app: App, host: str = "127.0.0.1", status: int = 302, path: str = "/"
) -> tuple[Server, Server]:
    """Start a server that redirects every request to a second one with an app, and return both."""
    second = serve(app)
    return serve(redirect(lambda: second.url(path, host=host), status)), second


def routed(target: str, app: App, others: App) -> App:
    """An app that passes requests for one target to an app, and all others to another app."""
    return lambda request: (app if request.target == target else others)(request)


def netrc(home: Path, host: str) -> None:
    """Put an entry for a host into the user's netrc."""
    path = home / ".netrc"
    path.write_text(f"machine {host} login user password hunter2\n")
    path.chmod(0o600)


def python(code: str, *arguments: str) -> list[str]:
    """A command line that runs some Python."""
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def lowest_free_descriptor() -> int:
    """Return the file descriptor that is opened next; it is higher if one was left open."""
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    return reader


def make_program(folder: Path, name: str, code: str) -> Path:
    """Write a program that runs some Python: a batch file on Windows, as gcloud is there."""
    if os.name == "nt":
        (folder / f"{name}.py").write_text(code)
        path = folder / f"{name}.cmd"
        path.write_text(f'@"{sys.executable}" -I -S "%~dp0{name}.py" %*\n')
    else:
        path = folder / name
        path.write_text(f"#!{sys.executable} -IS\n{code}\n")
        path.chmod(0o755)
    return path


JWT_HEADER = {"alg": "RS256", "typ": "JWT"}


def encoded(value: object) -> str:
    """A part of a JWT: base64url without padding."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(claims: object, header: object = JWT_HEADER, signature: str = "c2ln" * 85 + "c2") -> Credential:
    """A key that is a JWT."""
    return Credential(f"Bearer {encoded(header)}.{encoded(claims)}.{signature}")


def authorized(auth: BearerEnvAuth, url: str = "https://api.example/") -> str:
    """Prepare a request and return its Authorization header as a plain str."""
    return str(requests.Request("GET", url, auth=auth).prepare().headers["Authorization"])


def examine_for_command(auth: BearerEnvAuth | MountedAuth, url: str) -> Iterator[Check]:
    """Yield the checks that the command ``check`` prints for a URL, if no other option is given."""
    return examine(auth, url, method="GET", timeout=10, max_age=90, wording=COMMAND_LINE)


def authorizations(server: Server) -> list[str | None]:
    """The Authorization header of every request that a server has seen."""
    return [request.headers.get("Authorization") for request in server.seen]


REFUSAL = Reply(401, b"who are you?")


def keyed(*keys: str, refusal: Reply = REFUSAL) -> App:
    """An app that answers 200 to these keys, and refuses anything else."""
    accepted = {f"Bearer {key}" for key in keys}
    return lambda request: Reply(200, b"welcome") if request.headers.get("Authorization") in accepted else refusal


def always(status: int, body: bytes | Iterator[bytes] = b"", **headers: str) -> App:
    """An app that gives one answer to every request; an argument such as ``WWW_Authenticate=`` is a header."""
    reply = Reply(status, body, tuple((name.replace("_", "-"), value) for name, value in headers.items()))
    return lambda _: reply


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
        with contextlib.suppress(OSError):  # closing a socket with unread data resets the connection
            while True:
                for ready in select.select(list(ways), [], [], 10)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    ways[ready].sendall(data)


class Proxy(socketserver.ThreadingTCPServer):
    """A forward proxy that tunnels CONNECT, and answers 401 to every plain request: tests look at what it saw."""

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


def frames_of(error: BaseException) -> list[types.FrameType]:
    """Return the frames of this package that an exception passed, without those of the tests."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [frame for frame in frames if str(frame.f_globals.get("__name__")).startswith("requests_bearer_env")]


def reachable(value: object) -> Iterator[object]:
    """Everything that an object refers to, directly or not, except through classes, functions and modules."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        current = todo.pop()
        if id(current) not in seen and not isinstance(current, (type, types.FunctionType, types.ModuleType)):
            seen.add(id(current))
            yield current
            todo += gc.get_referents(current)


class Named(AuthBase):
    """An auth whose header names it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        r.headers["Authorization"] = f"Named {self.name}"
        return r

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name == other.name


MOUNTS = MountedAuth(
    {
        "https://tgw.local/": Named("root"),
        "https://tgw.local/v1/internal/": Named("admin"),
        "https://tgw.local/v1": Named("v1"),
        "https://tgw.local:8443/": Named("port"),
        "http://tgw.local/": Named("plain"),
        "https://api.example/only/": Named("only"),
        "https://BÜCHER.example/": Named("idna"),
    }
)


def chosen(url: str, mounts: MountedAuth = MOUNTS, **options: Any) -> str | None:
    """Return the name of the auth that authorises a request for a URL."""
    prepared = requests.Request("GET", url, auth=mounts, **options).prepare()
    header = prepared.headers.get("Authorization")
    return None if header is None else str(header).removeprefix("Named ")
