"""A stand-in for text-generation-webui: the routes of its API, with a made-up model.

Each route checks the same key, and in the same order, as in text-generation-webui's
``modules/api/script.py`` (May 2026), started without ``--listen``. The stand-in has neither the
documentation pages (``/docs``) nor the CORS headers, and checks only one field of a body.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from .server import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message

    from .server import Request

    Body = dict[str, Any]

MODEL = "demo-7b"

#: The model's answer to every prompt.
WORDS = ("in", " a", " land", " far", " away")

_HOSTS = ("localhost", "127.0.0.1")


class _Route(NamedTuple):
    """The checks and the answer of a path."""

    #: The only method that is accepted; the method is checked before the key.
    method: str
    #: The key that is checked: ``--api-key``, ``--admin-key``, or the API key in the header ``x-api-key``.
    key: Literal["api", "admin", "x-api-key"]
    answer: Callable[[Body], Reply]
    #: The field that the JSON body must have; None for a route that reads no JSON.
    field: str | None = None


class TextGenerationWebUI:
    """The API of text-generation-webui, as the app of a `Server`.

    Both keys can be changed while the server runs, which simulates a restart with other arguments.

    Args:
        api_key: The key of ``--api-key``. If it is None, the routes for the API key accept any request.
        admin_key: The key of ``--admin-key``. If it is None, the API key replaces it.
    """

    def __init__(self, api_key: str | None = None, admin_key: str | None = None) -> None:
        self.api_key = api_key
        self.admin_key = admin_key

    def __call__(self, request: Request) -> Reply:
        """Answer a request after checking its host, path, method, JSON, key and body, in this order."""
        if request.headers.get("Host", "").partition(":")[0] not in _HOSTS:
            return _json({"detail": "Invalid host header"}, 400)
        path = request.target.partition("?")[0]
        route = _find(path)
        if route is None:
            return _not_found(path)
        if request.method != route.method:
            return _json({"detail": "Method Not Allowed"}, 405, ("Allow", route.method))
        try:
            body = json.loads(request.body) if route.field and request.body else None
        except ValueError:
            return _invalid(route, "json_invalid", "JSON decode error")
        if not self._authorised(route, request.headers):
            return _json({"detail": "Unauthorized"}, 401)
        fields = cast("Body", body) if isinstance(body, dict) else {}
        if route.field and route.field not in fields:
            return _invalid(route, "missing", "Field required")
        return route.answer(fields)

    def _authorised(self, route: _Route, headers: Message) -> bool:
        """Return whether the route's header is exactly the expected one."""
        key = self.api_key
        if route.key == "x-api-key":
            return not key or headers.get("x-api-key") == key
        if route.key == "admin":
            key = self.admin_key or key
        return not key or headers.get("Authorization") == f"Bearer {key}"


def _json(value: object, status: int = 200, *headers: tuple[str, str]) -> Reply:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, body, (("Content-Type", "application/json"), *headers))


def _always(value: object) -> Callable[[Body], Reply]:
    """Return a function that answers any body with the same JSON."""
    return lambda _: _json(value)


def _not_found(path: str) -> Reply:
    """Redirect from a route's path with a slash at its end, or answer 404; neither checks the key."""
    shorter = path.removesuffix("/")
    if _find(shorter):
        return Reply(307, headers=(("Location", shorter),))
    return _json({"detail": "Not Found"}, 404)


def _invalid(route: _Route, kind: str, message: str) -> Reply:
    """Refuse a body, in Anthropic's form or in FastAPI's."""
    if route.key == "x-api-key":
        error = {"type": "invalid_request_error", "message": f"body.{route.field}: {message}"}
        return _json({"type": "error", "error": error}, 400)
    return _json({"detail": [{"type": kind, "loc": ["body", route.field], "msg": message}]}, 422)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "user"}


def _completion(body: Body) -> Reply:
    """Complete a prompt, whole or as server-sent events."""

    def answer(text: str, reason: str | None) -> dict[str, object]:
        return _answer("text_completion", {"text": text}, reason)

    if body.get("stream"):
        return _stream(answer)
    return _json(answer("".join(WORDS), "stop"))


def _chat(body: Body) -> Reply:
    """Answer a message, whole or as server-sent events."""

    def chunk(text: str, reason: str | None) -> dict[str, object]:
        return _answer("chat.completion.chunk", {"delta": {"role": "assistant", "content": text}}, reason)

    if body.get("stream"):
        return _stream(chunk)
    message = {"role": "assistant", "content": "".join(WORDS)}
    return _json(_answer("chat.completion", {"message": message}, "stop"))


def _answer(kind: str, choice: dict[str, object], reason: str | None) -> dict[str, object]:
    """Make a response with one choice in OpenAI's format."""
    choices = [{"index": 0, "finish_reason": reason, **choice}]
    return {"id": "demo", "object": kind, "created": int(time.time()), "model": MODEL, "choices": choices}


def _stream(chunk: Callable[[str, str | None], dict[str, object]]) -> Reply:
    """Send each word as a server-sent event, then the reason for the end, then ``[DONE]``."""

    def events() -> Iterator[bytes]:
        for word in WORDS:
            yield b"data: %s\n\n" % json.dumps(chunk(word, None)).encode()
        yield b"data: %s\n\n" % json.dumps(chunk("", "stop")).encode()
        yield b"data: [DONE]\n\n"

    return Reply(200, events(), (("Content-Type", "text/event-stream; charset=utf-8"),))


def _find(path: str) -> _Route | None:
    """Return the route of a path, if there is one; ``/v1/models/{model}`` accepts any name."""
    model = path.removeprefix("/v1/models/")
    if model not in {path, ""} and "/" not in model:
        return _Route("GET", "api", _always(_model(model)))
    return _ROUTES.get(path)


_ROUTES = {
    "/": _Route("OPTIONS", "api", _always("OK")),
    "/v1/completions": _Route("POST", "api", _completion, "prompt"),
    "/v1/chat/completions": _Route("POST", "api", _chat, "messages"),
    "/v1/embeddings": _Route(
        "POST", "api", _always({"object": "list", "data": [{"object": "embedding", "embedding": [0.0]}]}), "input"
    ),
    "/v1/moderations": _Route("POST", "api", _always({"results": [{"flagged": False}]})),
    "/v1/audio/transcriptions": _Route("POST", "api", _always({"text": "".join(WORDS)})),
    "/v1/images/generations": _Route("POST", "api", _always({"created": 0, "data": []}), "prompt"),
    "/v1/models": _Route("GET", "api", _always({"object": "list", "data": [_model(MODEL)]})),
    "/v1/billing/usage": _Route("GET", "api", _always({"total_usage": 0})),
    "/v1/internal/health": _Route("GET", "api", _always({"status": "ok"})),
    "/v1/internal/model/info": _Route("GET", "api", _always({"model_name": MODEL, "lora_names": []})),
    "/v1/internal/encode": _Route("POST", "api", _always({"tokens": [1], "length": 1}), "text"),
    "/v1/internal/decode": _Route("POST", "api", _always({"text": WORDS[0]}), "tokens"),
    "/v1/internal/token-count": _Route("POST", "api", _always({"length": 1}), "text"),
    "/v1/internal/logits": _Route("POST", "api", _always({"logits": {WORDS[0]: 1.0}}), "prompt"),
    "/v1/internal/chat-prompt": _Route("POST", "api", _always({"prompt": "USER:"}), "messages"),
    "/v1/internal/stop-generation": _Route("POST", "api", _always("OK")),
    "/v1/internal/model/list": _Route("GET", "admin", _always({"model_names": [MODEL]})),
    "/v1/internal/model/load": _Route("POST", "admin", _always("OK"), "model_name"),
    "/v1/internal/model/unload": _Route("POST", "admin", _always("OK")),
    "/v1/internal/lora/list": _Route("GET", "admin", _always({"lora_names": []})),
    "/v1/internal/lora/load": _Route("POST", "admin", _always("OK"), "lora_names"),
    "/v1/internal/lora/unload": _Route("POST", "admin", _always("OK")),
    "/v1/messages": _Route(
        "POST",
        "x-api-key",
        _always({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "".join(WORDS)}]}),
        "messages",
    ),
}
