"""Niquests, whose urllib3 takes the place of the one that requests uses."""

from __future__ import annotations

import niquests
import pytest

from requests_bearer_env import BearerAuthError, BearerEnvAuth
from requests_bearer_env.demo.server import Reply, Request
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, Serve, Vault, authorizations, keyed


def test_the_key_is_sent_and_hidden(serve: Serve, ca: str) -> None:
    """As with requests."""
    server = serve(keyed(KEY))
    with niquests.Session() as session:
        response = session.get(server.url(), auth=BearerEnvAuth(provider=lambda: KEY), verify=ca)
    assert response.status_code == 200
    assert authorizations(server) == [OLD]
    assert KEY not in repr(response.request.headers)


def test_a_changed_key_is_sent_once_more(serve: Serve, ca: str) -> None:
    """The hook of requests is one of niquests', too."""
    server = serve(keyed(OTHER_KEY))
    with niquests.Session() as session:
        response = session.get(server.url(), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)), verify=ca)
    assert [*(earlier.status_code for earlier in response.history), response.status_code] == [401, 200]
    assert authorizations(server) == [OLD, NEW]


def test_across_origins_the_key_is_not_sent(serve: Serve, ca: str) -> None:
    """Niquests drops it, and it stays dropped."""
    there = serve(keyed(OTHER_KEY))

    def redirect(request: Request) -> Reply:
        return Reply(302, headers=(("Location", there.url(host="127.0.0.1")),))

    here = serve(redirect)
    with niquests.Session() as session:
        session.get(here.url(), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)), verify=ca)
    assert authorizations(there) == [None]


def test_errors_are_those_of_requests(serve: Serve) -> None:
    """So ``except niquests.RequestException`` does not catch them; the README says so."""
    with niquests.Session() as session, pytest.raises(BearerAuthError) as caught:
        session.get("http://localhost/", auth=BearerEnvAuth(provider=lambda: KEY))
    assert not isinstance(caught.value, niquests.RequestException)
