"""What the doctor's report is made of: the lines, their order of severity, lengths of time in words."""

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
    """Make the line for an error of this package."""
    error = error.copy(wording)
    return Check(name, "fail", error.problem, error.remedy)


def fill_in_options(template: str, wording: Wording, host: str = "") -> str:
    """Fill the names of options into a remedy, as `requests_bearer_env.errors.BearerAuthError` does."""
    return template.format(**{option: name.format(host=host) for option, name in wording._asdict().items()})


def worst_status(checks: Iterable[Check]) -> Status:
    """Return the most severe status of some lines."""
    found = {check.status for check in checks}
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"


def format_duration(seconds: float, *, rounded: bool = False) -> str:
    """Say a length of time in words, in the largest unit of which there are at least two.

    Args:
        seconds: The length.
        rounded: Whether to round to the nearest number of units, instead of down.
    """
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{round(seconds / size) if rounded else int(seconds / size)} {unit}"
    return f"{round(seconds) if rounded else int(seconds)} s"
