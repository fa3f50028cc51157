"""The LiteLLM proxy with a master key and without a database, over TLS."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers import statuses
from tests.servers.contract import Answers, RotationContract
from tests.servers.support import RIGHT, Files, Site, Start

#: What the proxy returns instead of asking a model.
REPLY = "Nothing that I know of."
MODEL = {"model": "openai/m", "api_key": "unused", "mock_response": REPLY}

CONFIG = {
    "model_list": [{"model_name": "m", "litellm_params": MODEL}],
    "general_settings": {"master_key": "os.environ/SERVER_KEY"},
    "litellm_settings": {"telemetry": False},
}

QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "What happened?"}]}


@pytest.fixture(scope="module")
def site(start: Start, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A LiteLLM proxy, which takes some ten seconds to start."""
    config = tmp_path_factory.mktemp("litellm") / "config.yaml"
    config.write_text(json.dumps(CONFIG))  # JSON is YAML
    program = [str(Path(sys.executable).with_name("litellm")), "--config", str(config), "--host", "127.0.0.1"]
    tls = ["--ssl_certfile_path", files.certificate, "--ssl_keyfile_path", files.certificate]
    # The price list in the package, instead of one from the Internet.
    variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "SERVER_KEY": RIGHT}
    return start(lambda port: [*program, *tls, "--port", str(port)], patience=180, **variables)


class TestLiteLLM(RotationContract):
    """Without a database a wrong key gets 400, and none gets 500."""

    name = "LiteLLM proxy, no database"
    path = "/v1/models"
    answers = Answers(right=200, wrong=400, none=500)

    def test_post_is_repeated_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The second POST has the body of the first."""
        response = session.post(site.url("/v1/chat/completions"), json=QUESTION, auth=site.rotated(400))
        assert statuses(response) == [400, 200]
        assert response.json()["choices"][0]["message"]["content"] == REPLY

    def test_stream_is_read_after_a_rotation(self, site: Site, session: requests.Session) -> None:
        """The stream of events has nothing of the refusal."""
        body = {**QUESTION, "stream": True}
        with session.post(site.url("/v1/chat/completions"), json=body, auth=site.rotated(400), stream=True) as response:
            assert statuses(response) == [400, 200]
            *events, last = [line.removeprefix(b"data: ") for line in response.iter_lines() if line]
        assert last == b"[DONE]"
        pieces = [json.loads(event)["choices"][0]["delta"].get("content") for event in events]
        assert "".join(piece or "" for piece in pieces) == REPLY
