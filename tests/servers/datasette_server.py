"""Datasette with the plugin datasette-auth-tokens, over TLS."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

import pytest
import requests

from tests.helpers import statuses
from tests.servers.contract import Answers, RotationContract
from tests.servers.support import RIGHT, Files, Site, Start

TABLE = "create table notes (text text primary key); insert into notes values ('one'), ('two');"
ADD = "insert into notes (text) values (:text)"


@pytest.fixture(scope="module")
def site(start: Start, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A Datasette with a table of two rows, a query that adds one, and one user."""
    directory = tmp_path_factory.mktemp("datasette")
    database, metadata = directory / "data.db", directory / "metadata.json"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(TABLE)
    metadata.write_text(json.dumps(settings()))
    program = [sys.executable, "-m", "datasette", "serve", str(database), "--metadata", str(metadata)]
    tls = ["--ssl-certfile", files.certificate, "--ssl-keyfile", files.certificate]
    return start(lambda port: [*program, *tls, "--port", str(port)], SERVER_KEY=RIGHT)


def settings() -> dict[str, object]:
    """Allow only the user with the key, which the server reads from its environment."""
    return {
        "allow": {"id": "user"},
        "databases": {"data": {"queries": {"add": {"sql": ADD, "write": True}}}},
        "plugins": {"datasette-auth-tokens": {"tokens": [{"token": {"$env": "SERVER_KEY"}, "actor": {"id": "user"}}]}},
    }


class TestDatasette(RotationContract):
    """Datasette answers 403 to a wrong key and to none."""

    name = "Datasette, datasette-auth-tokens"
    path = "/data/notes.json?_shape=arrayfirst"
    answers = Answers(right=200, wrong=403, none=403)

    def test_post_is_repeated_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The second POST has the body of the first."""
        session.auth = site.rotated(403)
        response = session.post(site.url("/data/add"), data={"text": "zero", "_json": "1"})
        assert statuses(response) == [403, 200]
        assert response.json()["ok"]
        assert session.get(site.url(self.path)).json() == ["one", "two", "zero"]

    def test_stream_is_read_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The stream has nothing of the refusal."""
        url = site.url("/data/notes.csv?_stream=on")
        with session.get(url, auth=site.rotated(403), stream=True) as response:
            assert statuses(response) == [403, 200]
            assert list(response.iter_lines())[:3] == [b"text", b"one", b"two"]
