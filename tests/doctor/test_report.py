"""The parts of a report: lines, statuses, spans of time."""

from __future__ import annotations

import pytest

from requests_bearer_env.doctor.report import (
    Check,
    Status,
    failed_check,
    fill_in_options,
    format_duration,
    worst_status,
)
from requests_bearer_env.errors import COMMAND_LINE, PYTHON, InsecureTransportError


def test_error_is_split_into_problem_and_remedy() -> None:
    """The remedy names the options of the user interface."""
    error = InsecureTransportError("file a: b cannot be read", "{provider}, or {allow_http}", host="tgw.local")
    assert failed_check("url", error, PYTHON)[2:] == (
        "file a: b cannot be read",
        "provider=, or allow_http=['tgw.local']",
    )
    assert failed_check("url", error, COMMAND_LINE)[2:] == (
        "file a: b cannot be read",
        "--command, or --allow-http tgw.local",
    )


def test_remedy_names_options() -> None:
    """A remedy of the doctor itself names them, too."""
    assert fill_in_options("{file} {hosts} {allow_http}", PYTHON, "h") == "file= hosts= allow_http=['h']"
    assert fill_in_options("{file} {hosts} {allow_http}", COMMAND_LINE, "h") == "--file --host --allow-http h"


@pytest.mark.parametrize(
    ("statuses", "status"), [("", "ok"), ("ok ok", "ok"), ("ok warn ok", "warn"), ("warn fail ok", "fail")]
)
def test_worst_status_decides(statuses: str, status: Status) -> None:
    """One failure makes the whole report fail."""
    given: dict[str, Status] = {"ok": "ok", "warn": "warn", "fail": "fail"}
    assert worst_status(Check("key", given[word], "") for word in statuses.split()) == status


@pytest.mark.parametrize(
    ("seconds", "down", "nearest"),
    [
        (0, "0 s", "0 s"),
        (1.9, "1 s", "2 s"),
        (119.9, "119 s", "120 s"),
        (120, "2 minutes", "2 minutes"),
        (1199.6, "19 minutes", "20 minutes"),
        (7199, "119 minutes", "120 minutes"),
        (7200, "2 hours", "2 hours"),
        (172_799, "47 hours", "48 hours"),
        (172_800, "2 days", "2 days"),
        (8_640_000, "100 days", "100 days"),
    ],
)
def test_span_is_in_words(seconds: float, down: str, nearest: str) -> None:
    """The unit is the largest of which the span has at least two."""
    assert format_duration(seconds) == down
    assert format_duration(seconds, rounded=True) == nearest
