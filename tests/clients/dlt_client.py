"""dlt: its RESTClient takes ``auth=``, its rest_api_source a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from dlt.extract import DltSource
from dlt.extract.exceptions import ResourceExtractionError
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator
from dlt.sources.rest_api import rest_api_source
from requests.exceptions import HTTPError

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Reply, Request
from tests.clients.contract import ClientContract

PAGES = {"/notes": ({"text": "one"}, "/notes?page=2"), "/notes?page=2": ({"text": "two"}, None)}


class PageContract(ClientContract):
    """A server that has two pages of notes."""

    expected: ClassVar[object] = [{"text": "one"}, {"text": "two"}]

    def reply(self, request: Request) -> Reply:
        """Return a page, and the path of the next one."""
        item, following = PAGES[request.target]
        page = {"notes": [item], "next": following}
        return Reply(200, json.dumps(page).encode(), (("Content-Type", "application/json"),))


class TestRestClient(PageContract):
    """The client takes ``auth=``."""

    refused = HTTPError

    def call(self, origin: str, ca: str, auth: BearerEnvAuth) -> object:
        """Read all pages."""
        pages = JSONLinkPaginator("next")
        # By default the session would retry a failed request after a second.
        session = Client(raise_for_status=False, request_max_attempts=1).session
        session.verify = ca
        client = RESTClient(origin, auth=auth, paginator=pages, data_selector="notes", session=session)
        return [note for page in client.paginate("/notes") for note in page]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Switch off the usage reports, and keep the files of dlt out of the home directory."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))


def source(origin: str, **client: object) -> DltSource:
    """The notes, as a declarative source."""
    endpoint = {"path": "/notes", "paginator": {"type": "json_link", "next_url_path": "next"}, "data_selector": "notes"}
    config: Any = {
        "client": {"base_url": origin, **client},
        "resources": [{"name": "notes", "endpoint": endpoint}],
    }
    return rest_api_source(config)


class TestRestApiSource(PageContract):
    """The source takes a session with the auth in it."""

    refused = ResourceExtractionError
    broken = ResourceExtractionError
    missing = ResourceExtractionError

    def call(self, origin: str, ca: str, auth: BearerEnvAuth) -> object:
        """Read all pages."""
        session = requests.Session()
        session.auth, session.verify = auth, ca
        return list(source(origin, session=session))

    def test_auth_is_refused(self) -> None:
        """The source takes no ``auth=`` but its own, which is why the README names the session."""
        with pytest.raises(ValueError, match="BearerEnvAuth"):
            source("https://api.example", auth=BearerEnvAuth())
