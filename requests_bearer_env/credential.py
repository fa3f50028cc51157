"""The value of the Authorization header, and the check of the key in it.

The header is ``Authorization: Bearer <key>`` with exactly one space (RFC 6750 section 2.1). The key may be
any visible ASCII, because the RFC's b64token does not allow all keys that servers issue.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import InvalidKeyError

_SCHEME = r"\Abearer(?:\s+|\Z)"

#: Matches RFC 6750's b64token, except one that begins with B or b, as the scheme does. `parse` returns every match
#: unchanged, so a match needs no further checks.
ORDINARY_KEY = re.compile(r"[AC-Zac-z0-9._~+/-][A-Za-z0-9._~+/-]*=*")

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


def parse(raw: str, where: str) -> Credential | None:
    """Make the header value from a source's value.

    Args:
        raw: The source's value. A byte order mark, white space around it and a leading scheme are removed.
        where: The source as messages name it.

    Returns:
        The header value; None if ``raw`` is blank.

    Raises:
        InvalidKeyError: ``raw`` cannot be a key; the message names the mistake.
    """
    key = raw.strip().removeprefix("\ufeff").lstrip()
    if not key:
        return None
    key = re.sub(_SCHEME, "", key, flags=re.IGNORECASE)
    from .mistakes import explain_refusal  # few keys need it

    mistake = explain_refusal(key)
    if mistake is None:
        return Credential("Bearer " + key)
    length = len(key) or len(raw.strip())  # the scheme alone leaves no key
    del raw, key  # a caller can clear this frame only after the exception has left it
    raise InvalidKeyError(f"the value of {where} ({length} characters) {mistake.problem}", mistake.remedy)


def describe_trimming(raw: str) -> str:
    """Return what `parse` removes from a value, as messages name it; blank if it removes nothing."""
    found: list[str] = []
    if raw.lstrip().startswith("\ufeff"):
        found.append("the byte order mark")
        raw = raw.replace("\ufeff", "", 1)
    key = raw.strip()
    if key != raw:
        found.append(describe_white_space(raw, key))
    if re.match(_SCHEME, key, re.IGNORECASE):
        found.append("the scheme Bearer")
    return " and ".join(found)


def describe_white_space(raw: str, key: str) -> str:
    """Return the white space around a key, as messages name it."""
    return "the line break at the end" if raw.rstrip("\r\n") == key else "the white space around the key"
