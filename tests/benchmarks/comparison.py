"""What becomes of a key in everyday accidents, with this library and with the alternatives to it.

Run ``python -m tests.benchmarks.comparison``, with requests-auth and requests-oauth2client installed.
Every cell of the printed table is measured against servers on loopback.
"""

from __future__ import annotations

import importlib
import os
import pickle
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import requests
from requests.auth import AuthBase

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Authority, Reply, Request, Server

KEY, NEW_KEY = "sk-0123456789-first", "sk-9876543210-second"
VARIABLE = "COMPARISON_KEY"


class ByHand(AuthBase):
    """The class that many projects write themselves."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        r.headers["Authorization"] = f"Bearer {self.key}"
        return r


def _foreign(module: str, name: str, form: str, *arguments: str) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        kind = getattr(importlib.import_module(module), name)
        return {"auth": kind(form.format(os.environ[VARIABLE]), *arguments)}

    return make


#: Functions that return the options for a session's calls; each is called once, as programs do when they start.
WAYS: dict[str, Callable[[], dict[str, Any]]] = {
    "`headers=`": lambda: {"headers": {"Authorization": f"Bearer {os.environ[VARIABLE]}"}},
    "a class by hand": lambda: {"auth": ByHand(os.environ[VARIABLE])},
    "requests-auth": _foreign("requests_auth", "HeaderApiKey", "Bearer {}", "Authorization"),
    "requests-oauth2client": _foreign("requests_oauth2client", "BearerToken", "{}"),
    "this library": lambda: {"auth": BearerEnvAuth(VARIABLE, hosts="localhost")},
}


class World(NamedTuple):
    """A session, servers, a home directory and the keys that the servers accept."""

    session: requests.Session
    good: Server
    other: Server
    plain: Server
    home: Path
    accepted: set[str]


def get(
    world: World, make: Callable[[], dict[str, Any]], url: str | None = None
) -> tuple[str, requests.Response | None]:
    """Send a request; return its outcome in a word or two, and the response."""
    try:
        response = world.session.get(url or world.good.url(), timeout=5, **make())
    except Exception as error:
        shown = KEY[3:13] in repr(error) + repr(error.__cause__) + repr(error.__context__)
        return f"{type(error).__name__}{', which shows the key' if shown else ''}", None
    return str(response.status_code), response


def newline(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The variable ends in a newline."""
    os.environ[VARIABLE] = f"{KEY}\n"
    return get(world, make)[0]


def two_lines(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The variable has two lines."""
    os.environ[VARIABLE] = f"{KEY}\nsecond"
    return get(world, make)[0]


def scheme_twice(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The variable has the scheme in it already."""
    os.environ[VARIABLE] = f"Bearer {KEY}"
    return get(world, make)[0]


def plain_http(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The URL begins with http://."""
    outcome, _ = get(world, make, world.plain.url())
    return "sent in clear" if arrived(world.plain) else outcome


def wrong_host(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The URL names another host."""
    outcome, _ = get(world, make, world.other.url(host="127.0.0.1"))
    return "sent there" if arrived(world.other) else outcome


def redirect(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The server redirects to another host, which asks for a key."""
    outcome, _ = get(world, make, world.good.url("/elsewhere"))
    return "sent there" if arrived(world.other) else f"not sent, {outcome}"


def moved(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The server redirects to another port of its host, which asks for the key."""
    return get(world, make, world.good.url("/moved"))[0]


def netrc(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """Netrc has an entry for the host."""
    (world.home / ".netrc").write_text("machine localhost login user password secret\n")
    try:
        return get(world, make)[0]
    finally:
        (world.home / ".netrc").unlink()


def rotation(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The key is rotated while the program runs."""
    options = make()
    get(world, lambda: options)
    os.environ[VARIABLE] = NEW_KEY
    world.accepted.clear()
    world.accepted.add(NEW_KEY)
    return get(world, lambda: options)[0]


def printed_headers(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The request's headers are printed."""
    return _shows(world, make, lambda response: repr(response.request.headers))


def pickled_response(world: World, make: Callable[[], dict[str, Any]]) -> str:
    """The response is pickled, for a cache or a worker."""
    return _shows(world, make, lambda response: pickle.dumps(response).decode("latin-1"))


def _shows(world: World, make: Callable[[], dict[str, Any]], what: Callable[[requests.Response], str]) -> str:
    _, response = get(world, make)
    assert response is not None
    return "shows the key" if KEY in what(response) else "hides it"


def arrived(server: Server) -> bool:
    """Say whether a server has received a key."""
    return any(KEY in str(request.headers.get("Authorization")) for request in server.seen)


ACCIDENTS = (
    newline,
    two_lines,
    scheme_twice,
    plain_http,
    wrong_host,
    redirect,
    moved,
    netrc,
    rotation,
    printed_headers,
    pickled_response,
)


def main() -> None:
    """Measure every accident with every way to send a key, and print the table."""
    print(f"| accident | {' | '.join(WAYS)} |")
    print(f"| --- |{' --- |' * len(WAYS)}")
    for accident in ACCIDENTS:
        cells = [_measure(accident, make) for make in WAYS.values()]
        print(f"| {str(accident.__doc__).rstrip('.')} | {' | '.join(cells)} |")


def _measure(accident: Callable[[World, Callable[[], dict[str, Any]]], str], make: Callable[[], dict[str, Any]]) -> str:
    """Measure one accident, with servers and a home directory of its own."""
    authority = Authority()
    context = authority.context("localhost", "127.0.0.1")
    accepted = {KEY}

    def app(request: Request) -> Reply:
        if request.target == "/elsewhere":
            return Reply(302, headers=(("Location", other.url(host="127.0.0.1")),))
        if request.target == "/moved":
            return Reply(302, headers=(("Location", other.url()),))
        known = str(request.headers.get("Authorization")).removeprefix("Bearer ") in accepted
        return Reply(200 if known else 401)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        other = stack.enter_context(Server(app, context))
        good = stack.enter_context(Server(app, context))
        plain = stack.enter_context(Server(lambda request: Reply(200)))
        session = stack.enter_context(requests.Session())
        session.verify = authority.save(folder / "ca.pem")
        for name in [*os.environ]:
            if name.lower().endswith("_proxy") or name in {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"}:
                del os.environ[name]
        os.environ.update({VARIABLE: KEY, "HOME": str(folder)})
        return accident(World(session, good, other, plain, folder, accepted), make)


if __name__ == "__main__":
    main()
