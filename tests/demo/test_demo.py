"""The demo and its server: a real text-generation-webui on loopback, but for the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import requests

from requests_bearer_env import demo
from requests_bearer_env.__main__ import main
from requests_bearer_env.demo import DemoError, TextGenerationWebUI
from requests_bearer_env.demo.server import Server
from tests.helpers import KEY, Serve

ADMIN_KEY = "admin-key"


@pytest.fixture
def tgw(serve: Serve) -> Server:
    """A text-generation-webui with two keys."""
    return serve(TextGenerationWebUI(KEY, ADMIN_KEY))


def call(
    session: requests.Session, server: Server, path: str, authorization: str = f"Bearer {KEY}", **options: Any
) -> requests.Response:
    """Ask with a header made by hand."""
    method = "POST" if options else "GET"
    return session.request(method, server.url(path), headers={"Authorization": authorization}, **options)


def test_the_demo_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Every step sees what it says, over a real socket, and nothing that it prints is a key."""
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    for seen in ("without: 401", "with: 200", "reached the server: 0", "after: [401, 200]", "All as it should be."):
        assert seen in printed
    assert "the completion: in a land far away" in printed


@pytest.mark.parametrize("value", [None, "mine"])
def test_the_demo_leaves_the_environment_as_it_was(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses a variable that its user may use as well."""
    monkeypatch.delenv("TGW_API_KEY", raising=False)
    if value:
        monkeypatch.setenv("TGW_API_KEY", value)
    demo.run()
    assert os.environ.get("TGW_API_KEY") == value


def test_the_demo_fails_if_something_is_not_as_it_should_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no film: here, requests lets the key follow a redirect."""
    monkeypatch.setattr(requests.Session, "should_strip_auth", lambda *_: False)
    assert main(["demo"]) == 1
    assert "not as it should be: the other host answers: saw 200, expected 401" in capsys.readouterr().err


def test_the_demo_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the extra, one line says how to get it."""
    monkeypatch.setitem(sys.modules, "trustme", None)
    assert main(["demo"]) == 2
    assert "the demo needs trustme: pip install 'requests-bearer-env[demo]'" in capsys.readouterr().err


def test_a_step_that_saw_something_else_stops_the_demo() -> None:
    """A value that is not the expected one is an error that names both."""
    with pytest.raises(DemoError, match="status: saw 200, expected 401"):
        demo._seen("status", 200, 401)


class TestServer:
    """It answers as text-generation-webui's API does."""

    @pytest.mark.parametrize("authorization", [KEY, f"bearer {KEY}", f"Bearer  {KEY}", f"Bearer {ADMIN_KEY}", "Bearer"])
    def test_anything_but_the_exact_header_is_unauthorized(
        self, authorization: str, tgw: Server, session: requests.Session
    ) -> None:
        """The server compares strings, so one space too many is a 401."""
        response = call(session, tgw, "/v1/models", authorization)
        assert (response.status_code, response.json()) == (401, {"detail": "Unauthorized"})

    def test_models(self, tgw: Server, session: requests.Session) -> None:
        """A list of models, as OpenAI's."""
        assert call(session, tgw, "/v1/models").json()["data"][0]["object"] == "model"

    def test_completions(self, tgw: Server, session: requests.Session) -> None:
        """A prompt is completed."""
        answer = call(session, tgw, "/v1/completions", json={"prompt": "Once"}).json()
        assert (answer["object"], answer["choices"][0]["text"]) == ("text_completion", "in a land far away")

    def test_chat_completions(self, tgw: Server, session: requests.Session) -> None:
        """A message is answered."""
        answer = call(session, tgw, "/v1/chat/completions", json={"messages": []}).json()
        assert answer["object"] == "chat.completion"
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": "in a land far away"}

    @pytest.mark.parametrize(("path", "part"), [("/v1/completions", "text"), ("/v1/chat/completions", "delta")])
    def test_streams(self, path: str, part: str, tgw: Server, session: requests.Session) -> None:
        """With ``stream`` the words come one by one, as server-sent events."""
        response = call(session, tgw, path, json={"stream": True}, stream=True)
        assert response.headers["Content-Type"] == "text/event-stream"
        events = [json.loads(line.removeprefix(b"data: ")) for line in response.iter_lines() if line]
        assert len(events) == 5
        assert all(part in event["choices"][0] for event in events)

    def test_admin_endpoints_have_their_own_key(self, tgw: Server, session: requests.Session) -> None:
        """The key for everybody does not do there, nor the other way round."""
        assert call(session, tgw, "/v1/internal/model/info").status_code == 401
        assert call(session, tgw, "/v1/internal/model/info", f"Bearer {ADMIN_KEY}").json()["model_name"] == "demo-7b"
        assert call(session, tgw, "/v1/internal/model/load", f"Bearer {ADMIN_KEY}", json={}).json() == "OK"

    def test_an_unknown_path_is_not_found(self, tgw: Server, session: requests.Session) -> None:
        """As FastAPI answers."""
        response = call(session, tgw, "/v1/nothing")
        assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})

    @pytest.mark.parametrize("data", [b"{", b"[]", b""])
    def test_a_body_that_is_no_object_is_a_bad_request(
        self, data: bytes, tgw: Server, session: requests.Session
    ) -> None:
        """As FastAPI answers."""
        assert call(session, tgw, "/v1/completions", data=data).status_code == 400


def test_the_demo_ignores_this_machines_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor a bundle of certificates comes between."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle")
    demo.run()


def test_it_runs_as_a_module() -> None:
    """``python -m requests_bearer_env`` is the command line; nothing is wrong usage."""
    ran = subprocess.run(
        [sys.executable, "-m", "requests_bearer_env"], capture_output=True, check=False, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert "usage: requests-bearer-env" in ran.stderr
