"""Tests of API clients; a module about a client says how to call it, and inherits them."""

from __future__ import annotations

import logging
import pickle
import traceback
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytest
import requests
from requests.adapters import HTTPAdapter

from requests_bearer_env import BearerEnvAuth, MissingKeyError
from requests_bearer_env.demo.server import Reply, Request, Server
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, Serve, Vault, assert_hidden, authorizations


class ClientContract(ABC):
    """Tests of a client that uses a BearerEnvAuth."""

    #: What `call` returns when the server accepts the key.
    expected: ClassVar[object]
    #: What it raises when the server refuses the key.
    refused: ClassVar[type[Exception]]
    #: What it raises when the server closes the connection without an answer.
    broken: ClassVar[type[Exception]] = requests.ConnectionError
    #: What it raises when there is no key: not every client lets requests' own exceptions pass.
    missing: ClassVar[type[Exception]] = MissingKeyError

    @abstractmethod
    def call(self, origin: str, ca: str, auth: BearerEnvAuth) -> object:
        """Make a client, call the server, and return what the client made of the answer."""

    @abstractmethod
    def reply(self, request: Request) -> Reply:
        """The server's answer to a request whose key is right."""

    def serve_to(self, serve: Serve, key: str) -> Server:
        """Start a server that accepts one key."""
        bearer = f"Bearer {key}"
        return serve(
            lambda request: self.reply(request) if request.headers["Authorization"] == bearer else Reply(401, b"no")
        )

    def test_variable_is_all_it_needs(self, serve: Serve, ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """``auth=BearerEnvAuth()`` is the only change to a program that uses this client."""
        monkeypatch.setenv("BEARER_TOKEN", KEY)
        server = self.serve_to(serve, KEY)
        assert self.call(server.url(""), ca, BearerEnvAuth()) == self.expected
        assert set(authorizations(server)) == {OLD}

    def test_rotated_key_is_sent_once_more(self, serve: Serve, ca: str) -> None:
        """The client does not notice that the server refused the first key."""
        server = self.serve_to(serve, OTHER_KEY)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
        assert self.call(server.url(""), ca, auth) == self.expected
        first, *others = authorizations(server)
        assert first == OLD
        assert set(others) == {NEW}

    def test_refusal_shows_no_key(self, serve: Serve, ca: str, caplog: pytest.LogCaptureFixture) -> None:
        """Neither the client's exception nor its debug log has the key."""
        caplog.set_level(logging.DEBUG)
        server = self.serve_to(serve, OTHER_KEY)
        with pytest.raises(self.refused) as caught:
            self.call(server.url(""), ca, BearerEnvAuth(provider=Vault(KEY)))
        assert_hidden("".join(traceback.format_exception(caught.value)))
        assert_hidden(caplog.text)
        assert authorizations(server) == [OLD]

    def test_broken_connection_shows_no_key(self, serve: Serve, ca: str) -> None:
        """A traceback with the local variables of all frames, including those of urllib3, has no key."""

        def app(request: Request) -> Reply:
            raise ConnectionAbortedError

        server = serve(app)
        with pytest.raises(self.broken) as caught:
            self.call(server.url(""), ca, BearerEnvAuth(provider=Vault(KEY)))
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        text = "".join(shown.format())
        assert "Bearer ***" in text
        assert_hidden(text)

    def test_responses_show_no_key(self, serve: Serve, ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the client gets from requests hides the key in its headers, and in a pickle of them."""
        responses: list[requests.Response] = []
        send = HTTPAdapter.send

        def recording(adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            responses.append(send(adapter, request, **options))
            return responses[-1]

        monkeypatch.setattr(HTTPAdapter, "send", recording)
        server = self.serve_to(serve, OTHER_KEY)
        self.call(server.url(""), ca, BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)))
        assert len(responses) >= 2
        for response in responses:
            assert response.request.headers["Authorization"] in {OLD, NEW}
            assert_hidden(repr(response.request.headers))
            assert_hidden(pickle.dumps(response.request.headers).decode("latin-1"))

    def test_missing_key_sends_nothing(self, serve: Serve, ca: str) -> None:
        """The exception says which variable is not set, even if the client wraps it."""
        server = self.serve_to(serve, KEY)
        with pytest.raises(self.missing, match="BEARER_TOKEN"):
            self.call(server.url(""), ca, BearerEnvAuth())
        assert server.seen == []
