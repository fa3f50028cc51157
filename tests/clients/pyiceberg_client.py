"""PyIceberg's REST catalog, which accepts a header or an AuthManager instead of an auth."""

from __future__ import annotations

import json

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.rest.auth import AuthManager

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Reply, Server
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, Serve, assert_hidden, authorizations


class KeyManager(AuthManager):
    """An AuthManager that PyIceberg asks for the header's value before each request."""

    def __init__(self, env: str) -> None:
        self._auth = BearerEnvAuth(env)

    def auth_header(self) -> str:
        """Read the key; nothing checks where PyIceberg sends it."""
        return self._auth.credential()


#: How a catalog's configuration names the class above.
CUSTOM = {"type": "custom", "impl": f"{__name__}.{KeyManager.__name__}", "custom": {"env": "TGW_API_KEY"}}


@pytest.fixture
def server(serve: Serve) -> Server:
    """A catalog without namespaces that accepts every key."""
    answer = json.dumps({"defaults": {}, "overrides": {}, "namespaces": []})  # the configuration and the list in one
    return serve(lambda _: Reply(200, answer.encode(), (("Content-Type", "application/json"),)))


def catalog(server: Server, ca: str, **properties: object) -> RestCatalog:
    """A catalog's client, which makes one request when it is made."""
    return RestCatalog("notes", uri=server.url(""), ssl={"cabundle": ca}, **properties)


def test_manager_reads_the_key_for_each_request(
    server: Server, ca: str, key_env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotated key counts from the next request on, and the catalog's properties do not hold it."""
    client = catalog(server, ca, auth=CUSTOM)
    monkeypatch.setenv(key_env, OTHER_KEY)
    assert client.list_namespaces() == []
    assert authorizations(server) == [OLD, NEW]
    assert_hidden(repr(client.properties))


def test_header_is_read_once(server: Server, ca: str, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header's value stays what it was when the catalog was made."""
    header = {"header.Authorization": str(BearerEnvAuth(key_env).credential())}
    client = catalog(server, ca, auth={"type": "noop"}, **header)
    monkeypatch.setenv(key_env, OTHER_KEY)
    assert client.list_namespaces() == []
    assert authorizations(server) == [OLD, OLD]
    assert KEY in repr(client.properties)


def test_header_without_noop_is_overwritten(server: Server, ca: str, key_env: str) -> None:
    """PyIceberg's default auth replaces the header with a value of its own, so the README names ``noop``."""
    catalog(server, ca, **{"header.Authorization": str(BearerEnvAuth(key_env).credential())})
    assert authorizations(server) == ["Bearer None"]
