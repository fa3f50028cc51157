"""URL prefixes for `MountedAuth`, and the URLs that they cover.

A prefix covers a URL of the same origin (RFC 6454) whose path begins with the same whole segments,
after dot segments are resolved (RFC 3986 section 5.2.4). Some paths, such as ``/v1/..%2fadmin``,
are resolved differently by different servers: only a prefix without a path covers them.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from .destination import Origin, origin_of, prepared_url

#: White space and control characters, which some parsers drop. `_is_ambiguous` treats NUL separately.
_INVISIBLE = re.compile(r"[\x01-\x20\x7f]")

#: Characters that end a path segment for some servers.
_SEGMENT_ENDS = re.compile(r"[/\\?#;\0]")

#: What some servers decode, drop, merge or read as a slash, and others do not.
_READ_DIFFERENTLY = re.compile(r"[%;\\]|//")

#: A path that still changes at this decoding counts as ambiguous.
_MAX_DECODINGS = 5


class ParsedURL(NamedTuple):
    """The parts of a prepared URL that a `Prefix` is compared with.

    Attributes:
        origin: Its origin; None if it is not a plain http or https URL, which no prefix covers.
        path: The segments of its path, with dot segments resolved.
        ambiguous: Whether some servers may resolve the path to other segments.
    """

    origin: Origin | None
    path: tuple[str, ...]
    ambiguous: bool

    @classmethod
    def parse(cls, url: str | None) -> ParsedURL:
        """Parse a prepared URL."""
        origin = origin_of(url)
        path = "" if origin is None else urlsplit(str(url)).path
        return cls(origin, _split_path(path), _is_ambiguous(path))


class Prefix(NamedTuple):
    """A checked URL prefix.

    Attributes:
        origin: Its scheme, host and port.
        path: The segments of its path, none of which is ``.`` or ``..``. A slash at the end adds no segment.
    """

    origin: Origin
    path: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join((str(self.origin), *self.path, ""))

    def covers(self, url: ParsedURL) -> bool:
        """Return whether a URL is under this prefix."""
        inside = url.path[: len(self.path)] == self.path and not (self.path and url.ambiguous)
        return inside and self.origin == url.origin


def parse_prefix(what: str, url: object) -> Prefix:
    """Check and normalise a prefix.

    Args:
        what: How messages name the prefix. They do not show its URL, because that may hold a password.
        url: The prefix as the user gave it.

    Raises:
        TypeError: ``url`` is not a str.
        ValueError: ``url`` is not a plain URL of scheme, host and path.
    """
    if not isinstance(url, str):
        raise TypeError(f"{what} is {type(url).__name__}: give a URL such as https://api.example.com/v1/")
    prepared = prepared_url(url)
    origin = origin_of(prepared)
    if origin is None:
        raise ValueError(f"{what} is not an http or https URL with a host: write it like https://api.example.com/v1/")
    if re.search(r"[?#@]", url):
        raise ValueError(f"{what} contains ?, # or @: give scheme, host and path alone")
    path = _split_path(urlsplit(str(prepared)).path)
    if _READ_DIFFERENTLY.search("/".join(path)):
        raise ValueError(f"{what} has a path that servers read differently: write it without %, ;, \\ and //")
    return Prefix(origin, path)


def _split_path(path: str) -> tuple[str, ...]:
    """Split a path into segments, and resolve its dot segments (RFC 3986 section 5.2.4).

    A slash at the end of the path adds no segment.
    """
    resolved: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
    if resolved and not resolved[-1]:
        resolved.pop()
    return tuple(resolved)


def _is_ambiguous(path: str) -> bool:
    """Return whether servers may resolve the dot segments of a path in different ways.

    A server may take some of these steps, in any order:

    - decode the path, even several times;
    - truncate it at a ``?``, ``#`` or NUL that the decoding produces;
    - drop white space and control characters;
    - read a backslash or a full-width slash as a slash, and a full-width dot as a dot;
    - drop the parameters of a segment, which follow a semicolon;
    - merge slashes.

    Only a ``..`` segment leads out of a prefix, so a path is ambiguous only if these steps can produce one,
    or can change what one removes.
    """
    decoded = path
    for _ in range(_MAX_DECODINGS):
        before = decoded
        decoded = unquote(before)
        if decoded == before:
            break
    else:
        return True
    if "\ufffd" in decoded:  # invalid UTF-8, which lenient decoders may read as a dot or a slash
        return True
    if not decoded.isascii():
        decoded = normalize("NFKC", decoded)  # turns a full-width dot or slash into an ASCII one
    visible = _INVISIBLE.sub("", decoded)
    # Some servers truncate the path at a NUL, others drop the NUL.
    if ".." not in _SEGMENT_ENDS.split(visible) and ".." not in _SEGMENT_ENDS.split(visible.replace("\0", "")):
        return False
    # All servers resolve a ``..`` as `_split_path` does if the path has nothing that a step changes.
    return visible != path or _READ_DIFFERENTLY.search(path) is not None
