"""Explains where a redirect leads, and whether the key is sent there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.sessions import SessionRedirectMixin

from requests_bearer_env.auth import BearerEnvAuth
from requests_bearer_env.cleaning import sanitize_url
from requests_bearer_env.destination import origin_of
from requests_bearer_env.mounts import MountedAuth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from requests_bearer_env.auth import KeyAuth
    from requests_bearer_env.credential import Credential

    from .report import Status
    from .request import Answer

_LAST_PORT = 65535

#: Matches the paths of login pages.
_LOGIN = re.compile(
    r"/(?:[a-z0-9]+[_-])?(?:log[_-]?[io]n|sign[_-]?in|sso|saml2?|oauth2?/(?:v\d/)?auth(?:orize)?|authorize|cas)\b",
    re.IGNORECASE | re.ASCII,
)


def explain_redirect(answer: Answer, auth: KeyAuth, keys: Sequence[Credential]) -> tuple[Status, str, str]:
    """Explain an answer that redirects.

    Args:
        answer: The answer, whose target is not None.
        auth: The auth that the request was made with.
        keys: The keys that must not be shown.

    Returns:
        The status of the check, what was seen, and what to do.
    """
    target = str(answer.target)
    start, origin = origin_of(answer.url), origin_of(target)
    if start is None or origin is None or origin.port > _LAST_PORT:
        return (
            "warn",
            "it redirects to something that is not an http or https URL",
            "correct the URL, or tell the server's owner",
        )
    where = f"it redirects to {sanitize_url(target, *keys)}"
    if _LOGIN.search(urlsplit(target).path):
        return (
            "fail",
            f"{where}, which looks like a login page, so the server did not take the key",
            "check that it is the key for this server, and that the URL is that of its API, not of its web pages",
        )
    if start.scheme == "https" and origin.scheme == "http" and start.host == origin.host:
        return (
            "warn",
            f"{where}, where requests drops the key; the server seems not to know that it was reached over https",
            (
                "have the server trust X-Forwarded-Proto of its TLS proxy; "
                "or correct the URL, for example its trailing slash"
            ),
        )
    return _explain_key(answer.url, target, where, auth)


def _explain_key(start: str, target: str, where: str, auth: KeyAuth) -> tuple[Status, str, str]:
    """Say whether the key is sent to the target of a redirect, and whether to use its URL.

    Args:
        start: The URL that redirects.
        target: The URL that it redirects to.
        where: The beginning of the sentence, which names the target.
        auth: The auth that the request was made with.

    Returns:
        The status of the check, what was seen, and what to do.
    """
    permitted = _permits(auth, target)
    if not SessionRedirectMixin().should_strip_auth(start, target):
        remedy = "use that URL itself, because a redirected POST may become a GET"
        return "warn", where, remedy if permitted else "correct the URL, because this key is not meant for that one"
    if not permitted:
        return "warn", f"{where}, where requests drops the key", "correct the URL, or ask the server's owner"
    trusted, answering = auth.auth_for(target, start)
    if trusted and answering is not None:
        return "warn", f"{where}, where the key is sent if the server asks for it", "use that URL itself"
    return "warn", f"{where}, where requests drops the key", "use that URL itself, if the key belongs there"


def _permits(auth: KeyAuth, url: str) -> bool:
    """Return whether a request to a URL would get a key."""
    if isinstance(auth, MountedAuth):
        mount = auth.mount_of(url)
        return mount is not None and isinstance(mount.auth, (BearerEnvAuth, MountedAuth)) and _permits(mount.auth, url)
    return isinstance(auth, BearerEnvAuth) and auth.destination.permits(url)
