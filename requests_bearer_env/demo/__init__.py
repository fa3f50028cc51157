"""The demo: a text-generation-webui on loopback, over real TLS, and what BearerEnvAuth does with it.

The server answers as text-generation-webui's OpenAI-compatible API does, but for the model: its
text is made up. Its certificate comes from an authority that exists as long as the demo runs.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from requests_bearer_env.auth import BearerEnvAuth
from requests_bearer_env.errors import InsecureTransportError
from requests_bearer_env.mounts import MountedAuth

from .server import PATIENCE, Authority, Reply, Request, Server

#: The answers that are always the same.
_FIXED: dict[tuple[str, str], object] = {
    ("GET", "/v1/models"): {
        "object": "list",
        "data": [{"id": "demo-7b", "object": "model", "created": 0, "owned_by": "user"}],
    },
    ("GET", "/v1/internal/model/info"): {"model_name": "demo-7b", "lora_names": []},
    ("POST", "/v1/internal/model/load"): "OK",
}


class TextGenerationWebUI:
    """The API of text-generation-webui, started with ``--api-key`` and ``--admin-key``.

    Both keys can be changed while it runs, as a restart with other arguments would.
    """

    def __init__(self, api_key: str, admin_key: str) -> None:
        self.api_key = api_key
        self.admin_key = admin_key

    def __call__(self, request: Request) -> Reply:
        """Answer a request; 401 unless it has exactly ``Bearer``, a space and the key for that path."""
        path = request.target.partition("?")[0]
        key = self.admin_key if path.startswith("/v1/internal/") else self.api_key
        if request.headers.get("Authorization") != f"Bearer {key}":
            return _json({"detail": "Unauthorized"}, 401)
        fixed = _FIXED.get((request.method, path))
        if fixed is not None:
            return _json(fixed)
        if (request.method, path) not in {("POST", "/v1/completions"), ("POST", "/v1/chat/completions")}:
            return _json({"detail": "Not Found"}, 404)
        try:
            stream = json.loads(request.body).get("stream", False)
        except (ValueError, AttributeError):
            return _json({"detail": "There was an error parsing the body"}, 400)
        return _completion(chat=path == "/v1/chat/completions", stream=stream)


def _completion(*, chat: bool, stream: bool) -> Reply:
    """A completion, whole or as server-sent events, a word each."""
    words = ("in", " a", " land", " far", " away")

    def answer(text: str) -> dict[str, object]:
        choice: dict[str, object] = {"index": 0, "finish_reason": "stop"}
        kind = "text_completion"
        if chat:
            kind = "chat.completion.chunk" if stream else "chat.completion"
            choice["delta" if stream else "message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        return {"id": "demo", "object": kind, "created": int(time.time()), "model": "demo-7b", "choices": [choice]}

    if not stream:
        return _json(answer("".join(words)))
    events = (b"data: %s\r\n\r\n" % json.dumps(answer(word)).encode() for word in words)
    return Reply(200, events, (("Content-Type", "text/event-stream"),))


def _json(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), (("Content-Type", "application/json"),))


class DemoError(Exception):
    """The demo saw something else than it says."""


class Demo:
    """The steps, one method each; every one prints what was done and what was seen."""

    def __init__(self, app: TextGenerationWebUI, server: Server, other: Server, ca: str, directory: Path) -> None:
        self.app = app
        self.server = server
        self.other = other
        self.ca = ca
        self.key_file = directory / "tgw-key"

    def session(self) -> requests.Session:
        """A session that trusts the demo's authority and nothing of this machine's settings."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca
        return session

    def completion(self) -> None:
        """The main job: a key in a variable, one word in the call."""
        os.environ["TGW_API_KEY"] = self.app.api_key
        _say("The key is in $TGW_API_KEY; POST /v1/completions without it, then with auth=BearerEnvAuth('TGW_API_KEY')")
        url = self.server.url("/v1/completions")
        payload: dict[str, Any] = {"prompt": "Once upon a time", "max_tokens": 5}
        with self.session() as session:
            bare = session.post(url, json=payload, timeout=PATIENCE)
            answer = session.post(url, json=payload, auth=BearerEnvAuth("TGW_API_KEY"), timeout=PATIENCE)
        _seen("without", bare.status_code, 401)
        _seen("with", answer.status_code, 200)
        _seen("the completion", answer.json()["choices"][0]["text"], "in a land far away")
        _seen("the header, as it shows itself", repr(answer.request.headers["Authorization"]), "'Bearer ***'")

    def refusal(self) -> None:
        """Plain HTTP is refused before anything is sent."""
        _say("The same with http:// in the URL")
        before = len(self.server.seen)
        with self.session() as session:
            try:
                session.get(self.server.url("/v1/models").replace("https", "http"), auth=BearerEnvAuth("TGW_API_KEY"))
            except InsecureTransportError as error:
                _seen("refused", str(error))
        _seen("requests that reached the server", len(self.server.seen) - before, 0)

    def rotation(self) -> None:
        """The key changes under a running session, in a file and in a vault with a cache before it."""
        _say("One session, the key in a file: the server's key and the file are changed between two requests")
        self._rotate()
        with self.session() as session:
            session.auth = BearerEnvAuth(file=self.key_file)
            _seen("before", session.get(self.server.url("/v1/models")).status_code, 200)
            self._rotate()
            _seen("after", session.get(self.server.url("/v1/models")).status_code, 200)
        _say("The same with a provider whose key is kept for an hour: the 401 makes it ask again")
        with self.session() as session:
            session.auth = BearerEnvAuth(provider=lambda: self.app.api_key, ttl=3600)
            _seen("before", session.get(self.server.url("/v1/models")).status_code, 200)
            self._rotate()
            answer = session.get(self.server.url("/v1/models"))
            _seen("after", [*(first.status_code for first in answer.history), answer.status_code], [401, 200])

    def redirect(self) -> None:
        """A redirect to another host does not take the key along, unless hosts= names that host."""
        _say("The server redirects to another host, which asks for a key")
        url = self.server.url("/elsewhere")
        with self.session() as session:
            answer = session.get(url, auth=BearerEnvAuth("TGW_API_KEY"))
            _seen("the other host answers", answer.status_code, 401)
            _seen("Authorization headers it has seen", self._seen_elsewhere(), [])
            _say("The same with hosts=['localhost', '127.0.0.1'], which names that host as well")
            answer = session.get(url, auth=BearerEnvAuth("TGW_API_KEY", hosts=["localhost", "127.0.0.1"]))
            _seen("the other host answers", answer.status_code, 200)
            _seen("Authorization headers it has seen", len(self._seen_elsewhere()), 1)

    def two_keys(self) -> None:
        """The key with more power goes only where it is needed."""
        _say("One session with MountedAuth: the key of --admin-key for /v1/internal/, that of --api-key for /v1/")
        with self.session() as session:
            session.auth = MountedAuth(
                {
                    self.server.url("/v1/internal/"): BearerEnvAuth(provider=lambda: self.app.admin_key),
                    self.server.url("/v1/"): BearerEnvAuth("TGW_API_KEY"),
                }
            )
            for path in ("/v1/models", "/v1/internal/model/info"):
                _seen(path, session.get(self.server.url(path)).status_code, 200)
            session.auth = BearerEnvAuth("TGW_API_KEY")
            path = "/v1/internal/model/info"
            _seen(f"{path} with the other key", session.get(self.server.url(path)).status_code, 401)

    def _rotate(self) -> None:
        self.app.api_key = os.environ["TGW_API_KEY"] = secrets.token_urlsafe()
        self.key_file.write_text(self.app.api_key, encoding="utf-8")

    def _seen_elsewhere(self) -> list[str]:
        return [value for request in self.other.seen for value in request.headers.get_all("Authorization", [])]


def _say(what: str) -> None:
    print(f"\n{what}")


def _seen(what: str, value: object, expected: object = None) -> None:
    """Print what was seen.

    Raises:
        DemoError: It is not what was expected.
    """
    print(f"  {what}: {value}")
    if expected is not None and value != expected:
        raise DemoError(f"{what}: saw {value}, expected {expected}")


def run() -> None:
    """Run the demo.

    Raises:
        DemoError: A step saw something else than it should.
        ModuleNotFoundError: trustme is not installed.
    """
    authority = Authority()
    app = TextGenerationWebUI(secrets.token_urlsafe(), secrets.token_urlsafe())
    context = authority.context("localhost", "127.0.0.1")
    saved = {name: os.environ.pop(name, None) for name in ("TGW_API_KEY", "TGW_API_KEY_FILE")}
    with tempfile.TemporaryDirectory() as folder, Server(app, context) as other:

        def front(request: Request) -> Reply:
            if request.target == "/elsewhere":
                return Reply(302, headers=(("Location", other.url("/v1/models", host="127.0.0.1")),))
            return app(request)

        with Server(front, context) as server:
            _say(f"A text-generation-webui with a key of its own is listening on {server.url()}")
            demo = Demo(app, server, other, authority.save(Path(folder, "ca.pem")), Path(folder))
            try:
                for step in (demo.completion, demo.refusal, demo.rotation, demo.redirect, demo.two_keys):
                    step()
            finally:
                del os.environ["TGW_API_KEY"]
                os.environ.update({name: value for name, value in saved.items() if value is not None})
    _say("All as it should be. To find out why a request of yours is refused: python -m requests_bearer_env check URL")
