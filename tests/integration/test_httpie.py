"""The HTTPie plugin, in the real ``http`` program against a real TLS server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from requests_bearer_env.demo.server import Server
from requests_bearer_env.httpie import BearerEnvPlugin
from tests.helpers import KEY, Serve, authorizations, keyed


@pytest.fixture
def server(serve: Serve) -> Server:
    """A server that knows the key."""
    return serve(keyed(KEY))


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """HTTPie's settings: none of this machine's, and no looking for updates."""
    path = tmp_path / "httpie"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"disable_update_warnings": True}))
    monkeypatch.setenv("HTTPIE_CONFIG_DIR", str(path))
    return path


def http(ca: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run HTTPie."""
    program: list[str | Path] = [
        Path(sys.executable).with_name("http"),
        "--ignore-stdin",
        "--check-status",
        f"--verify={ca}",
    ]
    return subprocess.run([*program, *arguments], capture_output=True, check=False, text=True, timeout=60)


def test_a_variable_by_name(server: Server, ca: str, config: Path, key_env: str) -> None:
    """``-a NAME`` reads ``$NAME``; the key is not in the command line."""
    ran = http(ca, "-A", "bearer-env", "-a", key_env, server.url())
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "welcome", "")
    assert authorizations(server) == [f"Bearer {KEY}"]


def test_the_default_variable(server: Server, ca: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``-a`` it is ``$BEARER_TOKEN``."""
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    assert http(ca, "-A", "bearer-env", server.url()).returncode == 0


def test_a_file(server: Server, ca: str, config: Path, tmp_path: Path) -> None:
    """``-a @PATH`` reads a file."""
    (tmp_path / "key").write_text(KEY + "\n")
    assert http(ca, "-A", "bearer-env", "-a", f"@{tmp_path / 'key'}", server.url()).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-a", KEY], f"-a ({len(KEY)} characters, not shown) is not the name of an environment variable"),
        (["-a", "@"], "-a @ is not a path"),
        (["-a", "NO_KEY"], "environment variable NO_KEY is not set"),
        (["-a", "@/dev/no/such/key"], "file /dev/no/such/key does not exist"),
        ([], "environment variable BEARER_TOKEN is not set"),
    ],
)
def test_an_error_is_one_line(arguments: list[str], words: str, server: Server, ca: str, config: Path) -> None:
    """HTTPie's own, without a traceback and without the key; nothing is sent."""
    ran = http(ca, "-A", "bearer-env", *arguments, server.url())
    assert ran.returncode == 1
    (line,) = ran.stderr.strip().splitlines()
    assert line.startswith("http: error: ")
    assert words in line
    assert KEY not in ran.stdout + ran.stderr
    assert server.seen == []


def test_plain_http_is_refused(serve: Serve, ca: str, config: Path, key_env: str) -> None:
    """As everywhere."""
    server = serve(keyed(KEY), tls=False)
    ran = http(ca, "-A", "bearer-env", "-a", key_env, server.url())
    assert ran.returncode == 1
    assert "http: error: InsecureTransportError: the key was not sent to http://localhost" in ran.stderr
    assert server.seen == []


def test_a_session_on_disk_has_no_key(server: Server, ca: str, config: Path, key_env: str, tmp_path: Path) -> None:
    """HTTPie stores what ``-a`` said, and the next call reads the key anew."""
    path = tmp_path / "session.json"
    assert http(ca, "-A", "bearer-env", "-a", key_env, f"--session={path}", server.url()).returncode == 0
    assert KEY not in path.read_text()
    assert http(ca, f"--session={path}", server.url()).returncode == 0


def test_verbose_output_shows_the_key_as_is_documented(server: Server, ca: str, config: Path, key_env: str) -> None:
    """HTTPie prints what it sends when it is told to; that cannot be prevented from here."""
    assert KEY in http(ca, "--verbose", "-A", "bearer-env", "-a", key_env, server.url()).stdout
    assert KEY not in http(ca, "--print=hb", "-A", "bearer-env", "-a", key_env, server.url()).stdout


def test_the_plugin_makes_the_auth(key_env: str, tmp_path: Path) -> None:
    """In this process, as HTTPie does it."""
    (tmp_path / "key").write_text(KEY)
    for raw in (key_env, f"@{tmp_path / 'key'}"):
        plugin = BearerEnvPlugin()
        plugin.raw_auth = raw
        request = requests.Request("GET", "https://api.example/", auth=plugin.get_auth()).prepare()
        assert request.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (
            KEY,
            (
                f"-a ({len(KEY)} characters, not shown) is not the name of an environment variable: "
                "put the key into a variable and give the name of that"
            ),
        ),
        ("@", "-a @ is not a path (blank, or with a NULL in it): give the path of the key's file"),
    ],
)
def test_the_plugin_says_what_is_wrong_when_the_request_is_made(raw: str, words: str) -> None:
    """In the words of its option; the error carries the request, as all do."""
    plugin = BearerEnvPlugin()
    plugin.raw_auth = raw
    request = requests.Request("GET", "https://api.example/").prepare()
    with pytest.raises(requests.RequestException) as caught:
        request.prepare_auth(plugin.get_auth())
    assert str(caught.value) == words
    assert caught.value.request is request
