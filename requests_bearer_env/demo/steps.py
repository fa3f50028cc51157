"""The steps of the demo: real requests to the stand-in server, with the result of each.

Each step prints the source of the code that it runs, so that the printed code cannot differ from it.
"""

from __future__ import annotations

import inspect
import itertools
import os
import secrets
import tempfile
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from requests_bearer_env.auth import BearerEnvAuth
from requests_bearer_env.errors import InsecureTransportError
from requests_bearer_env.mounts import MountedAuth

from .app import WORDS, TextGenerationWebUI
from .server import Authority, Reply, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from requests import Response

    from .server import Request

T = TypeVar("T")

_DEFECT = "please report this defect"

_WIDTH = 80

_PAYLOAD: dict[str, Any] = {"prompt": "Once upon a time,", "max_tokens": 5}

_VARIABLES = ("TGW_API_KEY", "TGW_API_KEY_FILE", "TGW_ADMIN_KEY", "TGW_ADMIN_KEY_FILE")


class DemoError(Exception):
    """A result of the demo was unexpected, or a port is in use."""


class Demo:
    """The steps, one method each, in the order in which `run` calls them."""

    def __init__(self, app: TextGenerationWebUI, server: Server, other: Server, ca: str, directory: Path) -> None:
        """Store what the steps use.

        Args:
            app: The app of both servers; some steps change its keys.
            server: The server that most requests go to; ``/elsewhere`` redirects to the other server.
            other: The server of another origin, with the same keys.
            ca: The path of the authority's certificate.
            directory: The directory for a file with a key.
        """
        self.app = app
        self.server = server
        self.other = other
        self.ca = ca
        self.key_file: Path = directory / "tgw-key"

    def session(self) -> requests.Session:
        """Make a session that trusts the demo's authority, and ignores this machine's proxies and netrc."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca
        return session

    def completion(self) -> None:
        """Show that one argument adds the key to a request."""
        _title("1. A completion, without and with the key in $TGW_API_KEY")
        url, payload = self.server.url("/v1/completions"), _PAYLOAD
        _note(f"url is {url}")
        with self.session() as session:

            def without_key() -> Response:
                return session.post(url, json=payload)

            def with_key() -> Response:
                return session.post(url, json=payload, auth=BearerEnvAuth("TGW_API_KEY"))

            _expect_statuses(_run(without_key), 401)
            answer = _run(with_key)
            _expect_statuses(answer, 200)
            _expect("the completion", answer.json()["choices"][0]["text"], "".join(WORDS))
            _expect("the header, as repr() shows it", repr(answer.request.headers["Authorization"]), "'Bearer ***'")

    def refusal(self) -> None:
        """Show that a request over plain HTTP is refused before it is sent."""
        _title("2. The same URL with http:// in place of https://")
        url, payload = self.server.url("/v1/completions").replace("https:", "http:"), _PAYLOAD
        accepted = self.server.accepted
        with self.session() as session:

            def plain_http() -> Response:
                return session.post(url, json=payload, auth=BearerEnvAuth("TGW_API_KEY"))

            try:
                _run(plain_http)
            except InsecureTransportError as error:
                _note(f"InsecureTransportError: {error}")
        _expect("connections to the server", self.server.accepted - accepted, 0)

    def rotation_of_a_file(self) -> None:
        """Show that the next request uses the new key after the file was rewritten."""
        _title("3. The key in a file is rotated while a session is open")
        self._rotate()
        url, key_file = self.server.url("/v1/models"), self.key_file
        _note(f"url is {url}")
        with self.session() as session:

            def use_the_file() -> None:
                session.auth = BearerEnvAuth(file=key_file)

            def get_models() -> Response:
                return session.get(url)

            _run(use_the_file)
            _expect_statuses(_run(get_models), 200)
            self._rotate()
            _note("Now the server has another key, and the file is rewritten.")
            _expect_statuses(_run(get_models), 200)

    def rotation_of_a_vault(self) -> None:
        """Show that the auth asks the provider again when the server refuses a cached key."""
        _title("4. The same with a vault, whose key the session keeps for an hour")
        url = self.server.url("/v1/models")
        with self.session() as session:

            def ask_vault() -> str | None:
                return self.app.api_key

            def use_the_vault() -> None:
                session.auth = BearerEnvAuth(provider=ask_vault, ttl=3600)

            def get_models() -> Response:
                return session.get(url)

            _run(use_the_vault)
            _expect_statuses(_run(get_models), 200)
            self._rotate()
            _note("Now server and vault have another key. The session still has the old one.")
            _expect_statuses(_run(get_models), 401, 200)

    def redirect(self) -> None:
        """Show that a key follows a redirect only to a host that ``hosts=`` names."""
        _title("5. A redirect to another host, which asks for the key")
        url = self.server.url("/elsewhere")
        _note(f"url is {url}")
        with self.session() as session:

            def to_any_host() -> Response:
                return session.get(url, auth=BearerEnvAuth("TGW_API_KEY"))

            def name_both_hosts() -> None:
                session.auth = BearerEnvAuth(
                    "TGW_API_KEY",
                    hosts=["localhost", "127.0.0.1"],
                )

            def get_again() -> Response:
                return session.get(url)

            answer = _run(to_any_host)
            _note(f"The redirect led to {answer.url}")
            _expect_statuses(answer, 302, 401)
            _expect("keys that reached the other host", self._keys_elsewhere(), 0)
            _run(name_both_hosts)
            _expect_statuses(_run(get_again), 302, 200)
            _expect("keys that reached the other host", self._keys_elsewhere(), 1)

    def two_keys(self) -> None:
        """Show that the admin key goes only to the routes that need it."""
        _title("6. Two keys in one session: $TGW_API_KEY and $TGW_ADMIN_KEY")
        tgw = self.server.url("/v1")
        _note(f"tgw is {tgw}")
        with self.session() as session:
            api = BearerEnvAuth("TGW_API_KEY")
            admin = BearerEnvAuth("TGW_ADMIN_KEY")
            _note('api is BearerEnvAuth("TGW_API_KEY")')
            _note('admin is BearerEnvAuth("TGW_ADMIN_KEY")')

            def mount_both() -> None:
                session.auth = MountedAuth(
                    {
                        f"{tgw}/internal/model/list": admin,
                        f"{tgw}/internal/model/load": admin,
                        f"{tgw}/internal/model/unload": admin,
                        f"{tgw}/internal/lora": admin,
                        f"{tgw}/": api,
                    }
                )

            def get_models() -> Response:
                return session.get(f"{tgw}/models")

            def get_info() -> Response:
                return session.get(f"{tgw}/internal/model/info")

            def get_list() -> Response:
                return session.get(f"{tgw}/internal/model/list")

            def unload() -> Response:
                return session.post(f"{tgw}/internal/lora/unload")

            def get_list_with_api_key() -> Response:
                return session.get(f"{tgw}/internal/model/list", auth=api)

            _run(mount_both)
            keys = {get_models: "api", get_info: "api", get_list: "admin", unload: "admin"}
            for request, key in keys.items():
                _expect_statuses(_run(request), 200)
                _expect("the key that was sent", self._last_key(), key)
            _expect_statuses(_run(get_list_with_api_key), 401)

    def _rotate(self) -> None:
        """Give the server another API key, and put it into the variable and the file."""
        self.app.api_key = os.environ["TGW_API_KEY"] = secrets.token_urlsafe()
        self.key_file.write_text(self.app.api_key, encoding="utf-8")

    def _keys_elsewhere(self) -> int:
        return sum("Authorization" in request.headers for request in self.other.seen)

    def _last_key(self) -> str | None:
        """Return which key the last request had."""
        names = {f"Bearer {self.app.api_key}": "api", f"Bearer {self.app.admin_key}": "admin"}
        return names.get(self.server.seen[-1].headers.get("Authorization", ""))


def _title(text: str) -> None:
    print(f"\n{text}")


def _run(code: Callable[[], T]) -> T:
    """Print the only statement of a function as at Python's prompt, then call the function."""
    body = inspect.getsource(code).partition(":\n")[2]
    lines = textwrap.dedent(body).removeprefix("return ").splitlines()
    for prompt, line in zip(itertools.chain([">>>"], itertools.repeat("...")), lines, strict=False):
        print(f"  {prompt} {line}")
    return code()


def _note(text: str) -> None:
    """Print a sentence below the code, wrapped."""
    print(
        textwrap.fill(
            text,
            width=_WIDTH,
            initial_indent=" " * 6,
            subsequent_indent=" " * 8,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _expect(what: str, seen: object, expected: object) -> None:
    """Print a result.

    Raises:
        DemoError: The result is not the expected one.
    """
    _note(f"{what}: {seen}")
    if seen != expected:
        raise DemoError(f"{what}: saw {seen}, expected {expected}: {_DEFECT}")


def _expect_statuses(response: Response, *expected: int) -> None:
    """Print the statuses of a response and its history, and the body of an error.

    Raises:
        DemoError: The statuses are not the expected ones.
    """
    chain = [*response.history, response]
    shown = ", then ".join(f"{each.status_code} {each.reason}" for each in chain)
    _note(shown if response.ok else f"{shown}: {response.text}")
    seen = [each.status_code for each in chain]
    if seen != [*expected]:
        raise DemoError(f"saw the statuses {seen}, expected {[*expected]}: {_DEFECT}")


@contextmanager
def _environment(app: TextGenerationWebUI) -> Generator[None]:
    """Put both keys into environment variables, and restore the user's own values of these on exit."""
    saved = {name: os.environ.pop(name, None) for name in _VARIABLES}
    os.environ.update({"TGW_API_KEY": str(app.api_key), "TGW_ADMIN_KEY": str(app.admin_key)})
    try:
        yield
    finally:
        del os.environ["TGW_API_KEY"], os.environ["TGW_ADMIN_KEY"]
        os.environ.update({name: value for name, value in saved.items() if value is not None})


def run() -> None:
    """Run the demo.

    Raises:
        DemoError: The result of a step was unexpected.
        ModuleNotFoundError: trustme is not installed.
    """
    authority = Authority()
    app = TextGenerationWebUI(secrets.token_urlsafe(), secrets.token_urlsafe())
    context = authority.context("localhost", "127.0.0.1")
    with tempfile.TemporaryDirectory() as folder, _environment(app), Server(app, context) as other:

        def front(request: Request) -> Reply:
            if request.target == "/elsewhere":
                return Reply(302, headers=(("Location", other.url("/v1/models", host="127.0.0.1")),))
            return app(request)

        with Server(front, context) as server:
            print(f"A stand-in for text-generation-webui is listening on {server.url()}")
            print("Its model is made up; the requests, the keys and TLS are real.")
            demo = Demo(app, server, other, authority.save(Path(folder, "ca.pem")), Path(folder))
            try:
                demo.completion()
                demo.refusal()
                demo.rotation_of_a_file()
                demo.rotation_of_a_vault()
                demo.redirect()
                demo.two_keys()
            except requests.RequestException as error:
                raise DemoError(f"{type(error).__name__}: {error}: {_DEFECT}") from error
    print("\nTo try it yourself: python -m requests_bearer_env demo --serve")
    print("All as it should be. Next: python -m requests_bearer_env check --env NAME URL")
