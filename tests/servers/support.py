"""What the tests of all servers share: a process that listens on loopback, a rotated key, one run of ``check``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
import trustme

from requests_bearer_env import BearerEnvAuth
from tests.helpers import Vault

#: LiteLLM requires ``sk-``; Django REST framework stores at most 40 characters.
RIGHT = "sk-RIGHT-0123456789abcdefghijklmnopqrst"
WRONG = "sk-WRONG-0123456789abcdefghijklmnopqrst"

#: The keys of the parametrised tests, by name.
KEYS: dict[str, str | None] = {"right": RIGHT, "wrong": WRONG, "none": None}

#: The variable that ``check`` reads.
VARIABLE = "TGW_API_KEY"

#: Seconds between two requests to a server that is starting.
_PAUSE = 0.05


class Site(NamedTuple):
    """A server that is running, and the certificate authority that its clients must trust."""

    origin: str
    ca: str

    def url(self, path: str) -> str:
        """A URL of this server."""
        return f"{self.origin}{path}"

    @property
    def host(self) -> str:
        """The name or the address that clients use."""
        return str(urlsplit(self.origin).hostname)

    def auth(self, *keys: str, refresh_on: int = 401) -> BearerEnvAuth:
        """An auth for this server whose provider returns these keys, one per call, and the last one from then on.

        The key is cached for an hour, or until the server answers with the status in ``refresh_on``.
        """
        return BearerEnvAuth(
            provider=Vault(*keys),
            ttl=3600,
            hosts=self.host,
            allow_http=[self.host] if self.origin.startswith("http:") else [],
            refresh_on=(refresh_on,),
        )

    def rotated(self, refresh_on: int = 401) -> BearerEnvAuth:
        """An auth that has cached a key which the server no longer accepts; its provider has the new one."""
        auth = self.auth(WRONG, RIGHT, refresh_on=refresh_on)
        auth.credential()
        return auth


class Files:
    """A throwaway certificate authority, and a certificate for ``localhost``, as files."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        #: For clients, as ``verify=``.
        self.ca = str(directory / "ca.pem")
        #: For servers: private key and certificate chain in one file.
        self.certificate = str(directory / "server.pem")
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(self.certificate)


class Verdict(NamedTuple):
    """The outcome of ``check``.

    Attributes:
        exit_status: That of its process.
        status: The status of its line about the request, or about the key if no request was sent.
        line: The rest of that line.
        output: Everything that it printed.
    """

    exit_status: int
    status: str
    line: str
    output: str


@dataclass
class Row:
    """What the table shows of one server with one key."""

    status: str = "not tried"
    line: str = "not tried"
    exit_status: str = "not tried"


#: By the names of the server and of the key.
Table = dict[tuple[str, str], Row]

#: Starts a server: ``start(lambda port: [program, argument, ...])``.
Start = Callable[..., Site]


class StartError(Exception):
    """A server ended, or did not answer in time; the message holds what it printed."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that no program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    arguments: Sequence[str], site: Site, directory: Path, variables: Mapping[str, str], patience: float
) -> Iterator[Site]:
    """Start a server, wait until it answers, and stop it at the end.

    Args:
        arguments: The program and its arguments.
        site: Where it is going to listen.
        directory: Its home directory, and where its output is written.
        variables: Its environment, beside ``PATH`` and ``HOME``.
        patience: Seconds after which a server that does not answer has failed.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONUNBUFFERED": "1", **variables}
    output = directory / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(arguments, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait(process, site, output, patience)
        yield site
    finally:
        process.kill()  # after terminate(), uvicorn would wait for connections, sometimes for more than 10 s
        process.wait()


def _wait(process: subprocess.Popen[bytes], site: Site, output: Path, patience: float) -> None:
    """Return as soon as the server answers anything at all."""
    deadline = time.monotonic() + patience
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise StartError(f"the server ended with status {process.returncode}:\n{output.read_text()}")
            try:
                session.head(site.origin, timeout=5, verify=site.ca, allow_redirects=False)
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(_PAUSE)
            else:
                return
    raise StartError(f"the server did not answer within {patience} s:\n{output.read_text()}")


def run_check(site: Site, path: str, key: str | None) -> Verdict:
    """Run ``check`` on a URL in a process of its own, with the key in a variable."""
    arguments = [sys.executable, "-m", "requests_bearer_env", "check", site.url(path), "--env", VARIABLE, "--json"]
    if site.origin.startswith("http:"):
        arguments += ["--allow-http", site.host]
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": site.ca}
    if key is not None:
        environment[VARIABLE] = key
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)
    lines = {line["name"]: line for line in json.loads(done.stdout)["checks"]}
    line = lines.get("request", lines["key"])
    text = f"{line['detail']} -> {line['remedy']}" if line["remedy"] else line["detail"]
    return Verdict(done.returncode, line["status"], text, done.stdout + done.stderr)
