"""Jupyter Server with a key, over plain HTTP, as it listens by default."""

from __future__ import annotations

import sys

import pytest
import requests

from tests.helpers import statuses
from tests.servers.contract import Answers, RotationContract
from tests.servers.support import RIGHT, WRONG, Site, Start, run_check


@pytest.fixture(scope="module")
def site(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A Jupyter Server, whose notebooks are files in a temporary directory."""
    program = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    directory = f"--ServerApp.root_dir={tmp_path_factory.mktemp('notebooks')}"
    return start(lambda port: [*program, directory, f"--port={port}"], tls=False, JUPYTER_TOKEN=RIGHT)


class TestJupyter(RotationContract):
    """Jupyter Server answers 403 instead of 401."""

    name = "Jupyter Server"
    path = "/api/status"
    answers = Answers(right=200, wrong=403, none=403)

    def test_post_is_repeated_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The second POST has the body of the first."""
        response = session.post(site.url("/api/contents"), json={"type": "notebook"}, auth=site.rotated(403))
        assert statuses(response) == [403, 201]
        assert response.json()["type"] == "notebook"

    def test_open_path_accepts_a_wrong_key(self, site: Site, session: requests.Session) -> None:
        """A path that needs no key proves nothing about it, so ``check`` warns."""
        assert session.get(site.url("/api"), auth=site.auth(WRONG)).status_code == 200
        verdict = run_check(site, "/api", WRONG)
        assert (verdict.exit_status, verdict.status) == (0, "warn")

    def test_login_cookie_outlives_the_key(self, site: Site, session: requests.Session) -> None:
        """The right key is answered with a cookie, so a session that keeps cookies hides a wrong key."""
        assert session.get(site.url("/api/status"), auth=site.auth(RIGHT)).status_code == 200
        assert session.get(site.url("/api/status"), auth=site.auth(WRONG)).status_code == 200
        session.cookies.clear()
        assert session.get(site.url("/api/status"), auth=site.auth(WRONG)).status_code == 403
