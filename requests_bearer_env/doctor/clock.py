"""The check ``clock``, which compares the server's clock with this machine's."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from .report import Check, format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A larger difference, in seconds, is a warning, because a key with a lifetime may be refused.
_WARN_ABOVE = 30

#: A larger difference, in seconds, is a failure.
_FAIL_ABOVE = 300


def check_clock(headers: Mapping[str, str], now: float) -> Check | None:
    """Compare the ``Date`` of an answer with this machine's clock.

    Args:
        headers: The answer's headers.
        now: When the answer came, in seconds since 1970.

    Returns:
        The check; None if the answer has no ``Date``.
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
    if age.isascii() and age.isdigit() and len(age) < 10:  # a cache keeps the server's Date and adds Age
        ahead += int(age)
    if abs(ahead) <= _WARN_ABOVE:
        return Check("clock", "ok", f"within {_WARN_ABOVE} s of the answer's Date")
    side = "behind" if ahead > 0 else "ahead of"
    return Check(
        "clock",
        "fail" if abs(ahead) > _FAIL_ABOVE else "warn",
        f"this machine's clock is {format_duration(abs(ahead), rounded=True)} {side} the answer's Date",
        "set it by NTP, because keys with a lifetime are refused too early or accepted too late; "
        "or tell the server's owner",
    )
