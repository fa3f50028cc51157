"""Explains what the answers with and without the key prove about the key, and claims nothing more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from requests_bearer_env.errors import COMMAND_LINE

from .reason import (
    explain_reason,
    explain_server,
    explain_wait,
    is_web_page,
    names_other_scheme,
    refuses_host,
    reports_error,
    status_name,
    takes_admin_key,
)
from .redirect import explain_redirect
from .report import Check, Status
from .request import REPEATABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from requests_bearer_env.auth import KeyAuth
    from requests_bearer_env.credential import Credential
    from requests_bearer_env.errors import Wording

    from .request import Answer


class Meaning(NamedTuple):
    """What an answer means.

    Attributes:
        status: The status of the check.
        text: What the answer says about the key.
        remedy: What to do.
        maybe_lost: Whether the key may have been lost on the way, so that the report names the program that answered.
    """

    status: Status
    text: str
    remedy: str = ""
    maybe_lost: bool = False


#: The common methods, which are looked for in ``Allow`` (RFC 9110 section 10.2.1). Another method that the
#: user gives may be a misspelling of one of these.
_METHODS = re.compile(r"\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\b")

#: Methods that may change something, so they are sent only once, with the key.
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_CHECK_KEY = "check that it is the key for this server, still valid and stored whole"
_DROPPED = (
    "see whether a proxy in front of the server drops the Authorization header, "
    "by checking the server behind the proxy directly"
)
_COMPARE = "to compare with an answer without the key, check a URL that takes GET, such as /v1/models"
_ADMIN_KEY = "if this is text-generation-webui, use its admin key (--admin-key), which this path takes"

# For each status, what it means: "different" if the answers differ, so the server reads the key; "same" if they do
# not; "alone" if there is only one answer. Without an "alone", "same" is used.

_REFUSED = {
    "different": Meaning("fail", "the server refuses this key", _CHECK_KEY),
    "same": Meaning("fail", "the server does not accept the key, or never sees it", f"{_CHECK_KEY}; {_DROPPED}", True),
}
_FORBIDDEN = {
    "different": Meaning(
        "fail",
        "the server reads the key, and refuses the key or what it is used for",
        "check that it is the key for this server, and that it has the permission that this URL needs",
    ),
    "same": Meaning(
        "fail",
        "the server refuses the request, because of the key or for another reason",
        f"{_CHECK_KEY}; see whether the server also checks something else, such as the client's address; {_DROPPED}",
        True,
    ),
}
_CORRECT_PATH = (
    "correct the path, which is /v1/models on OpenAI-compatible servers; "
    "if it is correct, check the key and its permissions"
)
_NOT_FOUND = {
    "different": Meaning(
        "fail",
        "the server reads the key; the path does not exist, or the server hides it from this key",
        _CORRECT_PATH,
    ),
    "same": Meaning("fail", "the path does not exist, or the server hides it unless the key is right", _CORRECT_PATH),
}
_CORRECT_REQUEST = (
    "see the server's reason and its documentation; this request has no body, which some URLs need: "
    "to try the key alone, check a URL that needs none"
)
_CLIENT_ERROR = {
    "different": Meaning("fail", "the server reads the key, and refuses the key or the request", _CORRECT_REQUEST),
    "same": Meaning(
        "fail", "the key makes no difference, so this URL does not tell whether the key is right", _CORRECT_REQUEST
    ),
    "alone": Meaning("fail", "the server refuses the key or the request", _CORRECT_REQUEST),
}
_TRY_AGAIN = "try again later; if the error persists, look at the server's log"
_SERVER_ERROR = {
    "different": Meaning("fail", "the server reads the key, but then fails", _TRY_AGAIN),
    "same": Meaning("fail", "the server fails, which says nothing about the key", _TRY_AGAIN),
}
_GATEWAY_TRY_AGAIN = (
    "try again later; if the error persists, see whether the server runs, and look at its log and the proxy's"
)
_GATEWAY = {
    "different": Meaning(
        "fail",
        "the key is read, and the server fails or the proxy in front of it cannot reach it",
        _GATEWAY_TRY_AGAIN,
    ),
    "same": Meaning(
        "fail",
        "the server fails, or the proxy in front of it cannot reach it, which says nothing about the key",
        _GATEWAY_TRY_AGAIN,
    ),
}
_WAIT = "wait and send fewer requests; check the key's quota"
_USED_UP = "the rate limit is exceeded or the quota is used up"
_TOO_MANY = {
    "different": Meaning("fail", f"the server reads the key, and {_USED_UP}", _WAIT),
    "same": Meaning("fail", f"{_USED_UP}, which does not tell whether the key is right", _WAIT),
}
_SUCCESS = {
    "different": Meaning("ok", "the server accepts the key"),
    "same": Meaning(
        "warn",
        "the key makes no difference, so this URL does not tell whether the key is right",
        "check a URL for which the server asks for a key; if there is none, the server may run without one",
    ),
    "alone": Meaning("ok", "the server accepts the key, or does not read it"),
}
_FIXED = {
    407: Meaning(
        "fail",
        "something asks for a proxy's credentials, so this does not tell whether the key is right",
        "if the network needs a proxy, set HTTPS_PROXY to its URL with the credentials; if not, ask the server's owner",
    ),
}
_WEB_PAGE = Meaning(
    "warn",
    "the answer is a web page, perhaps a login page, instead of an API's answer",
    "correct the URL, because APIs often have a path of their own, such as /v1/models or /api/; "
    "or see whether a proxy shows a login or maintenance page",
)
_ERROR_INSIDE = Meaning(
    "warn", "the answer reports an error although its status is 2xx", "see the server's reason: it may be about the key"
)
_NO_BODY = Meaning(
    "fail",
    "the server wants a body, which is not sent here, so this does not tell whether the key is right",
    "check a URL of the same server that takes GET, such as /v1/models",
)
_UNKNOWN_HOST = Meaning(
    "fail",
    "the server refuses the host name, whatever the key is",
    "use a host name that the server knows, or have the proxy in front of it send a known name in the Host header",
)
_STRANGE = Meaning("fail", "APIs do not answer with this status", "check that the URL is that of the API")


def explain_answers(
    answer: Answer,
    without: Answer | None,
    method: str,
    auth: KeyAuth,
    refresh_on: Collection[int],
    keys: Sequence[Credential],
    wording: Wording,
) -> tuple[Check, str]:
    """Explain the answers to a request with the key and without it.

    Args:
        answer: The answer to the request with the key.
        without: The answer to the request without the key; None if there is none.
        method: The method of both requests.
        auth: The auth that the request with the key was made with.
        refresh_on: The statuses with which servers refuse a key.
        keys: The keys that must not be shown, in addition to those that were sent.
        wording: The names of the options in the remedy.

    Returns:
        The check ``request``, and what the answer means for the key, which is the text of the verdict.
    """
    keys = [*keys, *answer.sent]
    reason = explain_reason(answer, keys)
    relation = _relate(answer, reason, without, keys)
    meaning = _explain(answer, relation, method, auth, refresh_on, keys, wording)
    if meaning.maybe_lost and method in _CHANGING:
        meaning = meaning._replace(remedy=f"{meaning.remedy}; {_COMPARE}")
    if names_other_scheme(answer):
        meaning = meaning._replace(
            remedy=f"{meaning.remedy}; if the API takes that scheme alone, do not send a bearer key"
        )
    if meaning.maybe_lost and takes_admin_key(answer):
        meaning = meaning._replace(remedy=f"{_ADMIN_KEY}; {meaning.remedy}")
    answered = f"{method} answered {_describe(answer, without, relation, method)}"
    detail = f"{answered}: {_explain_rotation(answer)}{meaning.text}"
    if answer.refused_status is not None and meaning.status == "ok":
        remedy = "check again: if this happens again, the key is cached for longer than it is valid, so lower ttl="
        meaning = meaning._replace(status="warn", remedy=remedy)
    program = explain_server(answer, keys) if meaning.maybe_lost else ""
    detail = "; ".join(filter(None, (detail, reason, explain_wait(answer, keys), program)))
    return Check("request", meaning.status, detail, meaning.remedy), meaning.text


def _explain_rotation(answer: Answer) -> str:
    """Say that the first key was refused and a newer one sent; return "" if only one key was sent."""
    if answer.refused_status is None:
        return ""
    return f"after a {answer.refused_status} the key was read again and had changed; "


def _describe(answer: Answer, without: Answer | None, relation: str, method: str) -> str:
    """Describe the statuses of both answers, and whether their reasons differ; or say why there is only one."""
    name = status_name(answer)
    if method in _CHANGING:
        return f"{name} (sent with the key only, because {method} may change something)"
    if without is None:
        return name
    other = status_name(without)
    if name != other:
        return f"{name} with the key and {other} without it"
    return f"{name} with and without the key" + (", for different reasons" if relation == "different" else "")


def _relate(answer: Answer, reason: str, without: Answer | None, keys: Sequence[Credential]) -> str:
    """Compare the answers with and without the key: return "different", "same" or, if there is only one, "alone"."""
    if without is None:
        return "alone"
    if _is_success(answer) and _is_success(without):
        return "same"
    if status_name(answer) == status_name(without) and reason == explain_reason(without, keys):
        return "same"
    return "different"


def _is_success(answer: Answer) -> bool:
    """Return whether the status is 2xx, and the body is neither a web page nor an error."""
    return answer.status // 100 == 2 and not is_web_page(answer) and not reports_error(answer)


def _explain(
    answer: Answer,
    relation: str,
    method: str,
    auth: KeyAuth,
    refresh_on: Collection[int],
    keys: Sequence[Credential],
    wording: Wording,
) -> Meaning:
    """Return what an answer means; the arguments are those of `explain_answers`."""
    code = answer.status
    if answer.target is not None:
        return Meaning(*explain_redirect(answer, auth, keys))
    if code // 100 == 2 and not _is_success(answer):
        return _WEB_PAGE if is_web_page(answer) else _ERROR_INSIDE
    if code == 405:
        return _explain_method(answer, relation, method, wording)
    if code == 501 and not _METHODS.fullmatch(method):
        return Meaning(
            "fail",
            f"the server does not know the method {method}, so this does not tell whether the key is right",
            "check the spelling of the method",
        )
    if code in _FIXED:
        return _FIXED[code]
    if code == 422 and method not in REPEATABLE:  # the request lacked the body that this method needs
        return _NO_BODY
    if code == 400 and refuses_host(answer):
        return _UNKNOWN_HOST
    meanings = _meanings_of(code, refresh_on)
    return _STRANGE if meanings is None else meanings.get(relation) or meanings["same"]


def _meanings_of(code: int, refresh_on: Collection[int]) -> dict[str, Meaning] | None:
    """Return what a status means, by how the answers relate; None if APIs do not answer with it."""
    statuses = {401: _REFUSED, 403: _FORBIDDEN, 404: _NOT_FOUND, 429: _TOO_MANY}
    if code in refresh_on and code not in statuses:
        return _REFUSED
    statuses.update({502: _GATEWAY, 504: _GATEWAY})
    return statuses.get(code) or {2: _SUCCESS, 4: _CLIENT_ERROR, 5: _SERVER_ERROR}.get(code // 100)


def _explain_method(answer: Answer, relation: str, method: str, wording: Wording) -> Meaning:
    """Return what a 405 means, which servers send before or after they read the key."""
    allowed = list(dict.fromkeys(_METHODS.findall(answer.headers.get("Allow", "").upper())))
    text = f"the URL allows {' and '.join(allowed)}, not {method}" if allowed else f"the URL does not allow {method}"
    text += "; the server reads the key" if relation == "different" else "; the server may not have read the key"
    option = "--method {}" if wording is COMMAND_LINE else "method='{}'"
    # Do not suggest HEAD or OPTIONS, whose answer may prove nothing about the key, nor PUT, PATCH or DELETE, which
    # may change or delete data.
    suggested = next((name for name in ("GET", "POST") if name in allowed), None)
    if suggested:
        remedy = f"try {option.format(suggested)}"
    elif allowed:
        remedy = "check a URL of the same server that takes GET, such as /v1/models"
    else:
        remedy = f"try another method, such as {option.format('POST')}"
    if urlsplit(answer.url).path in {"", "/"}:
        remedy = f"add the API's path to the URL, such as /v1/models{f', or {remedy}' if suggested else ''}"
    if not _METHODS.fullmatch(method):
        remedy = f"check the spelling of {method}, which the server may not know; or {remedy}"
    return Meaning("fail", text, remedy)
