"""Redirect chains at random, against a model of where a key may ever be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.demo.server import Authority, Reply, Request, Server
from tests.helpers import HERE, KEY, THERE, authorizations

#: Each place is a server and the name that it is reached by.
PLACES = ("home", "named", "foreign", "plain", "plain allowed")

ADMIN_KEY = "the-admin-key-of-the-mounted-place"


class Hop(NamedTuple):
    """A stop of a chain: where it is, and what it answers to a request without the right key and with it."""

    place: str
    without: int
    within: int


class Copying(HTTPAdapter):
    """Sends a copy, from which the hook cannot be removed for the rest of a chain."""

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a copy of the request."""
        return super().send(request.copy(), *arguments, **options)


class World:
    """Five servers that answer as the chain says: to ``/3`` as its fourth hop; sessions keep connections to them."""

    def __init__(self, authority: Authority, ca: str, stack: ExitStack) -> None:
        context = authority.context(HERE, THERE)
        self.chain: list[Hop] = []
        self.sessions: dict[type[HTTPAdapter], requests.Session] = {}
        for adapter in (HTTPAdapter, Copying):
            self.sessions[adapter] = session = stack.enter_context(requests.Session())
            session.trust_env, session.verify = False, ca
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter())
        self.servers = {
            place: stack.enter_context(Server(self.answer, None if place.startswith("plain") else context))
            for place in PLACES
        }

    def url(self, number: int) -> str:
        """The URL of a hop; only the foreign place has the other name."""
        place = self.chain[number].place
        return self.servers[place].url(f"/{number}", host=THERE if place == "foreign" else HERE)

    def answer(self, request: Request) -> Reply:
        """Answer as the hop of the request's path does."""
        number = int(request.target.strip("/"))
        hop = self.chain[number]
        status = hop.within if request.headers.get("Authorization") else hop.without
        if not 300 <= status < 400:
            return Reply(status)
        if number + 1 == len(self.chain):
            return Reply(200)
        return Reply(status, headers=(("Location", self.url(number + 1)),))

    def seen(self) -> dict[str, list[str]]:
        """By place, the targets of the requests that had a key, with the key."""
        return {
            place: [
                f"{request.target} {value}"
                for request, value in zip(server.seen, authorizations(server), strict=True)
                if value is not None
            ]
            for place, server in self.servers.items()
        }


@pytest.fixture(scope="module")
def world(authority: Authority, ca: str) -> Iterator[World]:
    """The servers, for all chains."""
    with ExitStack() as stack:
        yield World(authority, ca, stack)


def auths(world: World) -> dict[str, tuple[AuthBase, dict[str, str]]]:
    """Each auth with the model of it: the places whose answers are trusted, and the key that each may see."""
    key, admin = (lambda: KEY), (lambda: ADMIN_KEY)
    home, named, allowed = (world.servers[place] for place in ("home", "named", "plain allowed"))
    port = f"{HERE}:{allowed.server_port}"
    return {
        "one origin": (BearerEnvAuth(provider=key), {"home": KEY}),
        "hosts": (
            BearerEnvAuth(provider=key, hosts=HERE, allow_http=port),
            {"home": KEY, "named": KEY, "plain allowed": ""},
        ),
        "mounts": (
            MountedAuth(
                {
                    home.url("/"): BearerEnvAuth(provider=key),
                    named.url("/"): BearerEnvAuth(provider=admin, ttl=3600),
                    allowed.url("/"): BearerEnvAuth(provider=admin, allow_http=port),
                }
            ),
            {"home": KEY, "named": ADMIN_KEY, "plain allowed": ADMIN_KEY},
        ),
    }


def may_see(chain: list[Hop], keys: dict[str, str]) -> dict[str, set[str]]:
    """The model: each trusted place may see its own key, until the chain has left the trusted places for good."""
    allowed: dict[str, set[str]] = {place: set() for place in PLACES}
    for number, hop in enumerate(chain):
        if hop.place not in keys:
            break
        allowed[hop.place].add(f"/{number} Bearer {keys[hop.place]}")
    return allowed


hops = st.builds(
    Hop, st.sampled_from(PLACES), st.sampled_from([302, 307, 308, 401, 401, 403]), st.sampled_from([200, 302, 307, 401])
)


@pytest.mark.parametrize("kind", ["one origin", "hosts", "mounts"])
@settings(max_examples=settings().max_examples // 2)  # each sends up to 20 requests
@given(
    rest=st.lists(hops, min_size=1, max_size=6),
    twice=st.booleans(),
    adapter=st.sampled_from([HTTPAdapter, Copying]),
)
def test_no_chain_shows_a_key_elsewhere(
    kind: str, world: World, rest: list[Hop], twice: bool, adapter: type[HTTPAdapter]
) -> None:
    """A key is seen only where the model says that it may be, also if the request is sent twice, or sent as a copy."""
    auth, keys = auths(world)[kind]
    world.chain = [Hop("home", 401, 307), *rest]
    for server in world.servers.values():
        server.seen.clear()
    session = world.sessions[adapter]
    request = session.prepare_request(requests.Request("POST", world.url(0), data=b"x", auth=auth))
    for _ in range(1 + twice):
        session.send(request)
    allowed = may_see(world.chain, keys)
    for place, seen in world.seen().items():
        assert set(seen) <= allowed[place], (place, world.chain)


@pytest.mark.parametrize("kind", ["hosts", "mounts"])
def test_the_model_is_reached(kind: str, world: World) -> None:
    """Along trusted places each key is really sent, or the property above would hold for no key at all."""
    auth, keys = auths(world)[kind]
    world.chain = [Hop("home", 401, 307), Hop("named", 401, 307), Hop("plain allowed", 307, 307), Hop("home", 401, 200)]
    for server in world.servers.values():
        server.seen.clear()
    assert world.sessions[HTTPAdapter].get(world.url(0), auth=auth).status_code == 200
    seen = world.seen()
    assert seen["home"] == [f"/0 Bearer {KEY}", f"/3 Bearer {KEY}"]
    assert seen["named"] == [f"/1 Bearer {keys['named']}"]
