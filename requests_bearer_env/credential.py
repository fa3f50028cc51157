"""What a key may look like, and the header value that hides itself.

The header is ``Authorization: Bearer <key>`` with exactly one space (RFC 6750 section 2.1). The
key may be any visible ASCII: the RFC's b64token is narrower than the keys that servers issue.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .errors import InvalidKeyError

if TYPE_CHECKING:
    from .sources.base import Source

_SCHEME = re.compile(r"\Abearer(?:\s+|\Z)", re.IGNORECASE)

_NOT_VISIBLE = re.compile(r"[^!-~]")

#: ``NAME=value``, as in a dotenv file; not the padding at the end of a base64 key.
_DOTENV = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*=(?=[^=])", re.ASCII)

#: Unicode has no names for control characters; these are the ones that end up in keys.
_CONTROLS = {
    "\0": "NULL",
    "\t": "TAB",
    "\n": "LINE FEED",
    "\r": "CARRIAGE RETURN",
    "\x1b": "ESCAPE",
    "\x7f": "DELETE",
}


class Credential(str):
    """The value of an Authorization header: exact on the wire, hidden in ``repr`` and pickles.

    It equals its plain form, and ``str()`` of it is that plain form: what is sent has to be.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'Bearer ***'"

    def __getitem__(self, index: Any) -> Credential:
        # Traceback printers (rich, for one) cut a long value before they take its repr.
        return Credential(super().__getitem__(index))

    def __copy__(self) -> Credential:
        return self

    def __deepcopy__(self, memo: object) -> Credential:
        return self

    def __reduce_ex__(self, protocol: object) -> tuple[type[str], tuple[str]]:
        return str, ("Bearer ***",)

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("Bearer ***",)

    def __getnewargs__(self) -> tuple[str]:
        return ("Bearer ***",)


def parse(raw: str, source: Source) -> Credential | None:
    """Make the header value of what a source had.

    Args:
        raw: What the source had. White space around it and a leading scheme are dropped.
        source: Where it came from, for a refusal.

    Returns:
        The value to send, or None if ``raw`` is blank.

    Raises:
        InvalidKeyError: ``raw`` cannot be a key.
    """
    key = raw.strip()
    if not key:
        return None
    # In the path of every request: for ASCII, printable means 0x20 to 0x7E. What might be the
    # scheme, in quotes or NAME=value takes a closer look.
    if key[0] not in "bB\"'" and key.isascii() and key.isprintable() and " " not in key and "=" not in key:
        return Credential("Bearer " + key)
    key = _SCHEME.sub("", key)
    problem = _problem(key)
    if problem is None:
        return Credential("Bearer " + key)
    length = len(key)
    del raw, key  # before anything can be done about this frame
    raise InvalidKeyError(f"the value of {source.where()} ({length} characters) cannot be a key: {problem}")


def trimmed(raw: str) -> str:
    """In words, what `parse` leaves out of a value; blank if that is nothing."""
    found: list[str] = []
    if raw.startswith("\ufeff"):
        found.append("the byte order mark")
        raw = raw[1:]
    key = raw.strip()
    if key != raw:
        found.append("the line break at its end" if raw.rstrip("\r\n") == key else "the white space around it")
    if _SCHEME.match(key):
        found.append("the scheme Bearer")
    return " and ".join(found)


def _problem(key: str) -> str | None:
    """What is wrong with a trimmed key and what to do, in words that give none of it away."""
    if not key:
        return "it is the word Bearer alone; put the key there, the scheme is added for you"
    if _DOTENV.match(key):
        return "it is a NAME=value line, as in a dotenv file; store only what stands after the ="
    if len(key) > 1 and key[0] == key[-1] and key[0] in "\"'":
        return "it is wrapped in quotes, which are sent as part of a key; store it without them"
    found = _NOT_VISIBLE.search(key)
    if found is None:
        return None
    return f"it has {_name(found[0])} at position {found.start() + 1}; {_hint(found[0])}"


def _name(char: str) -> str:
    """The name and code point of a character that cannot be in a key."""
    if "\udc80" <= char <= "\udcff":  # how Python shows undecodable bytes, PEP 383
        return f"the byte 0x{ord(char) - 0xDC00:02X}, which is not UTF-8,"
    import unicodedata  # only a refusal needs it

    name = _CONTROLS.get(char) or unicodedata.name(char, "an unnamed character")
    return f"{name} (U+{ord(char):04X})"


def _hint(char: str) -> str:
    if char == "\0":
        return "it may be stored as UTF-16 (PowerShell's > does that), so store it as UTF-8"
    if char in "\r\n":
        return "it has more than one line, so store the key alone"
    return "a key is visible ASCII without white space, so copy it again"
