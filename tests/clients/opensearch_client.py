"""opensearch-py with its RequestsHttpConnection."""

from __future__ import annotations

import json
from typing import ClassVar
from urllib.parse import urlsplit

from opensearchpy import AuthenticationException, OpenSearch, RequestsHttpConnection, exceptions

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Reply, Request
from tests.clients.contract import ClientContract


class TestOpenSearch(ClientContract):
    """The client takes ``http_auth=``."""

    expected: ClassVar[object] = {"hits": {"hits": []}}
    refused = AuthenticationException
    broken = exceptions.ConnectionError

    def call(self, origin: str, ca: str, auth: BearerEnvAuth) -> object:
        """Search an index."""
        place = urlsplit(origin)
        client = OpenSearch(
            [{"host": place.hostname, "port": place.port}],
            http_auth=auth,
            use_ssl=True,
            ca_certs=ca,
            connection_class=RequestsHttpConnection,
        )
        return client.search(index="notes", body={"query": {"match_all": {}}})

    def reply(self, request: Request) -> Reply:
        """Find nothing."""
        assert (request.method, request.target) == ("POST", "/notes/_search")
        assert json.loads(request.body) == {"query": {"match_all": {}}}
        return Reply(200, json.dumps(self.expected).encode(), (("Content-Type", "application/json"),))
