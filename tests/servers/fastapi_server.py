"""FastAPI with its HTTPBearer, over TLS."""

from __future__ import annotations

import sys

import pytest
import requests

from tests.helpers import statuses
from tests.servers.contract import Answers, RotationContract
from tests.servers.support import RIGHT, Files, Site, Start


@pytest.fixture(scope="module")
def site(start: Start, files: Files) -> Site:
    """A FastAPI application."""
    program = [sys.executable, "-m", "tests.servers.apps.fastapi_app"]
    return start(lambda port: [*program, str(port), files.certificate], SERVER_KEY=RIGHT)


class TestFastAPI(RotationContract):
    """A dependency refuses a wrong key; HTTPBearer refuses a request without one."""

    name = "FastAPI HTTPBearer"
    path = "/items"
    answers = Answers(right=200, wrong=401, none=401)

    def test_post_is_repeated_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The second POST has the body of the first."""
        response = session.post(site.url("/items"), json={"prompt": "Once"}, auth=site.rotated())
        assert statuses(response) == [401, 200]
        assert response.json() == {"prompt": "Once"}

    def test_stream_is_read_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The stream has nothing of the refusal."""
        with session.get(site.url("/stream"), auth=site.rotated(), stream=True) as response:
            assert statuses(response) == [401, 200]
            assert list(response.iter_lines()) == [b"one", b"two", b"three"]
