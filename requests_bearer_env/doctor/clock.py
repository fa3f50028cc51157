"""The line ``clock``: the server's time against this machine's."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from .report import Check, format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds of difference from which on a warning is due, and from which on keys are refused.
_SKEW, _WRONG = 30, 300


def check_clock(headers: Mapping[str, str], now: float) -> Check | None:
    """Compare the clocks.

    Args:
        headers: The answer's headers.
        now: When the answer came, in seconds since 1970.

    Returns:
        The line of the report, or None if the server does not tell the time.
    """
    header = headers.get("Date")
    if header is None:
        return None
    try:
        date = parsedate_to_datetime(header)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        ahead = (date - datetime.fromtimestamp(now, timezone.utc)).total_seconds()
    except (ValueError, OverflowError, IndexError, TypeError):
        return Check("clock", "warn", "the server's Date header is not a date", "tell the server's owner")
    age = headers.get("Age", "")
    if age.isascii() and age.isdigit() and len(age) < 10:  # a cache passes the date on as it was
        ahead += int(age)
    if abs(ahead) <= _SKEW:
        return Check("clock", "ok", f"within {_SKEW} s of the answer's Date")
    side = "behind" if ahead > 0 else "ahead of"
    return Check(
        "clock",
        "fail" if abs(ahead) > _WRONG else "warn",
        f"this machine's clock is {format_duration(abs(ahead), rounded=True)} {side} the answer's Date",
        "set it by NTP, because keys with a lifetime are refused too early or accepted too late; "
        "or tell the server's owner",
    )
