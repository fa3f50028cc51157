"""Finds the server's own reason for an answer, in its challenge (RFC 6750 section 3) and the JSON in its body."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from requests_bearer_env.challenge import parse_challenge
from requests_bearer_env.cleaning import sanitize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from requests_bearer_env.credential import Credential

    from .request import Answer

#: The error codes of RFC 6750 section 3.1, with what they mean.
_ERRORS = {
    "invalid_request": "invalid_request, so the request is malformed",
    "invalid_token": "invalid_token, so the key is expired, revoked or wrong",
    "insufficient_scope": "insufficient_scope, so the key lacks a permission that is needed here",
}

#: The names of members that hold the reason in a JSON body, the more specific ones first.
_REASON_FIELDS = ("detail", "message", "error_description", "error", "errors", "msg", "reason")

#: Matches the reason in JSON that is incomplete, because only the beginning of a body is read.
_CUT_REASON = re.compile(r'"(?:detail|message|error)"\s*:\s*("(?:[^"\\]|\\.)*")')

#: Matches the paths for which text-generation-webui requires its admin key.
_ADMIN_PATH = re.compile(r"/v1/internal/(?:model/(?:list|load|unload)|lora/(?:list|load|unload))/?")

#: How many levels of arrays and objects are searched for a reason.
_MAX_DEPTH = 4

_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)


def status_name(answer: Answer) -> str:
    """Return the status with its standard name; after a 2xx, also say whether the body is a web page or an error."""
    try:
        name = f"{answer.status} {HTTPStatus(answer.status).phrase}"
    except ValueError:
        name = str(answer.status)
    if answer.status // 100 == 2:
        if is_web_page(answer):
            return f"{name} (a web page)"
        if reports_error(answer):
            return f"{name} (an error)"
    return name


def is_web_page(answer: Answer) -> bool:
    """Return whether the body is HTML, according to its Content-Type or its beginning."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") or _HTML.match(answer.body) is not None


def reports_error(answer: Answer) -> bool:
    """Return whether the body is JSON that says that the request failed."""
    body = _parse_body(answer)
    if not isinstance(body, dict):
        return False
    found = cast("Mapping[str, Any]", body)
    return bool(found.get("error") or found.get("errors")) or found.get("ok") is False or found.get("success") is False


def refuses_host(answer: Answer) -> bool:
    """Return whether the server rejects the Host header, as text-generation-webui and Starlette do if it is unknown."""
    return b"invalid host header" in answer.body.lower()


def takes_admin_key(answer: Answer) -> bool:
    """Return whether the path may need the admin key of text-generation-webui.

    text-generation-webui refuses the API key at the paths that load and list models.
    """
    path = urlsplit(answer.url).path
    return (
        answer.status == 401
        and _parse_body(answer) == {"detail": "Unauthorized"}
        and _ADMIN_PATH.fullmatch(path) is not None
    )


def explain_server(answer: Answer, keys: Sequence[Credential]) -> str:
    """Say which program answered, and through which proxies; return "" if no header tells.

    The headers are Server (RFC 9110 section 10.2.4) and Via (section 7.6.3).

    Args:
        answer: The answer.
        keys: The keys that must not be shown.
    """
    shown = ((name, sanitize(answer.headers.get(name, ""), *keys)) for name in ("Server", "Via"))
    said = " and ".join(f'{name} is "{value}"' for name, value in shown if value)
    return f"in its headers, {said}" if said else ""


def explain_wait(answer: Answer, keys: Sequence[Credential]) -> str:
    """Say how long the server asks the client to wait (RFC 9110 section 10.2.3); return "" if it does not ask.

    Args:
        answer: The answer.
        keys: The keys that must not be shown.
    """
    after = sanitize(answer.headers.get("Retry-After", ""), *keys) if answer.status in {429, 503} else ""
    return f'its Retry-After is "{after}"' if after else ""


def names_other_scheme(answer: Answer) -> bool:
    """Return whether the challenge of a 401 names only schemes other than Bearer.

    Such a server may still accept Bearer.
    """
    schemes = parse_challenge(answer.headers.get("WWW-Authenticate", "")).schemes
    return answer.status == 401 and bool(schemes) and "bearer" not in schemes


def explain_reason(answer: Answer, keys: Sequence[Credential]) -> str:
    """Say which reason the server gives for an error; return "" if it gives none.

    Args:
        answer: The answer.
        keys: The keys that must not be shown, in addition to those that were sent.
    """
    if answer.status < 400 and not reports_error(answer):
        return ""
    keys = [*keys, *answer.sent]
    challenge = parse_challenge(answer.headers.get("WWW-Authenticate", ""))
    said: list[str] = []
    error = challenge.bearer.get("error")
    if error is not None:
        said.append("its reason is " + (_ERRORS.get(error) or f'"{sanitize(error, *keys)}"'))
    for text in dict.fromkeys((challenge.bearer.get("error_description"), _find_reason_in_body(answer))):
        shown = sanitize(text or "", *keys)
        if shown:
            said.append(f'it says "{shown}"')
    if "scope" in challenge.bearer:
        said.append(f'it asks for the scope "{sanitize(challenge.bearer["scope"], *keys)}"')
    if names_other_scheme(answer):
        said.append(f"its challenge names the scheme {sanitize(challenge.schemes[0], *keys)}, not Bearer")
    return "; ".join(said)


def _find_reason_in_body(answer: Answer) -> str | None:
    """Return the reason in a JSON body or in the beginning of one; None if there is none."""
    body = _parse_body(answer)
    if body is not None:
        return _find_reason(body, _MAX_DEPTH)
    text = answer.body.decode(errors="replace")
    match = _CUT_REASON.search(text) if text.lstrip()[:1] in ("{", "[") else None
    try:
        return str(json.loads(match[1], strict=False)) if match else None
    except ValueError:
        return None


def _parse_body(answer: Answer) -> object:
    """Return the body's JSON; None if the body is not complete JSON."""
    try:
        return cast("object", json.loads(answer.body, strict=False))
    except (ValueError, RecursionError):
        return None


def _find_reason(value: object, depth: int) -> str | None:
    """Return the first string in parsed JSON that may be a reason; None if there is none.

    Args:
        value: The JSON, or a part of it.
        depth: How many more levels to search.
    """
    if isinstance(value, str):
        return value if depth < _MAX_DEPTH else None
    if depth == 0:
        return None
    if isinstance(value, list):
        items = cast("list[object]", value)[:1]
    elif isinstance(value, dict):
        found = cast("Mapping[str, object]", value)
        items = [found[name] for name in _REASON_FIELDS if name in found]
    else:
        return None
    return next(filter(None, (_find_reason(item, depth - 1) for item in items)), None)
