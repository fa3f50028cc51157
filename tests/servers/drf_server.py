"""Django REST framework in three configurations, over TLS."""

from __future__ import annotations

import sys

import pytest
import requests

from tests.helpers import statuses
from tests.servers.contract import AnswerContract, Answers, RotationContract
from tests.servers.support import RIGHT, Files, Site, Start


@pytest.fixture(scope="module")
def site(start: Start, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One application with a view per configuration."""
    database = str(tmp_path_factory.mktemp("django") / "data.db")
    program = [sys.executable, "-m", "tests.servers.apps.drf_app"]
    return start(lambda port: [*program, str(port), files.certificate, database], SERVER_KEY=RIGHT)


class PostContract(RotationContract):
    """Tests of POST, for both views that accept a bearer key."""

    def test_post_is_repeated_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The second POST has the body of the first."""
        refused = self.answers.wrong
        response = session.post(site.url(self.path), json={"prompt": "Once"}, auth=site.rotated(refused))
        assert statuses(response) == [refused, 200]
        assert response.json() == {"prompt": "Once"}


class TestBearerFirst(PostContract):
    """The first authentication class has a challenge, so a refusal is 401."""

    name = "Django REST framework, bearer first"
    path = "/bearer/"
    answers = Answers(right=200, wrong=401, none=401)


class TestSessionFirst(PostContract):
    """The first authentication class has no challenge, so a refusal is 403."""

    name = "Django REST framework, session first"
    path = "/session/"
    answers = Answers(right=200, wrong=403, none=403)


class TestTokenScheme(AnswerContract):
    """The scheme ``Token`` refuses every bearer key, and ``check`` must say so."""

    name = "Django REST framework, scheme Token"
    path = "/token/"
    answers = Answers(right=401, wrong=401, none=401)
    exit_status = 1

    def test_challenge_names_the_scheme_token(self, site: Site, session: requests.Session) -> None:
        """A user can see from the challenge that the scheme is the cause."""
        response = session.get(site.url("/token/"), auth=site.auth(RIGHT))
        assert response.headers["WWW-Authenticate"] == "Token"
