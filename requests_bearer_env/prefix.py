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

#: White space, control characters and NUL, which some servers drop.
_DROPPED = re.compile(r"[\0-\x20\x7f]")

#: What some servers decode, drop, merge or read as a slash, and others do not.
_READ_DIFFERENTLY = re.compile(r"[%;\\\0-\x20\x7f]|//")

#: Two dots that some servers read as the segment ``..``, because they end a segment at one of these characters,
#: truncate the path at a NUL, or drop white space, control characters and NUL.
_DOT_DOT = re.compile(r"(?<![^/\\?#;\0-\x20\x7f])\.[\0-\x20\x7f]*\.(?![^/\\?#;\0-\x20\x7f])")

#: A path that still changes at this decoding counts as ambiguous.
_MAX_DECODINGS = 5


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

    def covers(self, url: Prefix) -> bool:
        """Return whether a URL, as parsed by `parse_url`, is under this prefix."""
        return self.origin == url.origin and self.path == url.path[: len(self.path)]


def parse_url(url: str | None) -> Prefix | None:
    """Return the longest prefix that covers a prepared URL; None if it is not a plain http or https URL.

    Servers resolve an ambiguous path differently, so only a prefix without a path covers it.
    """
    origin = origin_of(url)
    if origin is None:
        return None
    path = urlsplit(str(url)).path
    return Prefix(origin, () if _is_ambiguous(path) else _split_path(path))


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
    prefix = parse_url(prepared)
    if prefix is None:
        raise ValueError(f"{what} is not an http or https URL with a host: write it like https://api.example.com/v1/")
    if re.search(r"[?#@]", url):
        raise ValueError(f"{what} contains ?, # or @: give scheme, host and path alone")
    if _READ_DIFFERENTLY.search(urlsplit(str(prepared)).path):
        raise ValueError(f"{what} has a path that servers read differently: write it without %, ;, \\ and //")
    return prefix


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
    - read a backslash as a slash, and a full-width slash, dot or percent sign as the ASCII one;
    - drop the parameters of a segment, which follow a semicolon;
    - merge slashes.

    Only a ``..`` segment leads out of a prefix, so a path is ambiguous only if these steps can produce one,
    or can change what one removes.
    """
    decoded = path
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(decoded)
    normal = normalize("NFKC", decoded)  # turns a full-width dot, slash or percent sign into an ASCII one
    dropped = _DROPPED.sub("", normal)
    # U+FFFD stands for invalid UTF-8, which lenient decoders may read as a dot or a slash.
    if "\ufffd" in decoded or unquote(dropped) != dropped:
        return True
    # All servers resolve a ``..`` as `_split_path` does if the path has nothing that a step changes.
    is_plain = normal == path and not _READ_DIFFERENTLY.search(path)
    return not is_plain and _DOT_DOT.search(normal) is not None
