"""The HTTPie plugins, in the real ``http`` program against a real TLS server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import pytest
import requests
from httpie.context import Environment
from httpie.core import main

from requests_bearer_env import BearerAuthError, InsecureTransportError, KeySourceError
from requests_bearer_env.demo.server import Server
from requests_bearer_env.httpie import BearerEnvLocalPlugin, BearerEnvPlugin, _HTTPieAuth
from tests.helpers import KEY, OLD, Serve, assert_hidden, authorizations, keyed


@pytest.fixture
def server(serve: Serve) -> Server:
    """A server that knows the key."""
    return serve(keyed(KEY))


class Ran(NamedTuple):
    """What HTTPie did."""

    returncode: int
    stdout: str
    stderr: str


Http = Callable[..., Ran]


@pytest.fixture
def http(ca: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Http:
    """Run HTTPie in this process, as its own tests do: starting it takes half a second."""
    folder = tmp_path / "httpie"  # HTTPie's settings: none of this machine's, and no looking for updates
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", ca)  # instead of the system's CAs, whose loading takes 50 ms
    (folder / "config.json").write_text(json.dumps({"disable_update_warnings": True}))

    def run(*arguments: str) -> Ran:
        with TemporaryFile("w+", encoding="utf-8") as out, TemporaryFile("w+", encoding="utf-8") as err:
            environment = Environment(
                config_dir=folder, stdin=None, stdout=out, stdout_isatty=False, stderr=err, stderr_isatty=False
            )
            status = main(["http", "--check-status", f"--verify={ca}", *arguments], environment)
            for stream in (out, err):
                stream.seek(0)
            return Ran(int(status), out.read(), err.read())

    return run


def test_a_name_selects_a_variable(server: Server, http: Http, key_env: str) -> None:
    """``-a NAME`` reads ``$NAME``; the key is not in the command line."""
    assert http("-A", "bearer-env", "-a", key_env, server.url()) == Ran(0, "welcome", "")
    assert authorizations(server) == [OLD]


def test_without_a_name_bearer_token_is_read(server: Server, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``-a`` the key is that of ``$BEARER_TOKEN``."""
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    assert http("-A", "bearer-env", server.url()).returncode == 0


def test_an_at_sign_selects_a_file(server: Server, http: Http, tmp_path: Path) -> None:
    """``-a @PATH`` reads a file."""
    (tmp_path / "key").write_text(KEY + "\n")
    assert http("-A", "bearer-env", "-a", f"@{tmp_path / 'key'}", server.url()).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-a", KEY],
            (
                f"BearerAuthError: -a NAME ({len(KEY)} characters, not shown) is not the name of an environment "
                "variable: put the key into a variable and give that variable's name, or name a file with -a @PATH"
            ),
        ),
        (
            ["-a", "$KEY"],
            (
                "BearerAuthError: -a NAME (4 characters, not shown) is written as a shell expands a variable: "
                "give the variable's name alone, without $ or %"
            ),
        ),
        (
            ["-a", "@"],
            "BearerAuthError: -a @PATH is blank or has a NUL character in it: give the path of the key's file",
        ),
        (
            ["-a", "NO_KEY"],
            (
                "MissingKeyError: no key found because NO_KEY is not set in this process's environment: "
                "set it before the program starts, or set NO_KEY_FILE to the path of a file with the key"
            ),
        ),
        (
            ["-a", "@~/no/such/key"],
            (
                "MissingKeyError: no key found because file ~/no/such/key does not exist: "
                "store the key in that file, or correct the path"
            ),
        ),
        (
            ["-a", f"@{os.devnull}"],
            (
                f"KeySourceError: file {os.devnull} is not a regular file but a directory, pipe, socket or device: "
                "give the path of a regular file, or use provider= in Python with a program that prints the key"
            ),
        ),
        (
            [],
            (
                "MissingKeyError: no key found because BEARER_TOKEN is not set in this process's environment: "
                "name another variable with -a NAME, or set this one before the program starts"
            ),
        ),
    ],
)
def test_an_error_is_one_line(arguments: list[str], message: str, server: Server, http: Http) -> None:
    """The error is HTTPie's own, in words of its options, without a traceback and the key; nothing is sent."""
    ran = http("-A", "bearer-env", *arguments, server.url())
    assert ran.returncode == 1
    (line,) = ran.stderr.strip().splitlines()
    assert line.startswith(f"http: error: {message}")
    assert_hidden(ran.stdout + ran.stderr)
    assert server.seen == []


LOCAL_ONLY = "use -A bearer-env-local (this machine only), or https:// if the server speaks TLS"


def test_plain_http_is_refused(serve: Serve, http: Http, key_env: str) -> None:
    """The message names the option that allows plain HTTP to this machine."""
    server = serve(keyed(KEY), tls=False)
    ran = http("-A", "bearer-env", "-a", key_env, server.url())
    assert ran.returncode == 1
    assert "http: error: InsecureTransportError: the key was not sent to http://localhost:" in ran.stderr
    assert LOCAL_ONLY in ran.stderr
    assert server.seen == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_plain_http_to_this_machine_is_allowed(host: str, serve: Serve, http: Http, key_env: str) -> None:
    """``-A bearer-env-local`` sends the key to a server on this machine."""
    server = serve(keyed(KEY), tls=False)
    ran = http("-A", "bearer-env-local", "-a", key_env, server.url(host=host))
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "welcome", "")


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "[::1]:5000", "[::1]"])
def test_all_names_of_this_machine_are_local(host: str, key_env: str) -> None:
    """IPv4, IPv6 and the name; the default port and others."""
    plugin = BearerEnvLocalPlugin()
    plugin.raw_auth = key_env
    request = requests.Request("GET", f"http://{host}/", auth=plugin.get_auth()).prepare()
    assert request.headers["Authorization"] == OLD


@pytest.mark.parametrize("host", ["tgw.local", "127.0.0.2", "localhost.example", "0.0.0.0"])
def test_another_machine_is_not_local(host: str, key_env: str) -> None:
    """``-A bearer-env-local`` refuses plain HTTP to any other host, and the message does not offer it."""
    plugin = BearerEnvLocalPlugin()
    plugin.raw_auth = key_env
    request = requests.Request("GET", f"http://{host}/").prepare()
    with pytest.raises(InsecureTransportError) as caught:
        request.prepare_auth(plugin.get_auth())
    assert caught.value.remedy == "use https://"
    assert caught.value.request is request
    assert "Authorization" not in request.headers


def test_a_session_on_disk_has_no_key(server: Server, http: Http, key_env: str, tmp_path: Path) -> None:
    """HTTPie stores what ``-a`` said, and the next call reads the key anew."""
    path = tmp_path / "session.json"
    assert http("-A", "bearer-env", "-a", key_env, f"--session={path}", server.url()).returncode == 0
    assert_hidden(path.read_text())
    assert http(f"--session={path}", server.url()).returncode == 0


def test_verbose_output_shows_the_key(server: Server, http: Http, key_env: str) -> None:
    """HTTPie prints the headers that it sends if it is asked to, which a plugin cannot prevent."""
    assert KEY in http("--verbose", "-A", "bearer-env", "-a", key_env, server.url()).stdout
    assert_hidden(http("--print=hb", "-A", "bearer-env", "-a", key_env, server.url()).stdout)


@pytest.mark.parametrize("plugin", [BearerEnvPlugin, BearerEnvLocalPlugin])
@pytest.mark.parametrize("raw", ["NAME", "@PATH", None])
def test_the_plugin_makes_the_auth(
    plugin: type[BearerEnvPlugin], raw: str | None, key_env: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each form of ``-a``, in this process, as HTTPie makes the auth."""
    monkeypatch.chdir(tmp_path)
    Path("k").write_text(KEY)
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    made = plugin()
    made.raw_auth = {"NAME": key_env, "@PATH": "@k", None: None}[raw]
    url = "http://localhost/" if plugin is BearerEnvLocalPlugin else "https://api.example/"
    assert requests.Request("GET", url, auth=made.get_auth()).prepare().headers["Authorization"] == OLD


@pytest.mark.parametrize("raw", [KEY, "@"])
def test_a_wrong_option_raises_with_the_request(raw: str) -> None:
    """The error is raised when the request is prepared, because HTTPie shows one before that as a traceback."""
    plugin = BearerEnvPlugin()
    plugin.raw_auth = raw
    auth = plugin.get_auth()
    request = requests.Request("GET", "https://api.example/").prepare()
    with pytest.raises(BearerAuthError, match=r"^-a ") as caught:
        request.prepare_auth(auth)
    assert caught.value.request is request


def test_the_cause_is_kept() -> None:
    """An error in the words of HTTPie has the cause of the original one."""
    failure = OSError(KEY)

    def vault() -> str:
        raise failure

    with pytest.raises(KeySourceError) as caught:
        requests.Request("GET", "https://api.example/", auth=_HTTPieAuth(provider=vault)).prepare()
    assert caught.value.__cause__ is failure
