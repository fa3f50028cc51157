"""What the answers with and without the key say about the key: no more than their difference proves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from requests_bearer_env.errors import COMMAND_LINE

from .reason import (
    explain_origin,
    explain_reason,
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

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from requests_bearer_env.auth import KeyAuth
    from requests_bearer_env.credential import Credential
    from requests_bearer_env.errors import Wording

    from .request import Answer


class Meaning(NamedTuple):
    """What an answer means.

    Attributes:
        status: The status of the line.
        text: What the answer says about the key.
        remedy: What to do.
        unseen: Whether the key may have been lost on the way, so that it matters who has answered.
    """

    status: Status
    text: str
    remedy: str = ""
    unseen: bool = False


#: What ``Allow`` may name (RFC 9110 section 10.2.1); another method may be one of these, misspelled.
_METHODS = re.compile(r"\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\b")

#: Methods that are sent once, with the key, because they may change something.
_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_CHECK_KEY = "check that it is the key for this server, still valid and stored whole"
_DROPPED = (
    "see whether a proxy in front of the server drops the Authorization header, "
    "by running check directly against the server behind the proxy"
)
_COMPARE = "for the comparison without the key, check a URL that takes GET, such as /v1/models"
_ADMIN_KEY = "if this is text-generation-webui, use its admin key (--admin-key), which this path takes"

#: What each status means if the server reads the key ("other"), and if the answers are the same or there is
#: only one of them ("same"), unless the latter is another matter ("alone").
_REFUSED = {
    "other": Meaning("fail", "the server refuses this key", _CHECK_KEY),
    "same": Meaning("fail", "the server does not accept the key, or never sees it", f"{_CHECK_KEY}; {_DROPPED}", True),
}
_FORBIDDEN = {
    "other": Meaning(
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
    "correct the path, which is /v1/models on OpenAI-compatible servers; if it is correct, check the key and its rights"
)
_NOT_FOUND = {
    "other": Meaning(
        "fail",
        "the server reads the key; the path does not exist, or the server hides it from this key",
        _CORRECT_PATH,
    ),
    "same": Meaning("fail", "the path does not exist, or the server hides it unless the key is right", _CORRECT_PATH),
}
_CORRECT_REQUEST = (
    "see the server's reason and its documentation; this request has no body, which some URLs need: "
    "to try the key alone, check a URL that does not"
)
_CLIENT_ERROR = {
    "other": Meaning("fail", "the server reads the key, and refuses the key or the request", _CORRECT_REQUEST),
    "same": Meaning(
        "fail", "the key makes no difference, so this URL does not tell whether the key is right", _CORRECT_REQUEST
    ),
    "alone": Meaning("fail", "the server refuses the key or the request", _CORRECT_REQUEST),
}
_TRY_AGAIN = "try again later; if the error persists, look at the server's log"
_SERVER_ERROR = {
    "other": Meaning("fail", "the server reads the key, but then fails", _TRY_AGAIN),
    "same": Meaning("fail", "the server fails, which says nothing about the key", _TRY_AGAIN),
}
_GATEWAY_TRY_AGAIN = (
    "try again later; if the error persists, see whether the server runs, and look at its log and the proxy's"
)
_GATEWAY = {
    "other": Meaning(
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
_TOO_MANY = {
    "other": Meaning("fail", "the server reads the key, and the rate limit or the quota is used up", _WAIT),
    "same": Meaning(
        "fail", "the rate limit or the quota is used up, which does not tell whether the key is right", _WAIT
    ),
}
_SUCCESS = {
    "other": Meaning("ok", "the server accepts the key"),
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
        "a proxy asks for credentials of its own, so the server was not reached",
        "put them into the proxy's URL, in the variable HTTPS_PROXY",
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
    """Explain the answer to a request.

    Args:
        answer: The answer to the request with the key.
        without: The answer to the request without it; None if there is none.
        method: The method of both.
        auth: What the request with the key was made with.
        refresh_on: The statuses that refuse a key.
        keys: What must not be shown, as well as the keys that were sent.
        wording: The names of options.

    Returns:
        The line of the report, and for its last line what the answer means for the key.
    """
    keys = [*keys, *answer.sent]
    reason = explain_reason(answer, keys)
    relation = _relate(answer, reason, without, keys)
    meaning = _explain(answer, relation, method, auth, refresh_on, keys, wording)
    if meaning.unseen and method in _CHANGING:
        meaning = meaning._replace(remedy=f"{meaning.remedy}; {_COMPARE}")
    if names_other_scheme(answer):
        meaning = meaning._replace(
            remedy=f"{meaning.remedy}; if the API takes that scheme alone, do not send a bearer key"
        )
    if meaning.unseen and takes_admin_key(answer):
        meaning = meaning._replace(remedy=f"{_ADMIN_KEY}; {meaning.remedy}")
    answered = f"{method} answered {_describe(answer, without, relation, method)}"
    detail = f"{answered}: {_explain_rotation(answer)}{meaning.text}"
    if answer.refused is not None and meaning.status == "ok":
        remedy = "check again: if this happens again, the key is cached for longer than it is valid, so lower ttl="
        meaning = meaning._replace(status="warn", remedy=remedy)
    who = explain_origin(answer, keys) if meaning.unseen else ""
    detail = "; ".join(filter(None, (detail, reason, explain_wait(answer, keys), who)))
    return Check("request", meaning.status, detail, meaning.remedy), meaning.text


def _explain_rotation(answer: Answer) -> str:
    if answer.refused is None:
        return ""
    return f"after a {answer.refused} the key was read again and had changed; "


def _describe(answer: Answer, without: Answer | None, relation: str, method: str) -> str:
    """The statuses of both answers, and whether their reasons differ; or why there is only one."""
    name = status_name(answer)
    if method in _CHANGING:
        return f"{name} (sent with the key only, because {method} may change something)"
    if without is None:
        return name
    other = status_name(without)
    if name != other:
        return f"{name} with the key and {other} without it"
    return f"{name} with and without the key" + (", for different reasons" if relation == "other" else "")


def _relate(answer: Answer, reason: str, without: Answer | None, keys: Sequence[Credential]) -> str:
    """Say how the answers with and without the key differ: "other", "same" or, without a second one, "alone"."""
    if without is None:
        return "alone"
    if _is_success(answer) and _is_success(without):
        return "same"
    if status_name(answer) == status_name(without) and reason == explain_reason(without, keys):
        return "same"
    return "other"


def _is_success(answer: Answer) -> bool:
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
    """Find what an answer means."""
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
    if code == 422 and method not in {"GET", "HEAD"}:  # sent once, and without a body
        return _NO_BODY
    if code == 400 and refuses_host(answer):
        return _UNKNOWN_HOST
    table = _table(code, refresh_on)
    return _STRANGE if table is None else table.get(relation) or table["same"]


def _table(code: int, refresh_on: Collection[int]) -> dict[str, Meaning] | None:
    """What a status means; None if no API answers with it."""
    statuses = {401: _REFUSED, 403: _FORBIDDEN, 404: _NOT_FOUND, 429: _TOO_MANY}
    if code in refresh_on and code not in statuses:
        return _REFUSED
    statuses.update({502: _GATEWAY, 504: _GATEWAY})
    return statuses.get(code) or {2: _SUCCESS, 4: _CLIENT_ERROR, 5: _SERVER_ERROR}.get(code // 100)


def _explain_method(answer: Answer, relation: str, method: str, wording: Wording) -> Meaning:
    """Explain a 405: servers send it before or after they look at the key."""
    allowed = list(dict.fromkeys(_METHODS.findall(answer.headers.get("Allow", "").upper())))
    text = f"the URL allows {' and '.join(allowed)}, not {method}" if allowed else f"the URL does not allow {method}"
    text += "; the server reads the key" if relation == "other" else "; the server may not have read the key"
    option = "--method {}" if wording is COMMAND_LINE else "method='{}'"
    # HEAD and OPTIONS prove nothing about the key, and PUT, PATCH and DELETE may change more than one wants.
    first = next((name for name in ("GET", "POST") if name in allowed), None)
    if first:
        remedy = f"try {option.format(first)}"
    elif allowed:
        remedy = "check a URL of the same server that takes GET, such as /v1/models"
    else:
        remedy = f"try another method, such as {option.format('POST')}"
    if urlsplit(answer.url).path in {"", "/"}:
        remedy = f"add the API's path to the URL, such as /v1/models{f', or {remedy}' if first else ''}"
    if not _METHODS.fullmatch(method):
        remedy = f"check the spelling of {method}, which the server may not know; or {remedy}"
    return Meaning("fail", text, remedy)
