"""``demo --serve``: keep the stand-in server running, and print commands to try on it."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .app import TextGenerationWebUI
from .server import Authority, Server
from .steps import DemoError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator


class Site(NamedTuple):
    """The two running servers, which accept the same keys."""

    #: URLs without a path.
    http: str
    https: str
    api_key: str
    admin_key: str
    #: The path of the CA certificate for the https URL.
    ca: str
    #: The directory of this Python, and its name there.
    directory: str
    python: str


class Shell(NamedTuple):
    """The syntax of a shell; the strings are templates for `str.format`."""

    title: str
    #: A line that sets an environment variable.
    assign: str
    #: A line that puts a directory first in PATH.
    prepend: str
    #: The expansion of a variable within double quotes.
    variable: str
    #: The character that continues a line on the next one.
    continued: str
    quote: Callable[[str], str]


def _quote_for_powershell(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


POSIX = Shell("a POSIX shell", "export {name}={value}", 'export PATH={value}:"$PATH"', "${name}", "\\", shlex.quote)
POWERSHELL = Shell(
    "PowerShell",
    "$env:{name} = {value}",
    "$env:PATH = {value} + ';' + $env:PATH",
    "$env:{name}",
    "`",
    _quote_for_powershell,
)
CMD = Shell("cmd", 'set "{name}={value}"', 'set "PATH={value};%PATH%"', "%{name}%", "^", str)

#: The shells of this system.
SHELLS = (POWERSHELL, CMD) if os.name == "nt" else (POSIX,)


def serve(port: int | None = None) -> None:
    """Run the servers until Ctrl-C or SIGTERM.

    Args:
        port: The port for http, from 1 to 65534; https gets the next one. None for any free ports.

    Raises:
        DemoError: A port is in use.
        ModuleNotFoundError: trustme is not installed.
    """
    try:
        with _sigterm_as_ctrl_c(), running(port) as site:
            print(describe(site, SHELLS), flush=True)
            _wait()
    except KeyboardInterrupt:
        print("\nThe servers are down, and their files are removed.")


@contextmanager
def _sigterm_as_ctrl_c() -> Generator[None]:
    """Raise KeyboardInterrupt at SIGTERM, which would otherwise end the process before its files are removed."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait() -> None:
    """Block until Ctrl-C, which on Windows interrupts a sleep, but not waiting for a lock."""
    while True:
        time.sleep(3600)


@contextmanager
def running(port: int | None = None) -> Generator[Site]:
    """Run both servers with new keys and a new authority; see `serve`."""
    authority = Authority()
    app = TextGenerationWebUI(secrets.token_urlsafe(), secrets.token_urlsafe())
    context = authority.context("localhost", "127.0.0.1")
    with (
        tempfile.TemporaryDirectory(prefix="tgw-demo-") as folder,
        _listen(app, None, port or 0) as http,
        _listen(app, context, port + 1 if port else 0) as https,
    ):
        yield Site(
            http=http.url("", host="127.0.0.1"),
            https=https.url(""),
            api_key=str(app.api_key),
            admin_key=str(app.admin_key),
            ca=authority.save(Path(folder, "ca.pem")),
            directory=str(Path(sys.executable).parent),
            python=Path(sys.executable).name.removesuffix(".exe"),
        )


def _listen(app: TextGenerationWebUI, context: ssl.SSLContext | None, port: int) -> Server:
    try:
        return Server(app, context, port=port)
    except OSError as error:
        raise DemoError(f"port {port} cannot be used ({error.strerror}): choose another with --port") from error


def describe(site: Site, shells: tuple[Shell, ...]) -> str:
    """Return the description of the servers, with the commands for each of some shells."""
    blocks = [
        "A stand-in for text-generation-webui is up; its model is made up.",
        f"  {site.http}: plain HTTP, as text-generation-webui listens by default",
        f"  {site.https}: the same with TLS; the certificate of its CA is in",
        f"    {site.ca}",
        "Ctrl-C ends the demo and removes that file.",
    ]
    for shell in shells:
        blocks += ["", f"Paste this into another terminal ({shell.title}):", ""]
        blocks += indented(settings(site, shell))
        blocks += ["", "Then try:"]
        for purpose, command in commands(site, shell):
            blocks += ["", f"  # {purpose}", *indented(command)]
    blocks += ["", "Or in a script of your own:", "", *indented(script(site))]
    return "\n".join(blocks)


def indented(text: str) -> list[str]:
    """Return the lines of a text, indented."""
    return [f"  {line}".rstrip() for line in text.splitlines()]


def settings(site: Site, shell: Shell) -> str:
    """Return the commands that put this Python, both keys and the CA certificate into a shell's environment."""
    values = {"TGW_API_KEY": site.api_key, "TGW_ADMIN_KEY": site.admin_key, "REQUESTS_CA_BUNDLE": site.ca}
    lines = [shell.assign.format(name=name, value=shell.quote(value)) for name, value in values.items()]
    return "\n".join([shell.prepend.format(value=shell.quote(site.directory)), *lines])


def commands(site: Site, shell: Shell) -> list[tuple[str, str]]:
    """Return the commands to try, each after its purpose."""
    more = f" {shell.continued}\n    "
    check = f"{site.python} -m requests_bearer_env check"
    header = f"Authorization: Bearer {shell.variable.format(name='TGW_API_KEY')}"
    return [
        (
            "Is the key right? Plain HTTP is allowed to this one host.",
            f"{check} --allow-http 127.0.0.1 --env TGW_API_KEY{more}{site.http}/v1/models",
        ),
        (
            "The same over HTTPS: requests reads REQUESTS_CA_BUNDLE.",
            f"{check} --env TGW_API_KEY{more}{site.https}/v1/models",
        ),
        (
            "The list of models takes the admin key; with the API key this fails.",
            f"{check} --env TGW_ADMIN_KEY{more}{site.https}/v1/internal/model/list",
        ),
        (
            "curl. The key is in its command line, which other processes can read.",
            f'curl -H "{header}"{more}{site.http}/v1/models',
        ),
        (
            "HTTPie, if it is installed beside requests_bearer_env. No key is shown.",
            f"{site.python} -m httpie -A bearer-env-local -a TGW_API_KEY{more}{site.http}/v1/models",
        ),
    ]


def script(site: Site) -> str:
    """Return a script that sends the API key over HTTPS."""
    return f"""\
import requests
from requests_bearer_env import BearerEnvAuth

url = "{site.https}/v1/completions"
auth = BearerEnvAuth("TGW_API_KEY")
print(requests.post(url, json={{"prompt": "Once"}}, auth=auth).text)"""
