"""The steps of the demo: what they print, and that they fail if something is amiss."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import requests

from requests_bearer_env import demo
from requests_bearer_env.__main__ import main
from requests_bearer_env.demo import DemoError, steps
from requests_bearer_env.demo.app import TextGenerationWebUI
from requests_bearer_env.destination import Destination
from tests.helpers import KEY, OLD, Serve, authorizations

Capture = pytest.CaptureFixture[str]

TRANSCRIPT = """\
A stand-in for text-generation-webui is listening on https://localhost:PORT/
Its model is made up; the requests, the keys and TLS are real.

1. A completion, without and with the key in $TGW_API_KEY
      url is https://localhost:PORT/v1/completions
  >>> session.post(url, json=payload)
      401 Unauthorized: {"detail":"Unauthorized"}
  >>> session.post(url, json=payload, auth=BearerEnvAuth("TGW_API_KEY"))
      200 OK
      the completion: in a land far away
      the header, as repr() shows it: 'Bearer ***'

2. The same URL with http:// in place of https://
  >>> session.post(url, json=payload, auth=BearerEnvAuth("TGW_API_KEY"))
      InsecureTransportError: REFUSAL
      connections to the server: 0

3. The key in a file is rotated while a session is open
      url is https://localhost:PORT/v1/models
  >>> session.auth = BearerEnvAuth(file=key_file)
  >>> session.get(url)
      200 OK
      Now the server has another key, and the file is rewritten.
  >>> session.get(url)
      200 OK

4. The same with a vault, whose key the session keeps for an hour
  >>> session.auth = BearerEnvAuth(provider=ask_vault, ttl=3600)
  >>> session.get(url)
      200 OK
      Now server and vault have another key. The session still has the old one.
  >>> session.get(url)
      401 Unauthorized, then 200 OK

5. A redirect to another host, which asks for the key
      url is https://localhost:PORT/elsewhere
  >>> session.get(url, auth=BearerEnvAuth("TGW_API_KEY"))
      The redirect led to https://127.0.0.1:PORT/v1/models
      302 Found, then 401 Unauthorized: {"detail":"Unauthorized"}
      keys that reached the other host: 0
  >>> session.auth = BearerEnvAuth(
  ...     "TGW_API_KEY",
  ...     hosts=["localhost", "127.0.0.1"],
  ... )
  >>> session.get(url)
      302 Found, then 200 OK
      keys that reached the other host: 1

6. Two keys in one session: $TGW_API_KEY and $TGW_ADMIN_KEY
      tgw is https://localhost:PORT/v1
      api is BearerEnvAuth("TGW_API_KEY")
      admin is BearerEnvAuth("TGW_ADMIN_KEY")
  >>> session.auth = MountedAuth(
  ...     {
  ...         f"{tgw}/internal/model/list": admin,
  ...         f"{tgw}/internal/model/load": admin,
  ...         f"{tgw}/internal/model/unload": admin,
  ...         f"{tgw}/internal/lora": admin,
  ...         f"{tgw}/": api,
  ...     }
  ... )
  >>> session.get(f"{tgw}/models")
      200 OK
      the key that was sent: api
  >>> session.get(f"{tgw}/internal/model/info")
      200 OK
      the key that was sent: api
  >>> session.get(f"{tgw}/internal/model/list")
      200 OK
      the key that was sent: admin
  >>> session.post(f"{tgw}/internal/lora/unload")
      200 OK
      the key that was sent: admin
  >>> session.get(f"{tgw}/internal/model/list", auth=api)
      401 Unauthorized: {"detail":"Unauthorized"}

To try it yourself: python -m requests_bearer_env demo --serve
All as it should be. Next: python -m requests_bearer_env check --env NAME URL
"""


def test_the_demo_shows_each_step(capsys: Capture) -> None:
    """The whole transcript, but for the ports and the words of the refusal, which are tested elsewhere."""
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    out = re.sub(r":\d{4,5}", ":PORT", out)
    out = re.sub(r"(InsecureTransportError: ).*?(\n      conn)", r"\1REFUSAL\2", out, flags=re.DOTALL)
    assert (out, err) == (TRANSCRIPT, "")


def test_the_demo_is_at_most_80_columns_wide(capsys: Capture) -> None:
    """The demo fits a terminal of the usual width."""
    demo.run()
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_code_that_runs_is_shown(capsys: Capture) -> None:
    """The source of the function itself is printed."""

    def code() -> list[int]:
        return sorted(
            [2, 1],
        )

    assert steps._run(code) == [1, 2]
    assert capsys.readouterr().out == "  >>> sorted(\n  ...     [2, 1],\n  ... )\n"


@pytest.mark.parametrize("value", [None, "mine"])
def test_the_environment_is_restored(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo uses variables that its user may use as well."""
    names = ("TGW_API_KEY", "TGW_API_KEY_FILE", "TGW_ADMIN_KEY", "TGW_ADMIN_KEY_FILE")
    for name in names:
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
    demo.run()
    assert [os.environ.get(name) for name in names] == [value] * 4


def test_the_settings_of_this_machine_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor a CA bundle of the user stops the demo."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle")
    demo.run()


def test_the_files_of_the_demo_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo writes a key and a certificate to files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    demo.run()
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_follows_a_redirect_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The demo checks each result: it fails if requests keeps the header across hosts."""
    monkeypatch.setattr(requests.Session, "should_strip_auth", lambda *_: False)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == (
        "the demo failed: saw the statuses [302, 200], expected [302, 401]: please report this defect\n"
    )


def test_a_request_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """An exception of requests is one line, not a traceback."""

    def fail(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests.Session, "post", fail)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "the demo failed: ConnectionError: no route: please report this defect\n"


def test_an_accepted_http_url_is_an_error(
    serve: Serve, ca: str, key_env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo fails if BearerEnvAuth sends the key over plain HTTP."""
    monkeypatch.setattr(Destination, "check", lambda *_: None)
    app = TextGenerationWebUI(KEY)
    server = serve(app, tls=False)
    with pytest.raises(DemoError, match="connections to the server: saw 1, expected 0"):
        steps.Demo(app, server, server, ca, tmp_path).refusal()
    assert authorizations(server) == [OLD]


def test_plain_http_to_a_tls_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's own server speaks TLS only, and closes a connection that sends plain HTTP."""
    monkeypatch.setattr(Destination, "check", lambda *_: None)
    with pytest.raises(DemoError, match="ConnectionError"):
        demo.run()


def test_a_value_that_is_not_expected_is_an_error(capsys: Capture) -> None:
    """The error names both values."""
    with pytest.raises(DemoError, match="keys: saw 1, expected 0: please report this defect"):
        steps._expect("keys", 1, 0)
    assert capsys.readouterr().out == "      keys: 1\n"


def test_without_trustme_the_demo_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """One line says how to install trustme."""
    monkeypatch.setitem(sys.modules, "trustme", None)
    assert main(["demo"]) == 2
    assert "the demo needs trustme: pip install 'requests-bearer-env[demo]'" in capsys.readouterr().err
