"""The server's clock against this machine's."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from requests_bearer_env.doctor.clock import check_clock

NOW = 1_800_000_000.0

OK = ("clock", "ok", "within 30 s of the answer's Date", "")
SET_IT = (
    "set it by NTP, because keys with a lifetime are refused too early or accepted too late; or tell the server's owner"
)
NO_DATE = ("clock", "warn", "the server's Date header is not a date", "tell the server's owner")


def date(seconds: float) -> str:
    """A Date header, so many seconds from now."""
    return formatdate(NOW + seconds, usegmt=True)


@pytest.mark.parametrize("seconds", [0, 30, -30])
def test_small_difference_is_ok(seconds: int) -> None:
    """Thirty seconds are tolerated."""
    assert check_clock({"Date": date(seconds)}, NOW) == OK


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [
        (31, "warn", "31 s behind"),
        (-31, "warn", "31 s ahead of"),
        (-200, "warn", "3 minutes ahead of"),
        (300, "warn", "5 minutes behind"),
        (301, "fail", "5 minutes behind"),
        (-330, "fail", "6 minutes ahead of"),
        (-100 * 86400 - 9, "fail", "100 days ahead of"),
    ],
)
def test_difference_is_shown(seconds: int, status: str, words: str) -> None:
    """More than 30 seconds warn, and more than 5 minutes fail."""
    detail = f"this machine's clock is {words} the answer's Date"
    assert check_clock({"Date": date(seconds)}, NOW) == ("clock", status, detail, SET_IT)


def test_difference_is_rounded() -> None:
    """A Date has whole seconds, so a difference of 20 minutes is measured as a little less."""
    check = check_clock({"Date": date(1200)}, NOW + 0.4)
    assert check is not None
    assert check.detail == "this machine's clock is 20 minutes behind the answer's Date"


def test_age_of_a_cached_answer_counts() -> None:
    """A cache passes an old Date on, with its age (RFC 9111 section 5.1)."""
    assert check_clock({"Date": date(-3600), "Age": "3600"}, NOW) == OK


@pytest.mark.parametrize("age", ["", "-3600", "x", "\xb2", "9" * 10, "9" * 5000])
def test_invalid_age_is_ignored(age: str) -> None:
    """An Age that is not a number of seconds says nothing about the Date."""
    assert check_clock({"Date": date(0), "Age": age}, NOW) == OK


@pytest.mark.parametrize(
    "value",
    [
        "", "yesterday", "0", "Mon, 99 Foo 2020 99:99:99 GMT", "\xff\xfe", "Mon, 1 Jan 9999999999999 0:0:0 GMT",
        "Mon, 01 Jan 2024 00:00:00 +999999999999999", ",", "1 1 1 1 1 1 1",
    ],
)  # fmt: skip
def test_invalid_date_warns(value: str) -> None:
    """An invalid Date says nothing about this machine's clock."""
    assert check_clock({"Date": value}, NOW) == NO_DATE


def test_date_of_an_unknown_zone_is_utc() -> None:
    """-0000 is a time in UTC from an unknown zone (RFC 5322 section 3.3)."""
    assert check_clock({"Date": date(0).replace("GMT", "-0000")}, NOW) == OK


def test_server_without_a_date_has_no_line() -> None:
    """Without a Date there is nothing to compare."""
    assert check_clock({}, NOW) is None
