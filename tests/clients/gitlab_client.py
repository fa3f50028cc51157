"""python-gitlab with a session that has the auth."""

from __future__ import annotations

import json
import pickle

import gitlab
import pytest
import requests

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Reply, Request
from tests.clients.contract import ClientContract
from tests.helpers import KEY, assert_hidden


def client(origin: str, ca: str, auth: BearerEnvAuth) -> gitlab.Gitlab:
    """A client whose session has the auth; GitLab takes personal access tokens as bearer keys."""
    session = requests.Session()
    session.auth = auth
    return gitlab.Gitlab(origin, session=session, ssl_verify=ca)


class TestGitlab(ClientContract):
    """The client takes ``session=``."""

    expected = "notes"
    refused = gitlab.GitlabAuthenticationError

    def call(self, origin: str, ca: str, auth: BearerEnvAuth) -> object:
        """Create a project."""
        return client(origin, ca, auth).projects.create({"name": "notes"}).name

    def reply(self, request: Request) -> Reply:
        """Return what was sent."""
        assert (request.method, request.target) == ("POST", "/api/v4/projects")
        project = {"id": 1, **json.loads(request.body)}
        return Reply(201, json.dumps(project).encode(), (("Content-Type", "application/json"),))

    def test_pickled_client_holds_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that goes to another process reads the key there."""
        monkeypatch.setenv("BEARER_TOKEN", KEY)
        pickled = pickle.dumps(client("https://gitlab.example", "", BearerEnvAuth()))
        assert_hidden(pickled.decode("latin-1"))
        assert pickle.loads(pickled).session.auth == BearerEnvAuth()
