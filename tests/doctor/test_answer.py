"""The line about the answers with and without the key, whole; answers are made by hand, without a server."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import pytest
from requests.auth import HTTPBasicAuth

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.auth import KeyAuth
from requests_bearer_env.credential import Credential
from requests_bearer_env.doctor import Check
from requests_bearer_env.doctor.answer import explain_answers
from requests_bearer_env.doctor.reason import explain_reason
from requests_bearer_env.doctor.request import Answer
from requests_bearer_env.errors import COMMAND_LINE, PYTHON, Wording
from tests.helpers import KEY, OTHER_KEY, assert_hidden, letters_and_digits

CREDENTIAL = Credential(f"Bearer {KEY}")

HTML = b"<!DOCTYPE html><title>Sign in</title>"

CHECK_KEY = "check that it is the key for this server, still valid and stored whole"
DROPPED = (
    "see whether a proxy in front of the server drops the Authorization header, "
    "by checking the server behind the proxy directly"
)
COMPARE = "to compare with an answer without the key, check a URL that takes GET, such as /v1/models"
CORRECT_REQUEST = (
    "see the server's reason and its documentation; this request has no body, which some URLs need: "
    "to try the key alone, check a URL that needs none"
)
CORRECT_PATH = (
    "correct the path, which is /v1/models on OpenAI-compatible servers; "
    "if it is correct, check the key and its permissions"
)
WAIT = "wait and send fewer requests; check the key's quota"
GATEWAY = "try again later; if the error persists, see whether the server runs, and look at its log and the proxy's"
TRY_AGAIN = "try again later; if the error persists, look at the server's log"
ANOTHER_URL = "check a URL for which the server asks for a key; if there is none, the server may run without one"
NO_DIFFERENCE = "the key makes no difference, so this URL does not tell whether the key is right"


def answer(status: int, body: object = b"", url: str = "https://tgw.local/v1/models", **options: Any) -> Answer:
    """Make an answer; a body that is not bytes becomes JSON, and ``WWW_Authenticate=`` is a header."""
    fields = {name: options.pop(name) for name in ("target", "refused_status", "sent") if name in options}
    headers = {name.replace("_", "-"): value for name, value in options.items()}
    return Answer(status, url, headers, body if isinstance(body, bytes) else json.dumps(body).encode(), **fields)


def explained(
    given: Answer,
    without: Answer | None = None,
    *,
    method: str = "GET",
    auth: KeyAuth | None = None,
    refresh_on: tuple[int, ...] = (401,),
    wording: Wording = COMMAND_LINE,
) -> Check:
    """Return the line about an answer, a part of which the report's last line repeats."""
    auth = auth or BearerEnvAuth("TGW_API_KEY")
    check, meaning = explain_answers(given, without, method, auth, refresh_on, [CREDENTIAL], wording)
    assert meaning in check.detail
    assert bool(check.remedy) == (check.status != "ok")
    return check


UNAUTHORIZED = answer(401, {"detail": "Unauthorized"})
DATASETTE = answer(403, {"ok": False, "error": "Permission denied", "status": 403, "title": "Forbidden"})
LITELLM = answer(400, {"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}})
SYNAPSE = answer(401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown token"})
GOOGLE = answer(400, {"error": {"message": "API key not valid."}})


@pytest.mark.parametrize(
    ("given", "without", "status", "line", "remedy"),
    [
        (answer(200, [1]), UNAUTHORIZED, "ok",
         "200 OK with the key and 401 Unauthorized without it: the server accepts the key", ""),
        (answer(200), answer(500, {"error": "x"}), "ok",
         "200 OK with the key and 500 Internal Server Error without it: the server accepts the key", ""),
        (answer(200), answer(200), "warn", f"200 OK with and without the key: {NO_DIFFERENCE}", ANOTHER_URL),
        (answer(204), None, "ok", "204 No Content: the server accepts the key, or does not read it", ""),
        (UNAUTHORIZED, UNAUTHORIZED, "fail",
         ("401 Unauthorized with and without the key: the server does not accept the key, or never sees it; "
          'it says "Unauthorized"'),
         f"{CHECK_KEY}; {DROPPED}"),
        (SYNAPSE, answer(401, {"errcode": "M_MISSING_TOKEN", "error": "Missing access token"}), "fail",
         ("401 Unauthorized with and without the key, for different reasons: the server refuses this key; "
          'it says "Unknown token"'),
         CHECK_KEY),
        (answer(401, {"message": "Bad credentials"}), answer(404, {"message": "Not Found"}), "fail",
         ("401 Unauthorized with the key and 404 Not Found without it: the server refuses this key; "
          'it says "Bad credentials"'),
         CHECK_KEY),
        (answer(401), None, "fail", "401 Unauthorized: the server does not accept the key, or never sees it",
         f"{CHECK_KEY}; {DROPPED}"),
        (DATASETTE, DATASETTE, "fail",
         ("403 Forbidden with and without the key: the server refuses the request, because of the key "
          'or for another reason; it says "Permission denied"'),
         f"{CHECK_KEY}; see whether the server also checks something else, such as the client's address; {DROPPED}"),
        (answer(403), answer(401), "fail",
         ("403 Forbidden with the key and 401 Unauthorized without it: the server reads the key, "
          "and refuses the key or what it is used for"),
         "check that it is the key for this server, and that it has the permission that this URL needs"),
        (answer(403), None, "fail",
         "403 Forbidden: the server refuses the request, because of the key or for another reason",
         f"{CHECK_KEY}; see whether the server also checks something else, such as the client's address; {DROPPED}"),
        (answer(404, {"detail": "Not Found"}), answer(404, {"detail": "Not Found"}), "fail",
         ("404 Not Found with and without the key: the path does not exist, or the server hides it unless the "
          'key is right; it says "Not Found"'),
         CORRECT_PATH),
        (answer(404), UNAUTHORIZED, "fail",
         ("404 Not Found with the key and 401 Unauthorized without it: the server reads the key; the path does "
          "not exist, or the server hides it from this key"),
         CORRECT_PATH),
        (answer(404), None, "fail",
         "404 Not Found: the path does not exist, or the server hides it unless the key is right", CORRECT_PATH),
        (answer(400, {"detail": "Invalid host header"}), answer(400, {"detail": "Invalid host header"}), "fail",
         ("400 Bad Request with and without the key: the server refuses the host name, whatever the key is; "
          'it says "Invalid host header"'),
         ("use a host name that the server knows, or have the proxy in front of it send a known name in the "
          "Host header")),
        (answer(400, {"detail": "No such model"}), answer(400, {"detail": "No such model"}), "fail",
         f'400 Bad Request with and without the key: {NO_DIFFERENCE}; it says "No such model"', CORRECT_REQUEST),
        (GOOGLE, answer(403, {"error": {"message": "The request is missing a valid API key."}}), "fail",
         ("400 Bad Request with the key and 403 Forbidden without it: the server reads the key, and refuses the "
          'key or the request; it says "API key not valid."'),
         CORRECT_REQUEST),
        (GOOGLE, None, "fail",
         '400 Bad Request: the server refuses the key or the request; it says "API key not valid."', CORRECT_REQUEST),
        (LITELLM, answer(500), "fail",
         ("400 Bad Request with the key and 500 Internal Server Error without it: the server reads the key, and "
          'refuses the key or the request; it says "No connected db."'),
         CORRECT_REQUEST),
        (answer(422, {"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required"}]}), None, "fail",
         f'422 {HTTPStatus(422).phrase}: the server refuses the key or the request; it says "Field required"',
         CORRECT_REQUEST),
        (answer(407), answer(407), "fail",
         ("407 Proxy Authentication Required with and without the key: something asks for a proxy's credentials, so "
          "this does not tell whether the key is right"),
         ("if the network needs a proxy, set HTTPS_PROXY to its URL with the credentials; "
          "if not, ask the server's owner")),
        (answer(429), answer(401), "fail",
         ("429 Too Many Requests with the key and 401 Unauthorized without it: the server reads the key, "
          "and the rate limit is exceeded or the quota is used up"),
         WAIT),
        (answer(429, Retry_After="30"), answer(429), "fail",
         ("429 Too Many Requests with and without the key: the rate limit is exceeded or the quota is used up, which "
          'does not tell whether the key is right; its Retry-After is "30"'),
         WAIT),
        (answer(429, {"error": "slow"}, Retry_After=f"\x1b[31m{KEY}"), None, "fail",
         ("429 Too Many Requests: the rate limit is exceeded or the quota is used up, which does not tell whether the "
          'key is right; it says "slow"; its Retry-After is "?[31m***"'),
         WAIT),
        (answer(503, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), None, "fail",
         ("503 Service Unavailable: the server fails, which says nothing about the key; "
          'its Retry-After is "Wed, 21 Oct 2026 07:28:00 GMT"'),
         TRY_AGAIN),
        *((answer(status, Retry_After="5"), answer(status), "fail",
           (f"{status} {HTTPStatus(status).phrase} with and without the key: the server fails, or the proxy in front "
            "of it cannot reach it, which says nothing about the key"),
           GATEWAY) for status in (502, 504)),
        (answer(502), answer(401), "fail",
         ("502 Bad Gateway with the key and 401 Unauthorized without it: the key is read, and the server fails or "
          "the proxy in front of it cannot reach it"),
         GATEWAY),
        (answer(503), answer(503), "fail",
         "503 Service Unavailable with and without the key: the server fails, which says nothing about the key",
         TRY_AGAIN),
        (answer(500), answer(401), "fail",
         ("500 Internal Server Error with the key and 401 Unauthorized without it: the server reads the key, "
          "but then fails"),
         TRY_AGAIN),
        (answer(599), None, "fail", "599: the server fails, which says nothing about the key", TRY_AGAIN),
        (answer(304), None, "fail", "304 Not Modified: APIs do not answer with this status",
         "check that the URL is that of the API"),
        (answer(999), None, "fail", "999: APIs do not answer with this status",
         "check that the URL is that of the API"),
    ],
)  # fmt: skip
def test_two_answers_make_one_line(given: Answer, without: Answer | None, status: str, line: str, remedy: str) -> None:
    """A status alone proves nothing about the key; the difference between the two answers does."""
    assert explained(given, without) == ("request", status, f"GET answered {line}", remedy)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Server": "uvicorn"}, '; in its headers, Server is "uvicorn"'),
        ({"Via": "1.1 proxy.example"}, '; in its headers, Via is "1.1 proxy.example"'),
        (
            {"Server": "nginx/1.24.0", "Via": "1.1 a, 1.1 b"},
            '; in its headers, Server is "nginx/1.24.0" and Via is "1.1 a, 1.1 b"',
        ),
        ({"Server": "\x1b[31mred"}, '; in its headers, Server is "?[31mred"'),
        ({"Server": f"nginx {KEY}"}, '; in its headers, Server is "nginx ***"'),
        ({"Server": "x" * 300}, f'; in its headers, Server is "{"x" * 200}..."'),
        ({"Server": ""}, ""),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("repeated", [True, False])
def test_refusal_shows_server_and_via(status: int, repeated: bool, headers: dict[str, str], words: str) -> None:
    """A server that refuses the key and a proxy that drops it get the same answer; these headers tell them apart."""
    given = answer(status, {"detail": "No"}, **headers)
    detail = explained(given, given if repeated else None).detail
    assert detail.partition('; it says "No"')[2] == words


def test_server_that_read_the_key_is_not_shown() -> None:
    """Different answers with and without the key prove that the key arrived."""
    given = answer(401, {"detail": "Wrong"}, Server="uvicorn")
    assert "Server" not in explained(given, answer(401, {"detail": "Missing"}, Server="uvicorn")).detail
    assert "Server" not in explained(answer(200, Server="uvicorn"), given).detail


ADMIN = "if this is text-generation-webui, use its admin key (--admin-key), which this path takes"


@pytest.mark.parametrize(
    ("path", "body", "remedy"),
    [
        *((f"/v1/internal/{path}", {"detail": "Unauthorized"}, f"{ADMIN}; {CHECK_KEY}; {DROPPED}") for path in (
            "model/list", "model/load", "model/unload", "lora/list", "lora/load", "lora/unload", "model/list/",
        )),
        *((path, {"detail": "Unauthorized"}, f"{CHECK_KEY}; {DROPPED}") for path in (
            "/v1/internal/model/info", "/v1/models", "/x/v1/internal/model/list", "/v1/internal/lora",
        )),
        ("/v1/internal/model/list", {"detail": "Not authenticated"}, f"{CHECK_KEY}; {DROPPED}"),
        ("/v1/internal/model/list", b"", f"{CHECK_KEY}; {DROPPED}"),
    ],
)  # fmt: skip
def test_path_of_the_admin_key_names_it(path: str, body: object, remedy: str) -> None:
    """text-generation-webui answers the same to a wrong key and to the API key in the wrong place."""
    given = answer(401, body, f"https://tgw.local{path}")
    assert explained(given, given).remedy == remedy
    assert explained(given, method="POST").remedy == f"{remedy}; {COMPARE}"


@pytest.mark.parametrize(
    ("status", "line", "remedy"),
    [
        (401, "the server does not accept the key, or never sees it", f"{CHECK_KEY}; {DROPPED}; {COMPARE}"),
        (400, "the server refuses the key or the request", CORRECT_REQUEST),
        (404, "the path does not exist, or the server hides it unless the key is right", CORRECT_PATH),
        (200, "the server accepts the key, or does not read it", ""),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_single_answer_says_why_it_is_single(method: str, status: int, line: str, remedy: str) -> None:
    """Nothing that may change something is sent twice, so a comparison takes another URL."""
    check = explained(answer(status), method=method)
    name = f"{status} {HTTPStatus(status).phrase}"
    assert check.detail == (
        f"{method} answered {name} (sent with the key only, because {method} may change something): {line}"
    )
    assert check.remedy == remedy


def test_safe_method_has_no_note() -> None:
    """OPTIONS changes nothing, so the line has no note that the request was sent with the key only."""
    line = "OPTIONS answered 401 Unauthorized: the server does not accept the key, or never sees it"
    assert explained(answer(401), method="OPTIONS").detail == line


def test_other_scheme_is_part_of_the_remedy() -> None:
    """Django REST framework's Token scheme refuses every bearer key."""
    check = explained(answer(401, WWW_Authenticate="Token"), answer(401, WWW_Authenticate="Token"))
    assert check.detail == (
        "GET answered 401 Unauthorized with and without the key: the server does not accept the key, or never sees it; "
        "its challenge names the scheme token, not Bearer"
    )
    assert check.remedy == f"{CHECK_KEY}; {DROPPED}; if the API takes that scheme alone, do not send a bearer key"


def test_refresh_on_names_a_refusal() -> None:
    """A status in ``refresh_on=`` is explained as a refusal of the key."""
    check = explained(LITELLM, answer(500), refresh_on=(400,))
    assert check.detail == (
        "GET answered 400 Bad Request with the key and 500 Internal Server Error without it: "
        'the server refuses this key; it says "No connected db."'
    )
    assert check.remedy == CHECK_KEY
    assert explained(answer(403), answer(401), refresh_on=(403,)).detail == (
        "GET answered 403 Forbidden with the key and 401 Unauthorized without it: "
        "the server reads the key, and refuses the key or what it is used for"
    )
    assert explained(UNAUTHORIZED, answer(500), refresh_on=(403,)) == explained(UNAUTHORIZED, answer(500))


# A 2xx that is no success


WEB_PAGE = (
    "the answer is a web page, perhaps a login page, instead of an API's answer",
    (
        "correct the URL, because APIs often have a path of their own, such as /v1/models or /api/; "
        "or see whether a proxy shows a login or maintenance page"
    ),
)
ERROR_INSIDE = (
    "the answer reports an error although its status is 2xx",
    "see the server's reason: it may be about the key",
)


@pytest.mark.parametrize(
    "page",
    [
        answer(200, HTML),
        answer(200, b"\r\n <html lang='en'>"),
        answer(200, b"<!-- a page --> <HEAD>"),
        answer(200, b"<body>"),
        answer(200, b"anything", Content_Type="text/html; charset=utf-8"),
        answer(200, b"", Content_Type="Application/XHTML+xml"),
    ],
)
def test_web_page_warns(page: Answer) -> None:
    """A login page often has status 200."""
    line = f"GET answered 200 OK (a web page) with and without the key: {WEB_PAGE[0]}"
    assert explained(page, page) == ("request", "warn", line, WEB_PAGE[1])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"ok": False, "error": "invalid_auth"}, '; it says "invalid_auth"'),
        ({"success": False, "message": "no"}, '; it says "no"'),
        ({"ok": False}, ""),
        ({"error": {"message": "no"}}, '; it says "no"'),
        ({"errors": [{"message": "no"}]}, '; it says "no"'),
        ({"error": 1}, ""),
        (b'{"ok": false, "text": "two\nlines"}', ""),
    ],
)
def test_json_with_an_error_warns(body: object, reason: str) -> None:
    """Some APIs answer 200 and report in the body that the key is wrong."""
    line = f"GET answered 200 OK (an error): {ERROR_INSIDE[0]}{reason}"
    assert explained(answer(200, body)) == ("request", "warn", line, ERROR_INSIDE[1])
    assert explained(answer(201, body)).detail == line.replace("200 OK", "201 Created")


@pytest.mark.parametrize(
    "body",
    [
        {"error": None, "data": []}, {"errors": []}, {"ok": True}, {"success": True}, [{"error": "x"}], "error",
        b'{"error": ', b"<p>html", {"detail": "x", "message": "x"},
    ],
)  # fmt: skip
def test_json_without_an_error_is_ok(body: object) -> None:
    """An empty error field is no error, and the text of a success is not shown."""
    line = "GET answered 200 OK with the key and 401 Unauthorized without it: the server accepts the key"
    assert explained(answer(200, body), UNAUTHORIZED) == ("request", "ok", line, "")


def test_error_without_the_key_proves_the_key() -> None:
    """Both answers have status 200, but only one of them succeeds."""
    detail = explained(answer(200, {"ok": True}), answer(200, {"ok": False, "error": "not_authed"})).detail
    assert detail == "GET answered 200 OK with the key and 200 OK (an error) without it: the server accepts the key"


# 405


TAKES_GET = "check a URL of the same server that takes GET, such as /v1/models"
MAYBE_NOT_READ = "; the server may not have read the key"


@pytest.mark.parametrize(
    ("allow", "without", "line", "remedy"),
    [
        ("POST", 405, f"allows POST, not GET{MAYBE_NOT_READ}", "try --method POST"),
        ("POST", 401, "allows POST, not GET; the server reads the key", "try --method POST"),
        (
            "DELETE, options, POST",
            405,
            f"allows DELETE and OPTIONS and POST, not GET{MAYBE_NOT_READ}",
            "try --method POST",
        ),
        ("PUT", 405, f"allows PUT, not GET{MAYBE_NOT_READ}", TAKES_GET),
        ("PUT, DELETE", 405, f"allows PUT and DELETE, not GET{MAYBE_NOT_READ}", TAKES_GET),
        ("OPTIONS, HEAD", 405, f"allows OPTIONS and HEAD, not GET{MAYBE_NOT_READ}", TAKES_GET),
        ("", 405, f"does not allow GET{MAYBE_NOT_READ}", "try another method, such as --method POST"),
        ("\x1b[31mRED", 405, f"does not allow GET{MAYBE_NOT_READ}", "try another method, such as --method POST"),
    ],
)
def test_405_names_the_methods(allow: str, without: int, line: str, remedy: str) -> None:
    """Of those, GET and POST are suggested: the others prove nothing, or may change something."""
    check = explained(answer(405, Allow=allow), answer(without))
    assert check.detail.partition(": ")[2] == f"the URL {line}"
    assert (check.status, check.remedy) == ("fail", remedy)


def test_405_without_allow_suggests_post() -> None:
    """For `diagnose`, the remedy is an argument in Python."""
    check = explained(answer(405), wording=PYTHON)
    assert check.remedy == "try another method, such as method='POST'"
    assert explained(answer(405, Allow="POST"), wording=PYTHON).remedy == "try method='POST'"


@pytest.mark.parametrize("path", ["", "/", "?page=1"])
@pytest.mark.parametrize(("allow", "more"), [("OPTIONS", ""), ("", ""), ("POST", ", or try --method POST")])
def test_405_without_a_path_asks_for_one(path: str, allow: str, more: str) -> None:
    """text-generation-webui answers so to a URL that has only a host."""
    check = explained(answer(405, url=f"http://127.0.0.1:5000{path}", Allow=allow))
    assert check.remedy == f"add the API's path to the URL, such as /v1/models{more}"


MISSPELLED = "check the spelling of GTE, which the server may not know; or try "


@pytest.mark.parametrize(
    ("given", "line", "remedy"),
    [
        (answer(405, Allow="GET"), f"the URL allows GET, not GTE{MAYBE_NOT_READ}", f"{MISSPELLED}--method GET"),
        (
            answer(405),
            f"the URL does not allow GTE{MAYBE_NOT_READ}",
            f"{MISSPELLED}another method, such as --method POST",
        ),
        (
            answer(501),
            "the server does not know the method GTE, so this does not tell whether the key is right",
            "check the spelling of the method",
        ),
    ],
)
def test_misspelled_method_is_named(given: Answer, line: str, remedy: str) -> None:
    """The method is at fault, and not the URL or the key."""
    check = explained(given, method="GTE")
    assert check.detail == f"GTE answered {given.status} {HTTPStatus(given.status).phrase}: {line}"
    assert (check.status, check.remedy) == ("fail", remedy)


def test_501_to_a_known_method_is_a_failure() -> None:
    """It is the server that lacks something."""
    line = "OPTIONS answered 501 Not Implemented: the server fails, which says nothing about the key"
    assert explained(answer(501), method="OPTIONS") == ("request", "fail", line, TRY_AGAIN)


# The server's reason


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        ('Bearer error="invalid_token"', "its reason is invalid_token, so the key is expired, revoked or wrong"),
        ("Bearer error=invalid_token", "its reason is invalid_token, so the key is expired, revoked or wrong"),
        (
            'bearer realm="a, b", ERROR = "invalid_request"',
            "its reason is invalid_request, so the request is malformed",
        ),
        ('Basic realm="x", Bearer error="invalid_token"',
         "its reason is invalid_token, so the key is expired, revoked or wrong"),
        ('Bearer error="teapot"', 'its reason is "teapot"'),
        ('Bearer error_description="It \\"has\\" expired"', 'it says "It "has" expired"'),
        ('Bearer scope="read write"', 'it asks for the scope "read write"'),
        ('Bearer error="invalid_token", error_description="Late"',
         'its reason is invalid_token, so the key is expired, revoked or wrong; it says "Late"'),
        ('Bearer error="invalid_token", error="other"',
         "its reason is invalid_token, so the key is expired, revoked or wrong"),
        ('Basic realm="x"', "its challenge names the scheme basic, not Bearer"),
        ("Negotiate", "its challenge names the scheme negotiate, not Bearer"),
        (", ".join(f'S{number} realm="x"' for number in range(10)), "its challenge names the scheme s0, not Bearer"),
        (", ".join(["Digest"] * 9 + ["Bearer"]), ""),
        ("", ""), ("Bearer", ""), ("Bearer abcdef==", ""), ('Basic error="invalid_token", Bearer', ""), ('="', ""),
        ('"', ""), (",,,", ""), ("\\", ""),
    ],
)  # fmt: skip
def test_challenge_is_the_reason(challenge: str, words: str) -> None:
    """A challenge for another scheme does not prove that Bearer is refused, so only its name is shown."""
    assert explain_reason(answer(401, WWW_Authenticate=challenge), []) == words


def test_challenge_of_a_403_names_the_scope() -> None:
    """A 403 does not ask for credentials, so another scheme in it is not shown."""
    challenge = 'Bearer error="insufficient_scope", scope="models:write"'
    assert explain_reason(answer(403, WWW_Authenticate=challenge), []) == (
        "its reason is insufficient_scope, so the key lacks a permission that is needed here; "
        'it asks for the scope "models:write"'
    )
    assert explain_reason(answer(403, WWW_Authenticate="Basic"), []) == ""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": "Unauthorized"}, "Unauthorized"),
        ({"detail": {"message": "Login required"}}, "Login required"),
        ({"detail": [{"loc": ["body"], "msg": "Field required"}]}, "Field required"),
        ({"message": "Forbidden", "reason": None}, "Forbidden"),
        ({"message": None, "reason": "no"}, "no"),
        ({"error": "invalid_token", "error_description": "The key was revoked"}, "The key was revoked"),
        ({"error": {"code": "401", "message": "Access denied"}}, "Access denied"),
        ({"errors": [{"detail": "no"}, {"detail": "other"}]}, "no"),
        ([{"message": "in an array"}], "in an array"),
        ({"error": {"error": {"error": {"error": "deep"}}}}, "deep"),
        ({"detail": "two\nlines\x1b[31m"}, "two lines?[31m"),
        (b'{"detail": "two\nlines"}', "two lines"),  # JSON would have an escape there
        ({"detail": "密钥无效"}, "?"),
        ({"detail": "x" * 300}, "x" * 200 + "..."),
        (b'{"message": "It \\"is\\" cut off", "documentation": "https://', 'It "is" cut off'),
        (b'  [{"a": {"detail": "cut off"}, "b": ', "cut off"),
        (b'{"detail": "two\nlines", "b": ', "two lines"),
    ],
)
def test_body_is_the_reason(body: object, said: str) -> None:
    """More servers give the reason in a JSON body than in a header."""
    assert explain_reason(answer(401, body), []) == f'it says "{said}"'


@pytest.mark.parametrize(
    "body",
    [
        "Unauthorized", b"Unauthorized", 7, None, {}, [], {"detail": ""}, {"detail": 7}, {"message": []}, HTML,
        b"\x00\xff\xfe" * 500, b"[" * 2048, b'{"detail":' * 200, b'{"message": "bad \\x escape', b'{"detail": "\\x", ',
        {"detail": {"detail": {"detail": {"detail": {"detail": "too deep"}}}}},
        b'<p class="x">"detail": "not JSON"',
    ],
)  # fmt: skip
def test_body_without_a_reason_adds_nothing(body: object) -> None:
    """A body of any other kind is not shown."""
    assert explain_reason(answer(401, body), []) == ""


def test_repeated_reason_is_shown_once() -> None:
    """Some servers give the same reason in the header and in the body."""
    challenge = 'Bearer error_description="Expired"'
    given = answer(401, {"detail": "Expired"}, WWW_Authenticate=challenge)
    assert explain_reason(given, []) == 'it says "Expired"'


def test_long_challenge_takes_no_time() -> None:
    """A header of the greatest length that http.client accepts is truncated in less than a second."""
    start = time.process_time()
    challenge = "Bearer " + 'error_description="' * 3400
    assert len(explained(answer(401, WWW_Authenticate=challenge)).detail) < 500
    assert time.process_time() - start < 1


ECHOES = [
    KEY, KEY.upper(), KEY.lower(), quote(KEY, safe=""), quote(quote(KEY, safe=""), safe=""), KEY[:30], KEY[-30:],
    f"Bearer {KEY}", KEY.replace("~", "\x00"), "-".join(KEY), " ".join(KEY[at : at + 4] for at in range(0, 76, 4)),
    OTHER_KEY,
]  # fmt: skip


@pytest.mark.parametrize("echo", ECHOES)
def test_key_that_a_server_repeats_is_hidden(echo: str) -> None:
    """A server may repeat the key of the line ``key``, or one that was sent."""
    challenge = f'Bearer error="{echo}", error_description="{echo}", scope="{echo}"'
    given = answer(401, {"detail": f"{echo} is no key"}, sent=(Credential(f"Bearer {OTHER_KEY}"),))
    for header in (challenge, echo):
        given = given._replace(headers={"WWW-Authenticate": header})
        detail = explained(given, given).detail
        assert_hidden(letters_and_digits(detail))


# The hook


def test_key_that_changed_meanwhile_warns() -> None:
    """The hook has sent a newer key, and the line says that the first one was refused."""
    line = (
        "GET answered 200 OK with the key and 401 Unauthorized without it: after a 401 the key was read again "
        "and had changed; the server accepts the key"
    )
    remedy = "check again: if this happens again, the key is cached for longer than it is valid, so lower ttl="
    assert explained(answer(200, refused_status=401), UNAUTHORIZED) == ("request", "warn", line, remedy)


def test_newer_key_that_is_refused_fails() -> None:
    """The second refusal is the answer, and the line says so."""
    check = explained(answer(401, refused_status=403))
    assert check.status == "fail"
    assert check.detail == (
        "GET answered 401 Unauthorized: after a 403 the key was read again and had changed; "
        "the server does not accept the key, or never sees it"
    )


# Redirects


def redirected(
    target: str, auth: KeyAuth | None = None, url: str = "https://tgw.local/v1/models"
) -> tuple[str, str, str]:
    """Return the status, the problem and the remedy of the line about a redirect."""
    given = answer(307, url=url, target=target)
    check = explained(given, given, auth=auth)
    start = "GET answered 307 Temporary Redirect with and without the key: "
    assert check.detail.startswith(start)
    return check.status, check.detail.removeprefix(start), check.remedy


HTTP = "have the server trust X-Forwarded-Proto of its TLS proxy; or correct the URL, for example its trailing slash"
LOGIN = "check that it is the key for this server, and that the URL is that of its API, not of its web pages"
NOWHERE = (
    "warn",
    "it redirects to something that is not an http or https URL",
    "correct the URL, or tell the server's owner",
)


@pytest.mark.parametrize(
    ("target", "status", "line", "remedy"),
    [
        (
            "https://tgw.local/v2/models?page=1",
            "warn",
            "https://tgw.local/v2/models",
            "use that URL itself, because a redirected POST may become a GET",
        ),
        (
            "https://b.example:8443/v1",
            "warn",
            "https://b.example:8443/v1, where requests drops the key",
            "use that URL itself, if the key belongs there",
        ),
        (
            "https://tgw.local:1/",
            "warn",
            "https://tgw.local:1/, where requests drops the key",
            "use that URL itself, if the key belongs there",
        ),
        (
            "http://tgw.local/v1/models/",
            "warn",
            (
                "http://tgw.local/v1/models/, where requests drops the key; "
                "the server seems not to know that it was reached over https"
            ),
            HTTP,
        ),
        (
            "http://b.example/v1",
            "warn",
            "http://b.example/v1, where requests drops the key",
            "correct the URL, or ask the server's owner",
        ),
        (
            "https://tgw.local:65535/",
            "warn",
            "https://tgw.local:65535/, where requests drops the key",
            "use that URL itself, if the key belongs there",
        ),
        *(
            (
                f"https://tgw.local{path}",
                "fail",
                f"https://tgw.local{path}, which looks like a login page, so the server did not take the key",
                LOGIN,
            )
            for path in (
                "/login", "/accounts/login/", "/user_login", "/users/sign_in", "/signin", "/auth/logon", "/sso/start",
                "/oauth2/authorize", "/oauth2/v2/auth", "/saml/x", "/cas/login",
            )
        ),
        (
            "https://tgw.local/blog/logins",
            "warn",
            "https://tgw.local/blog/logins",
            "use that URL itself, because a redirected POST may become a GET",
        ),
    ],
)  # fmt: skip
def test_redirect_shows_its_target(target: str, status: str, line: str, remedy: str) -> None:
    """The line says where the redirect leads, and whether the key is sent there."""
    assert redirected(target) == (status, f"it redirects to {line}", remedy)


@pytest.mark.parametrize(
    "target", ["", "ftp://hunter2/", "javascript:hunter2()", "https://[hunter2/", "https://x:99999/"]
)
def test_redirect_to_an_invalid_url_warns(target: str) -> None:
    """The target is not shown."""
    assert redirected(target) == NOWHERE


def test_http_to_https_keeps_the_key() -> None:
    """Requests keeps the header between the standard ports of one host."""
    auth = BearerEnvAuth("TGW_API_KEY", allow_http="tgw.local")
    assert redirected("https://tgw.local/x", auth, "http://tgw.local/x") == (
        "warn",
        "it redirects to https://tgw.local/x",
        "use that URL itself, because a redirected POST may become a GET",
    )
    assert redirected("http://tgw.local/y", auth, "http://tgw.local/x")[0] == "warn"


def test_redirect_to_a_named_host_keeps_the_key() -> None:
    """``hosts=`` states that the key belongs there."""
    auth = BearerEnvAuth("TGW_API_KEY", hosts=["tgw.local", "b.example"])
    where = "it redirects to https://b.example/, where the key is sent if the server asks for it"
    assert redirected("https://b.example/", auth) == ("warn", where, "use that URL itself")


def test_http_to_a_named_host_drops_the_key() -> None:
    """A key that requests has dropped is sent again over https only."""
    auth = BearerEnvAuth("TGW_API_KEY", hosts=["tgw.local", "b.example"], allow_http="b.example")
    assert redirected("http://b.example/", auth) == (
        "warn",
        "it redirects to http://b.example/, where requests drops the key",
        "use that URL itself, if the key belongs there",
    )


def test_no_remedy_names_a_refused_url() -> None:
    """The remedy advises using a URL only if this auth would send its key there."""
    auth = BearerEnvAuth("TGW_API_KEY", hosts=["tgw.local"])
    assert redirected("https://b.example/", auth) == (
        "warn",
        "it redirects to https://b.example/, where requests drops the key",
        "correct the URL, or ask the server's owner",
    )


def test_redirect_out_of_a_mount_is_not_advised() -> None:
    """Requests keeps the header within an origin, but no key is mounted at that path."""
    auth = MountedAuth(
        {
            "https://tgw.local/v1": BearerEnvAuth("TGW_API_KEY"),
            "https://b.example/": BearerEnvAuth("B_KEY"),
            "https://c.example/": HTTPBasicAuth("user", "hunter2"),
        }
    )
    refused = "correct the URL, because this key is not meant for that one"
    assert redirected("https://tgw.local/v2", auth) == ("warn", "it redirects to https://tgw.local/v2", refused)
    same = "use that URL itself, because a redirected POST may become a GET"
    assert redirected("https://tgw.local/v1/x", auth)[2] == same
    assert redirected("https://b.example/", auth)[1:] == (
        "it redirects to https://b.example/, where the key is sent if the server asks for it",
        "use that URL itself",
    )
    for host in ("c.example", "d.example"):
        assert redirected(f"https://{host}/", auth)[1:] == (
            f"it redirects to https://{host}/, where requests drops the key",
            "correct the URL, or ask the server's owner",
        )


@pytest.mark.parametrize(
    "location", ["https://{}.example/", "https://tgw.local/{}", "https://x.example/{}", "https://tgw.local/?{}",
                 "https://{}@x.example/"]
)  # fmt: skip
def test_key_in_a_redirect_is_hidden(location: str) -> None:
    """The key is hidden in every part of the target."""
    for echo in (KEY.replace("/", "-"), quote(KEY, safe="")):
        assert_hidden(redirected(location.format(echo)))


def test_422_without_comparison_proves_nothing() -> None:
    """A POST is sent once and without a body, which some servers check before the key."""
    check = explained(answer(422), method="POST")
    assert check.detail.startswith("POST answered 422 ")
    assert check.detail.endswith(
        ": the server wants a body, which is not sent here, so this does not tell whether the key is right"
    )
    assert check.remedy == "check a URL of the same server that takes GET, such as /v1/models"
