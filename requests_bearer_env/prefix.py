"""Where a key is mounted: URL prefixes, and which URLs are in them.

A URL is in a prefix if its origin is the same (RFC 6454) and its path begins with the same whole
segments, dot segments being resolved (RFC 3986 section 5.2.4), in every reading that servers have of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest
from requests.exceptions import RequestException

from .destination import Origin, origin_of

#: White space and controls, which parsers drop or cut at; NULL is looked at on its own.
_INVISIBLE = re.compile(r"[\x01-\x20\x7f]")

#: Where a segment ends for some server.
_ENDS = re.compile(r"[/\\?#;\0]")

#: What only some servers decode, drop, merge or take for a slash.
_READ_DIFFERENTLY = re.compile(r"[%;\\]|//")

#: A path that is still encoded after so many decodings is in no prefix but the root.
_DECODINGS = 5


class Place(NamedTuple):
    """A prepared URL's origin, its path in segments, and whether some server may take that for another path."""

    origin: Origin | None
    path: tuple[str, ...]
    ambiguous: bool

    @classmethod
    def of(cls, url: str | None) -> Place:
        """Read a URL; one that is not plain http or https has no origin, so it is in no prefix."""
        origin = origin_of(url)
        path = "" if origin is None else urlsplit(str(url)).path
        return cls(origin, _segments(path), _ambiguous(path))


class Prefix(NamedTuple):
    """Origin and path, the latter in segments without the last one if that is empty."""

    origin: Origin
    path: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join((str(self.origin), *self.path, ""))

    def covers(self, place: Place) -> bool:
        """Whether a place is in this prefix."""
        inside = place.path[: len(self.path)] == self.path and not (self.path and place.ambiguous)
        return inside and self.origin == place.origin


def prefix_of(what: str, url: object) -> Prefix:
    """Check and normalise a prefix.

    Args:
        what: What to call it in messages; it is not shown itself, for it may hold a password.
        url: The URL that is to be one.

    Raises:
        TypeError: It is no str.
        ValueError: It is not a plain URL of scheme, host and path.
    """
    if not isinstance(url, str):
        raise TypeError(f"{what} is {type(url).__name__}: give a URL such as https://api.example.com/v1/")
    request = PreparedRequest()
    try:
        request.prepare_url(url, None)
    except RequestException:
        request.url = None
    origin = origin_of(request.url)
    if origin is None:
        raise ValueError(f"{what} is not an http or https URL with a host: write it like https://api.example.com/v1/")
    if re.search(r"[?#@]", url):
        raise ValueError(f"{what} has a query, a fragment or a user: give scheme, host and path alone")
    path = _segments(urlsplit(str(request.url)).path)
    if _READ_DIFFERENTLY.search("/".join(path)):
        raise ValueError(f"{what} has a path that servers read differently: write it without %, ;, \\ and //")
    return Prefix(origin, path)


def _segments(path: str) -> tuple[str, ...]:
    """The segments of a path, its dot segments resolved (RFC 3986 section 5.2.4)."""
    resolved: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
    return tuple(resolved[:-1] if resolved and not resolved[-1] else resolved)


def _ambiguous(path: str) -> bool:
    """Whether servers may resolve the dot segments of a path in different ways.

    They decode it (perhaps twice), cut it at what then looks like a query, a fragment or an end, drop
    white space, take a backslash or a wide slash for a slash, drop parameters from segments and merge
    slashes: some of that, in some order. Where it leaves no dots, none of it leads out of a prefix.
    """
    decoded = path
    for _ in range(_DECODINGS):
        decoded, before = unquote(decoded), decoded
        if decoded == before:
            break
    else:
        return True  # nobody means that
    if "\ufffd" in decoded:  # bytes that are not UTF-8: a dot or a slash in too many of them
        return True
    if not decoded.isascii():
        decoded = normalize("NFKC", decoded)
    visible = _INVISIBLE.sub("", decoded)
    if ".." not in _ENDS.split(visible) and ".." not in _ENDS.split(visible.replace("\0", "")):
        return False
    return visible != path or _READ_DIFFERENTLY.search(path) is not None
