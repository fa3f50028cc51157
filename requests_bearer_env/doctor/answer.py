"""What a server's answer says about the key, in words."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urljoin

from requests.sessions import SessionRedirectMixin

from requests_bearer_env.destination import origin_of
from requests_bearer_env.errors import BearerAuthError

from .report import Check, Status, bare_url, untrusted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from requests import Response

    from requests_bearer_env.credential import Credential
    from requests_bearer_env.destination import Destination

#: RFC 6750 section 3.1.
_ERRORS = {
    "invalid_request": "invalid_request, so the request is malformed",
    "invalid_token": "invalid_token, so the key is expired, revoked or wrong",
    "insufficient_scope": "insufficient_scope, so the key lacks a right that is needed here",
}

#: What a status says, and what to do.
_STATUS: dict[int, tuple[Status, str, str]] = {
    401: ("fail", "the server does not accept the key", "see whether it is the key for this server, and still valid"),
    403: (
        "fail",
        "not a 401: the server knows the key, but it may not do this",
        "ask for a key that may, or see what else the server goes by, such as the address of the client",
    ),
    404: (
        "fail",
        "there is nothing at that path, which says nothing about the key",
        "correct the path; most of these APIs are under /v1/, such as /v1/models",
    ),
    405: ("warn", "the path does not take that method, which says little about the key", "try another method"),
    407: (
        "fail",
        "a proxy wants credentials of its own, the server was not reached",
        "put them into the URL of the proxy, in HTTPS_PROXY",
    ),
    429: ("warn", "the key has used up what it may for now, or its quota", "wait, and send less; see the quota"),
}
_OTHERS: dict[int, tuple[Status, str, str]] = {
    2: ("ok", "the server accepts the key, or asks for none", ""),
    4: ("warn", "by its status the server finds fault with the request, not with the key", "correct the request"),
    5: ("fail", "the server failed, which says nothing about the key", "try again, or look into the server's log"),
}
_STRANGE: tuple[Status, str, str] = ("fail", "that is no answer to a request", "see whether the URL is that of the API")

_NOWHERE: tuple[Status, str, str] = (
    "warn",
    "redirects to something that is no http or https URL",
    "correct the URL, or ask the server's owner",
)

#: A challenge's parameter, or its scheme (RFC 9110 section 11.6.1).
_PART = re.compile(r"([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",]*)))?", re.ASCII)

#: Of a header, so many characters are looked at.
_LONGEST = 4000


class Challenge(NamedTuple):
    """What ``WWW-Authenticate`` asks for: the schemes, and the parameters of ``Bearer``."""

    schemes: list[str]
    bearer: dict[str, str]


def parse_challenge(header: str) -> Challenge:
    """Take a ``WWW-Authenticate`` header apart; several of them are one, with commas between."""
    challenge = Challenge([], {})
    for match in _PART.finditer(header[:_LONGEST]):
        word, quoted, plain = match.groups()
        if quoted is None and plain is None:
            challenge.schemes.append(word.lower())
        elif challenge.schemes[-1:] == ["bearer"]:
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            challenge.bearer.setdefault(word.lower(), value)
    return challenge


def in_words(response: Response, destination: Destination, known: Sequence[Credential]) -> Check:
    """The line of the report about the answer to a request.

    Args:
        response: The answer, whose body is not looked at.
        destination: Where the key may go.
        known: Keys to be kept out of what the server says, as are those that it was sent.
    """
    code = response.status_code
    sent = [cast("Credential", one.request.headers["Authorization"]) for one in (*response.history, response)]
    keys = [*known, *sent]
    if code // 100 == 3 and "Location" in response.headers:
        status, meaning, remedy = _redirect(response, destination, keys)
    else:
        status, meaning, remedy = _STATUS.get(code) or _OTHERS.get(code // 100, _STRANGE)
    if code in (401, 403):
        meaning += _challenge(response.headers, code, keys)
    if response.history:  # by the 401 hook: redirects are not followed
        meaning = f"with the key read anew, for it changed after a {response.history[0].status_code}; {meaning}"
        if status == "ok":
            status = "warn"
            remedy = "check again: if this stays, the key is kept longer than it is valid, so lower ttl="
    return Check("request", status, f"{response.request.method} answered {_name(code)}: {meaning}", remedy)


def _name(code: int) -> str:
    """A status with its name in the RFCs, whatever the server calls it."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _challenge(headers: Mapping[str, str], code: int, keys: Sequence[Credential]) -> str:
    """What the server gives as its reason (RFC 6750 section 3)."""
    challenge = parse_challenge(headers.get("WWW-Authenticate", ""))
    said: list[str] = []
    error = challenge.bearer.get("error")
    if error is not None:
        said.append("its reason is " + (_ERRORS.get(error) or f'"{untrusted(error, *keys)}"'))
    if "error_description" in challenge.bearer:
        said.append(f'it says "{untrusted(challenge.bearer["error_description"], *keys)}"')
    if "scope" in challenge.bearer:
        said.append(f'it wants the scope "{untrusted(challenge.bearer["scope"], *keys)}"')
    if code == 401 and challenge.schemes and "bearer" not in challenge.schemes:
        said.append(f"it asks for {untrusted(challenge.schemes[0], *keys)}, not for Bearer")
    return "".join(f"; {part}" for part in said)


def _redirect(response: Response, destination: Destination, keys: Sequence[Credential]) -> tuple[Status, str, str]:
    """Where a redirect leads, and what becomes of the key there."""
    start = str(response.url)
    try:
        target = urljoin(start, response.headers["Location"])
        dropped = SessionRedirectMixin().should_strip_auth(start, target)
    except ValueError:
        return _NOWHERE
    if origin_of(target) is None:
        return _NOWHERE
    where = f"redirects to {bare_url(target, *keys)}"
    if not dropped:
        return "warn", where, "use that URL itself, for a redirected POST may become a GET"
    if _may_go(destination, target):
        where += ", where the key is sent if it is asked for, as hosts= names that host"
        return "warn", where, "use that URL itself"
    return "warn", f"{where}, where requests drops the key", "use that URL itself, if the key belongs there"


def _may_go(destination: Destination, url: str) -> bool:
    """Whether the 401 hook would send the key there."""
    try:
        destination.check(url)
    except BearerAuthError:
        return False
    return destination.names(url)
