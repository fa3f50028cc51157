"""What the hook has to know about requests: who calls hooks, where redirects lead, how to send a body twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin, urlparse

from requests.exceptions import RequestException
from requests.sessions import SessionRedirectMixin
from requests.utils import requote_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response

#: The types of bodies that can be sent any number of times.
_REPEATABLE = (type(None), str, bytes, bytearray, memoryview)


def is_call_by_session(kwargs: Mapping[str, Any]) -> bool:
    """Return whether `requests.Session.send` itself called the hook.

    It passes the options of the transport adapter. requests-cache calls the first request's hooks a second time, and
    passes the options of ``session.send()``, such as ``allow_redirects``.
    """
    return "verify" in kwargs and "allow_redirects" not in kwargs


def redirect_target(response: Response) -> str | None:
    """Return the URL that requests would follow, without its fragment.

    None if the response does not redirect, or if its target is not a valid URL. The URL is computed as
    `requests.Session.resolve_redirects` does.
    """
    try:
        location = SessionRedirectMixin().get_redirect_target(response)
        if location is None:
            return None
        return urldefrag(urljoin(str(response.url), requote_uri(urlparse(location).geturl())))[0]
    except (ValueError, RequestException):
        return None


def body_position(body: Any) -> tuple[Any, Any] | None:
    """Return a body and its current position; None if it has no position."""
    if isinstance(body, _REPEATABLE):
        return None
    try:
        return body, body.tell()
    except Exception:
        return None  # a body may be any object, so tell() may be missing or raise anything


def rewind(body: Any, replay: tuple[Any, Any] | None) -> bool:
    """Set a body back to the position of `body_position`; return whether it can be sent again."""
    if isinstance(body, _REPEATABLE):
        return True
    if replay is None or replay[0] is not body:
        return False
    try:
        body.seek(replay[1])
        return bool(body.tell() == replay[1])
    except Exception:
        return False  # seek() and tell() may raise anything, too
