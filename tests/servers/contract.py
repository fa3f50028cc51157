"""Tests of servers; a module about a server says what it answers, and inherits them."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import pytest
import requests

from tests.helpers import statuses
from tests.servers.support import KEYS, RIGHT, WRONG, Row, Site, Table, run_check


class Answers(NamedTuple):
    """The statuses for the right key, a wrong one and none."""

    right: int
    wrong: int
    none: int


class AnswerContract:
    """What a server answers to GET with each key, and what ``check`` makes of it."""

    #: The server's name in the table.
    name: ClassVar[str]
    #: A path that asks for the key.
    path: ClassVar[str]
    #: The statuses that GET gets.
    answers: ClassVar[Answers]
    #: The exit status of ``check`` with the right key; with a wrong key and with none it is 1.
    exit_status: ClassVar[int] = 0

    @pytest.mark.parametrize("key", KEYS)
    def test_get_has_the_documented_status(self, key: str, site: Site, session: requests.Session, table: Table) -> None:
        """The server accepts the header with the right key, and refuses the others as its class says."""
        value = KEYS[key]
        auth = site.auth(value) if value else None
        response = session.get(site.url(self.path), auth=auth)
        table.setdefault((self.name, key), Row()).status = str(response.status_code)
        assert statuses(response) == [getattr(self.answers, key)]

    @pytest.mark.parametrize("key", KEYS)
    def test_check_fails_unless_key_is_right(self, key: str, site: Site, table: Table) -> None:
        """A user can rely on the exit status, and the output does not show the key."""
        verdict = run_check(site, self.path, KEYS[key])
        row = table.setdefault((self.name, key), Row())
        row.line, row.exit_status = f"{verdict.status}: {verdict.line}", str(verdict.exit_status)
        assert RIGHT not in verdict.output
        assert verdict.exit_status == (self.exit_status if key == "right" else 1)
        assert (verdict.status == "fail") == bool(verdict.exit_status)


class RotationContract(AnswerContract):
    """What a rotation under ``ttl=`` does, at a server that takes the right key."""

    def test_rotated_key_follows_a_refusal(self, site: Site, session: requests.Session) -> None:
        """The cached key is refused, so the provider is called again; the repr of the headers has no key."""
        refused, accepted = self.answers.wrong, self.answers.right
        response = session.get(site.url(self.path), auth=site.rotated(refused))
        assert statuses(response) == [refused, accepted]
        assert RIGHT not in repr(response.request.headers)

    def test_rotated_key_is_cached(self, site: Site, session: requests.Session) -> None:
        """The next request sends the new key at once."""
        refused, accepted = self.answers.wrong, self.answers.right
        auth = site.auth(WRONG, RIGHT, WRONG, refresh_on=refused)
        assert statuses(session.get(site.url(self.path), auth=auth)) == [refused, accepted]
        session.cookies.clear()
        assert statuses(session.get(site.url(self.path), auth=auth)) == [accepted]

    def test_unchanged_key_is_sent_once(self, site: Site, session: requests.Session) -> None:
        """The refusal is returned if the provider still has the refused key."""
        refused = self.answers.wrong
        auth = site.auth(WRONG, refresh_on=refused)
        assert statuses(session.get(site.url(self.path), auth=auth)) == [refused]
