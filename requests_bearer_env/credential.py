"""The value of the Authorization header, and the check of the key in it.

The header is ``Authorization: Bearer <key>`` with exactly one space (RFC 6750 section 2.1). The key may be
any visible ASCII, because the RFC's b64token does not allow all keys that servers issue.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import InvalidKeyError

_SCHEME = re.compile(r"\Abearer(?:\s+|\Z)", re.IGNORECASE)

#: Matches RFC 6750's b64token, except one that begins with B or b, as the scheme does. A match needs no further checks.
_ORDINARY_KEY = re.compile(r"[AC-Zac-z0-9._~+/-][A-Za-z0-9._~+/-]*=*")

#: The repr of a header value, and its pickle.
MASK = "Bearer ***"


class Credential(str):
    """The value of an Authorization header: exact on the wire, hidden in ``repr`` and pickles.

    It equals the plain str, which ``str()`` returns and requests sends.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __getitem__(self, index: Any) -> Credential:
        # Traceback printers such as rich slice a long value before they take its repr, so a slice hides itself, too.
        return Credential(super().__getitem__(index))

    def __copy__(self) -> Credential:
        return self

    def __deepcopy__(self, memo: object) -> Credential:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (MASK,)

    def __getnewargs__(self) -> tuple[str]:
        return (MASK,)

    @property
    def key_length(self) -> int:
        """The number of characters of the key."""
        return len(self) - len("Bearer ")


def parse(raw: str, where: str) -> tuple[Credential | None, str]:
    """Make the header value from a source's value.

    Args:
        raw: The source's value. A byte order mark, white space around it and a leading scheme are removed.
        where: The source as messages name it.

    Returns:
        A pair. First, the header value; None if ``raw`` is blank. Second, what was removed, as messages name it;
        blank if nothing was.

    Raises:
        InvalidKeyError: ``raw`` cannot be a key; the message names the mistake.
    """
    value = raw.strip()
    if _ORDINARY_KEY.fullmatch(value):
        return Credential("Bearer " + value), "" if value == raw else _describe_white_space(raw, value)
    text = raw.replace("\ufeff", "", 1) if value.startswith("\ufeff") else raw
    value = text.strip()
    if not value:
        return None, ""
    key = _SCHEME.sub("", value)
    from .mistakes import explain_refusal  # few keys need it

    mistake = explain_refusal(key)
    if mistake is None:
        removed = (
            "" if text == raw else "the byte order mark",
            "" if value == text else _describe_white_space(text, value),
            "" if key == value else "the scheme Bearer",
        )
        return Credential("Bearer " + key), " and ".join(filter(None, removed))
    length = len(key) or len(value)  # the scheme alone leaves no key
    del raw, text, value, key  # a caller can clear this frame only after the exception has left it
    raise InvalidKeyError(f"the value of {where} ({length} characters) {mistake.problem}", mistake.remedy)


def _describe_white_space(text: str, value: str) -> str:
    """Return the white space around a value, as messages name it."""
    return "the line break at the end" if text.rstrip("\r\n") == value else "the white space around the key"
