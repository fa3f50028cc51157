"""Where a key is mounted: URL prefixes, and which URLs are in them.

A URL is in a prefix if its origin is the same (RFC 6454) and its path begins with the same whole
segments, dot segments being resolved (RFC 3986 section 5.2.4), in every reading that servers have of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest
from requests.exceptions import RequestException

from .destination import Origin, origin_of

#: White space and controls, which parsers drop or cut at; NULL is looked at on its own.
_INVISIBLE = re.compile(r"[\x01-\x20\x7f]")

#: Where a segment ends for some server.
_ENDS = re.compile(r"[/\\?#;\0]")

#: A path that is still encoded after so many decodings is in no prefix but the root.
_DECODINGS = 5


class Place(NamedTuple):
    """A prepared URL's origin, and its path in segments as it stands and as servers may read it."""

    origin: Origin | None
    readings: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, url: str | None) -> Place:
        """Read a URL; one that is not plain http or https has no origin, so it is in no prefix."""
        origin = origin_of(url)
        if origin is None:
            return cls(None, ())
        path = urlsplit(str(url)).path
        return cls(origin, (_segments(path), _segments(_as_servers_may(path))))


class Prefix(NamedTuple):
    """Origin and path, the latter in segments without the last one if that is empty."""

    origin: Origin
    path: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join((str(self.origin), *self.path, ""))

    def covers(self, place: Place) -> bool:
        """Whether a place is in this prefix."""
        end = len(self.path)
        return self.origin == place.origin and all(reading[:end] == self.path for reading in place.readings)


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
        raise ValueError(f"{what} is not an http or https URL with a host: write https://api.example.com/v1/")
    if re.search(r"[?#@]", url):
        raise ValueError(f"{what} has a query, a fragment or a user: give scheme, host and path alone")
    path = _segments(urlsplit(str(request.url)).path)
    if path != _segments(_as_servers_may("/".join(("", *path)))):
        raise ValueError(f"{what} has a path that servers read differently: write it without percent-encoding")
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


def _as_servers_may(path: str) -> str:
    """A path with all that some servers do before they resolve dot segments.

    They decode it (perhaps twice), cut it at what then looks like a query, a fragment or an end, drop
    white space, take a backslash for a slash, drop parameters from segments and merge slashes. Where
    that leaves ``..``, some of it done in some order leads anywhere: it is in no prefix but the root.
    """
    given = path
    for _ in range(_DECODINGS):
        path, before = unquote(path), path
        if path == before:
            break
    else:
        return "/"  # nobody means that
    if "\ufffd" in path:  # bytes that are not UTF-8: a dot or a slash in too many of them
        return "/"
    visible = _INVISIBLE.sub("", path)
    dots = ".." in _ENDS.split(visible) or ".." in _ENDS.split(visible.replace("\0", ""))
    path = re.sub(r";[^/]*", "", re.split(r"[?#\0]", visible)[0].replace("\\", "/"))
    path = re.sub(r"/+", "/", path)
    return "/" if dots and path != given else path
