"""Niquests, which replaces the urllib3 that requests uses."""

from __future__ import annotations

import niquests
import pytest

from requests_bearer_env import BearerAuthError, BearerEnvAuth
from tests.helpers import (
    KEY,
    NEW,
    OLD,
    OTHER_KEY,
    Serve,
    Vault,
    assert_hidden,
    authorizations,
    keyed,
    redirecting,
    statuses,
)


def test_the_key_is_sent_and_hidden(serve: Serve, ca: str) -> None:
    """The header is the one that requests sends."""
    server = serve(keyed(KEY))
    with niquests.Session() as session:
        response = session.get(server.url(), auth=BearerEnvAuth(provider=lambda: KEY), verify=ca)
    assert response.status_code == 200
    assert authorizations(server) == [OLD]
    assert_hidden(response.request.headers)


def test_a_changed_key_is_sent_once_more(serve: Serve, ca: str) -> None:
    """Niquests calls the hook as requests does."""
    server = serve(keyed(OTHER_KEY))
    with niquests.Session() as session:
        response = session.get(server.url(), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)), verify=ca)
    assert statuses(response) == [401, 200]
    assert authorizations(server) == [OLD, NEW]


def test_another_origin_gets_no_key(serve: Serve, ca: str) -> None:
    """Niquests drops the header, and the hook does not put it back."""
    here, there = redirecting(serve, keyed(OTHER_KEY))
    with niquests.Session() as session:
        session.get(here.url(), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)), verify=ca)
    assert authorizations(there) == [None]


def test_errors_are_those_of_requests(serve: Serve) -> None:
    """As the README says, ``except niquests.RequestException`` does not catch them."""
    with niquests.Session() as session, pytest.raises(BearerAuthError) as caught:
        session.get("http://localhost/", auth=BearerEnvAuth(provider=lambda: KEY))
    assert not isinstance(caught.value, niquests.RequestException)
