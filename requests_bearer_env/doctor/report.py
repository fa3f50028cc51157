"""What the doctor's report is made of, and what may stand in it.

Servers and the claims of a JWT say what they like: their text is cut, loses what a terminal could
take for a command, and whatever of the key is in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote

from requests_bearer_env.destination import origin_of

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential
    from requests_bearer_env.errors import BearerAuthError

Status = Literal["ok", "warn", "fail"]

#: Characters of other people's text that are looked at, and shown.
_READ, _SHOWN = 2000, 200

#: So many characters in a row that are also in the key are taken for a piece of it.
_PIECE = 8

#: The messages of our own errors end in what to do, after the last colon or semicolon.
_REMEDY = re.compile(r"[:;] (?!.*[:;] )", re.DOTALL)

_PROXY = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:.*@)?((?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)/?", re.IGNORECASE
)


class Check(NamedTuple):
    """One line of the report.

    Attributes:
        name: ``key``, ``header``, ``file``, ``jwt``, ``url``, ``request``, ``clock``, ``netrc`` or ``proxy``.
        status: ``ok``, ``warn`` or ``fail``.
        detail: What was seen.
        remedy: What to do; blank if that is nothing.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def refused(name: str, error: BearerAuthError) -> Check:
    """The line for an error of ours, its message being what is wrong and what to do."""
    detail, remedy = [*_REMEDY.split(str(error)), ""][:2]
    return Check(name, "fail", detail, remedy)


def printable(text: str) -> str:
    """Text of ours in one line; a path in it may hold anything."""
    return "".join(char if char.isprintable() else "?" for char in text)


def untrusted(text: str, *credentials: Credential) -> str:
    """Text of others: visible ASCII in one line, cut, and without the keys that it may repeat."""
    text = " ".join(unquote(text[:_READ]).split())
    text = re.sub(r"[^ -~]+", "?", text)
    hidden: set[int] = set()
    for credential in credentials:
        pieces = _pieces(credential, text)
        if pieces and len(credential) < len("Bearer ") + _PIECE:  # letters left out of a sentence can be guessed
            return "(not shown, as the key is in it)"
        hidden |= pieces
    text = re.sub("\0+", "***", "".join("\0" if at in hidden else char for at, char in enumerate(text)))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _pieces(credential: Credential, text: str) -> set[int]:
    """The positions of the key's pieces in a text, in upper or lower case; a short key is one piece."""
    key, text = credential.removeprefix("Bearer ").lower(), text.lower()
    size = min(_PIECE, len(key))
    found = [start for start in range(len(text) - size + 1) if text[start : start + size] in key]
    return {position for start in found for position in range(start, start + size)}


def bare_url(url: str, *credentials: Credential) -> str:
    """Scheme, host, port and path of a URL: what else is in it may be secret."""
    path = re.split(r"[?#]", url)[0].split("/")[3:]
    return untrusted("/".join([str(origin_of(url)), *path]), *credentials)


def bare_proxy(proxy: str) -> str:
    """Host and port of a proxy: before them stands its password."""
    match = _PROXY.fullmatch(proxy)
    return match[1] if match else "(its address is not plain, so it is not shown)"


def span(seconds: float) -> str:
    """A length of time in words, rounded down to a unit of which there are at least two."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds)} s"
