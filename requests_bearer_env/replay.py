"""What the hook knows of requests: who called it, where a redirect leads, and how a body is sent twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin, urlparse

from requests.exceptions import RequestException
from requests.sessions import SessionRedirectMixin
from requests.utils import requote_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response


def from_session(kwargs: Mapping[str, Any]) -> bool:
    """Whether a hook is called by `requests.Session.send` itself, with the options it sent the request with.

    requests-cache calls the hooks of the first request once more in the end, with the options it was given.
    """
    return "verify" in kwargs and "allow_redirects" not in kwargs


def redirect_target(response: Response) -> str | None:
    """The URL that requests makes of a redirect, without its fragment; None if there is none.

    As `requests.Session.resolve_redirects` does.
    """
    start = str(response.url)
    try:
        location = SessionRedirectMixin().get_redirect_target(response) or ""
        if location.startswith("//"):
            location = f"{urlparse(start).scheme}:{location}"
        location = urlparse(location).geturl()
        joined = requote_uri(location) if urlparse(location).netloc else urljoin(start, requote_uri(location))
    except (ValueError, RequestException):
        return None
    return urldefrag(joined)[0]


def body_position(body: Any) -> tuple[Any, Any] | None:
    """A body and the position it begins at, or None if it has no positions."""
    try:
        return body, body.tell()
    except Exception:
        return None  # a body is any object, and its tell() may raise anything


def rewind(body: Any, replay: tuple[Any, Any] | None) -> bool:
    """Set a body to where it began; return whether that could be done."""
    if body is None or isinstance(body, (str, bytes, bytearray, memoryview)):
        return True
    if replay is None or replay[0] is not body:
        return False
    try:
        body.seek(replay[1])
        return bool(body.tell() == replay[1])
    except Exception:
        return False  # as above
