"""gql with its RequestsHTTPTransport."""

from __future__ import annotations

import io
import json
from typing import ClassVar

import pytest
from gql import Client, FileVar, gql
from gql.transport.exceptions import TransportConnectionFailed, TransportServerError
from gql.transport.requests import RequestsHTTPTransport

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Reply, Request
from tests.clients.contract import ClientContract
from tests.helpers import KEY, OLD, OTHER_KEY, Serve, Vault, assert_hidden, authorizations


def client(origin: str, ca: str, auth: BearerEnvAuth) -> Client:
    """A client whose transport has the auth."""
    return Client(transport=RequestsHTTPTransport(f"{origin}/graphql", auth=auth, verify=ca))


class TestGql(ClientContract):
    """The transport takes ``auth=``."""

    expected: ClassVar[object] = {"greeting": "welcome"}
    refused = TransportServerError
    broken = TransportConnectionFailed
    missing = TransportConnectionFailed

    def call(self, origin: str, ca: str, auth: BearerEnvAuth) -> object:
        """Ask a question."""
        return client(origin, ca, auth).execute(gql("{ greeting }"))

    def reply(self, request: Request) -> Reply:
        """Answer the question."""
        assert "greeting" in json.loads(request.body)["query"]
        return Reply(200, json.dumps({"data": self.expected}).encode(), (("Content-Type", "application/json"),))

    def test_upload_is_not_repeated(self, serve: Serve, ca: str, caplog: pytest.LogCaptureFixture) -> None:
        """The upload's encoder cannot start again, so the refusal stands and the log says why."""
        server = self.serve_to(serve, OTHER_KEY)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
        query = gql("mutation ($file: Upload!) { store(file: $file) }")
        query.variable_values = {"file": FileVar(io.BytesIO(b"content"), filename="name")}
        with pytest.raises(TransportServerError):
            client(server.url(""), ca, auth).execute(query, upload_files=True)
        assert authorizations(server) == [OLD]
        assert "body" in caplog.text
        assert_hidden(caplog.text)
