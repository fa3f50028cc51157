"""The stand-in for text-generation-webui, route by route; without sockets but where it streams."""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

import pytest
import requests

from requests_bearer_env.demo.app import TextGenerationWebUI
from requests_bearer_env.demo.server import Reply, Request
from tests.helpers import Serve

#: Method, path, the key that opens it, and a field that the body must have.
ROUTES = [
    ("OPTIONS", "/", "api", ""),
    ("POST", "/v1/completions", "api", "prompt"),
    ("POST", "/v1/chat/completions", "api", "messages"),
    ("POST", "/v1/embeddings", "api", "input"),
    ("POST", "/v1/moderations", "api", ""),
    ("POST", "/v1/audio/transcriptions", "api", ""),
    ("POST", "/v1/images/generations", "api", "prompt"),
    ("GET", "/v1/models", "api", ""),
    ("GET", "/v1/models?limit=1", "api", ""),
    ("GET", "/v1/models/any-name", "api", ""),
    ("GET", "/v1/billing/usage", "api", ""),
    ("GET", "/v1/internal/health", "api", ""),
    ("GET", "/v1/internal/model/info", "api", ""),
    ("POST", "/v1/internal/encode", "api", "text"),
    ("POST", "/v1/internal/decode", "api", "tokens"),
    ("POST", "/v1/internal/token-count", "api", "text"),
    ("POST", "/v1/internal/logits", "api", "prompt"),
    ("POST", "/v1/internal/chat-prompt", "api", "messages"),
    ("POST", "/v1/internal/stop-generation", "api", ""),
    ("GET", "/v1/internal/model/list", "admin", ""),
    ("POST", "/v1/internal/model/load", "admin", "model_name"),
    ("POST", "/v1/internal/model/unload", "admin", ""),
    ("GET", "/v1/internal/lora/list", "admin", ""),
    ("POST", "/v1/internal/lora/load", "admin", "lora_names"),
    ("POST", "/v1/internal/lora/unload", "admin", ""),
    ("POST", "/v1/messages", "x-api-key", "messages"),
]

#: What a request brings as its key.
KEYS = {
    "api": {"Authorization": "Bearer api-key"},
    "admin": {"Authorization": "Bearer admin-key"},
    "x-api-key": {"x-api-key": "api-key"},
    "wrong": {"Authorization": "Bearer wrong", "x-api-key": "wrong"},
    "none": {},
}

FASTAPI = ("Content-Type", "application/json")


def both() -> TextGenerationWebUI:
    """A server with two keys."""
    return TextGenerationWebUI("api-key", "admin-key")


def ask(
    app: TextGenerationWebUI,
    method: str,
    target: str,
    key: str = "none",
    body: bytes = b"",
    host: str = "127.0.0.1:5000",
    authorization: str = "",
) -> Reply:
    """The reply to a request made by hand."""
    headers = Message()
    headers["Host"] = host
    for name, value in KEYS[key].items():
        headers[name] = value
    if authorization:
        headers["Authorization"] = authorization
    return app(Request(method, target, headers, body))


def said(reply: Reply) -> Any:
    """The JSON of a reply."""
    assert isinstance(reply.body, bytes)
    return json.loads(reply.body)


def with_field(field: str) -> bytes:
    """A JSON body that has a field."""
    return json.dumps({field: []}).encode() if field else b""


def opened_by(app: TextGenerationWebUI, method: str, path: str, field: str) -> set[str]:
    """Which of the keys open a route; with the others it has to be a 401."""
    statuses = {key: ask(app, method, path, key, with_field(field)).status for key in KEYS}
    assert set(statuses.values()) <= {200, 401}
    return {key for key, status in statuses.items() if status == 200}


@pytest.mark.parametrize(("method", "path", "opens", "field"), ROUTES)
def test_each_route_takes_its_own_key_only(method: str, path: str, opens: str, field: str) -> None:
    """Two keys, and two headers for the API key: any other key is answered with 401."""
    assert opened_by(both(), method, path, field) == {opens}


@pytest.mark.parametrize(("method", "path", "opens", "field"), ROUTES)
def test_without_admin_key_the_api_key_opens_all(method: str, path: str, opens: str, field: str) -> None:
    """``--api-key`` alone: the admin routes take it as well."""
    app = TextGenerationWebUI("api-key")
    assert opened_by(app, method, path, field) == {opens.replace("admin", "api")}


@pytest.mark.parametrize(("method", "path", "opens", "field"), ROUTES)
def test_without_api_key_every_key_is_accepted(method: str, path: str, opens: str, field: str) -> None:
    """Neither ``--api-key`` nor ``--admin-key``: the server is open."""
    assert opened_by(TextGenerationWebUI(), method, path, field) == set(KEYS)


@pytest.mark.parametrize(("method", "path", "opens", "field"), ROUTES)
def test_an_admin_key_alone_protects_its_routes(method: str, path: str, opens: str, field: str) -> None:
    """``--admin-key`` without ``--api-key``: the routes for the API key are open."""
    app = TextGenerationWebUI(None, "admin-key")
    assert opened_by(app, method, path, field) == ({"admin"} if opens == "admin" else set(KEYS))


def test_a_401_has_no_challenge() -> None:
    """The body is all that the server says."""
    assert ask(both(), "GET", "/v1/models") == Reply(401, b'{"detail":"Unauthorized"}', (FASTAPI,))


@pytest.mark.parametrize(
    "authorization", ["bearer api-key", "Bearer  api-key", "Bearer api-key ", "Bearer", "api-key", "Basic api-key"]
)
def test_anything_but_the_exact_header_is_a_401(authorization: str) -> None:
    """The server compares strings, so the case of the scheme and each space count."""
    assert ask(both(), "GET", "/v1/models", authorization=authorization).status == 401


def test_a_key_can_be_changed_while_it_runs() -> None:
    """The demo rotates the key, so the app compares with its present value."""
    app = both()
    app.api_key = "another"
    assert ask(app, "GET", "/v1/models", "api").status == 401
    assert ask(app, "GET", "/v1/models", authorization="Bearer another").status == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1"])
def test_names_of_this_machine_are_valid_hosts(host: str) -> None:
    """A port in the Host header is ignored."""
    assert ask(both(), "GET", "/v1/models", "api", host=host).status == 200


@pytest.mark.parametrize("host", ["tgw.example", "LOCALHOST", "localhost.", "[::1]:5000", "127.0.0.2", ""])
@pytest.mark.parametrize("path", ["/v1/models", "/nothing"])
def test_any_other_host_is_refused_first(host: str, path: str) -> None:
    """A reverse proxy that passes its own Host on gets this, whatever the key and the path."""
    reply = ask(both(), "GET", path, "api", host=host)
    assert reply == Reply(400, b'{"detail":"Invalid host header"}', (FASTAPI,))


def test_a_request_without_host_is_refused() -> None:
    """An HTTP/1.0 request may have no Host header."""
    assert both()(Request("GET", "/v1/models", Message(), b"")).status == 400


@pytest.mark.parametrize(("method", "path", "opens", "field"), ROUTES)
def test_another_method_is_a_405_with_any_key(method: str, path: str, opens: str, field: str) -> None:
    """The method is checked before the key, so a 405 says nothing about it. HEAD is not GET."""
    refusal = Reply(405, b'{"detail":"Method Not Allowed"}', (FASTAPI, ("Allow", method)))
    for other in {"GET", "POST", "HEAD", "PUT"} - {method}:
        assert [ask(both(), other, path, key) for key in KEYS] == [refusal] * len(KEYS)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/generate"), ("GET", "/v1/nothing"), ("GET", "/v1/models/a/b")]
)
def test_an_unknown_path_is_a_404_with_any_key(method: str, path: str) -> None:
    """The old API, which tutorials still show, is gone."""
    refusal = Reply(404, b'{"detail":"Not Found"}', (FASTAPI,))
    assert [ask(both(), method, path, key) for key in KEYS] == [refusal] * len(KEYS)


@pytest.mark.parametrize(
    ("path", "there"), [("/v1/models/", "/v1/models"), ("/v1/completions/?a=b", "/v1/completions")]
)
def test_one_slash_too_many_is_redirected(path: str, there: str) -> None:
    """The redirect is sent before the key is checked."""
    assert ask(both(), "POST", path) == Reply(307, headers=(("Location", there),))


@pytest.mark.parametrize("key", ["api", "none"])
def test_broken_json_is_refused_before_the_key(key: str) -> None:
    """FastAPI parses the body first, so this 422 says nothing about the key."""
    reply = ask(both(), "POST", "/v1/completions", key, b"{")
    assert (reply.status, said(reply)["detail"][0]["type"]) == (422, "json_invalid")


def test_a_route_without_json_takes_any_body() -> None:
    """This route checks the key, and does not parse the body as JSON."""
    assert ask(both(), "POST", "/v1/audio/transcriptions", "none", b"{").status == 401
    assert ask(both(), "POST", "/v1/audio/transcriptions", "api", b"{").status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b'"prompt"', b"{}", b"null"])
def test_a_body_without_its_field_is_a_422(body: bytes) -> None:
    """The field is checked after the key."""
    reply = ask(both(), "POST", "/v1/completions", "api", body)
    assert reply.status == 422
    assert said(reply) == {"detail": [{"type": "missing", "loc": ["body", "prompt"], "msg": "Field required"}]}
    assert ask(both(), "POST", "/v1/completions", "none", body).status == 401


def test_messages_refuses_in_anthropics_form() -> None:
    """Its client would not understand FastAPI's form."""
    reply = ask(both(), "POST", "/v1/messages", "x-api-key", b"{}")
    error = {"type": "invalid_request_error", "message": "body.messages: Field required"}
    assert (reply.status, said(reply)) == (400, {"type": "error", "error": error})


def test_models_are_listed_as_openai_lists_them() -> None:
    """A client asks for the list, and for one of them."""
    listed = said(ask(both(), "GET", "/v1/models", "api"))
    assert listed["object"] == "list"
    assert listed["data"] == [said(ask(both(), "GET", "/v1/models/demo-7b", "api"))]


def test_a_prompt_is_completed() -> None:
    """A whole completion has one choice."""
    answer = said(ask(both(), "POST", "/v1/completions", "api", b'{"prompt": "Once"}'))
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "finish_reason": "stop", "text": "in a land far away"}]


def test_a_message_is_answered() -> None:
    """A whole answer is the assistant's message."""
    answer = said(ask(both(), "POST", "/v1/chat/completions", "api", b'{"messages": []}'))
    message = {"role": "assistant", "content": "in a land far away"}
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [{"index": 0, "finish_reason": "stop", "message": message}]


@pytest.mark.parametrize(
    ("path", "field", "kind"),
    [
        ("/v1/completions", "prompt", "text_completion"),
        ("/v1/chat/completions", "messages", "chat.completion.chunk"),
    ],
)
def test_a_stream_has_an_event_for_each_word(
    path: str, field: str, kind: str, serve: Serve, session: requests.Session
) -> None:
    """Server-sent events over a socket: the words, the reason for the end, and ``[DONE]``."""
    url = serve(both()).url(path)
    response = session.post(url, json={field: [], "stream": True}, headers=KEYS["api"], stream=True)
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    *lines, done = [line.removeprefix(b"data: ") for line in response.iter_lines() if line]
    events = [json.loads(line) for line in lines]
    choices = [event["choices"][0] for event in events]
    texts = [choice.get("text", choice.get("delta", {}).get("content")) for choice in choices]
    assert texts == ["in", " a", " land", " far", " away", ""]
    assert [choice["finish_reason"] for choice in choices] == [None] * 5 + ["stop"]
    assert {event["object"] for event in events} == {kind}
    assert done == b"[DONE]"
