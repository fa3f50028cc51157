"""The parts of the doctor's report: its lines, their statuses, and durations in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from requests_bearer_env.errors import BearerAuthError, Wording

Status = Literal["ok", "warn", "fail"]

_UNITS = (86400, "days"), (3600, "hours"), (60, "minutes")


class Check(NamedTuple):
    """One line of the report.

    Attributes:
        name: ``key``, ``header``, ``file``, ``jwt``, ``url``, ``request``, ``clock``, ``netrc``, ``proxy``
            or ``verdict``.
        status: ``ok``, ``warn`` or ``fail``.
        detail: What was seen.
        remedy: What to do; blank if there is nothing to do.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def failed_check(name: str, error: BearerAuthError, wording: Wording) -> Check:
    """Return the check that reports an error of this package."""
    error = error.copy(wording)
    return Check(name, "fail", error.problem, error.remedy)


def fill_in_options(template: str, wording: Wording, host: str = "") -> str:
    """Return a remedy with the names of options filled in, as in a `requests_bearer_env.errors.BearerAuthError`."""
    return template.format(**{option: name.format(host=host) for option, name in wording._asdict().items()})


def worst_status(checks: Iterable[Check]) -> Status:
    """Return the most severe status of some checks."""
    found = {check.status for check in checks}
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"


def format_duration(seconds: float, *, rounded: bool = False) -> str:
    """Return a duration in words, in the largest unit of which it has at least two.

    Args:
        seconds: The duration.
        rounded: Whether to round to the nearest number of units instead of down.
    """
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{round(seconds / size) if rounded else int(seconds / size)} {unit}"
    return f"{round(seconds) if rounded else int(seconds)} s"
