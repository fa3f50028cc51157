"""The report as a whole, as far as it needs no network."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
from requests.auth import HTTPBasicAuth

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.doctor import Check, diagnose, examination
from tests.helpers import KEY, assert_hidden, examine_for_command, jwt


def names(checks: list[Check]) -> list[str]:
    """Return the names of the lines, in their order."""
    return [check.name for check in checks]


def test_lines_come_in_order(tmp_path: Path) -> None:
    """The order is documented, and the last line summarises the others."""
    path = tmp_path / "key"
    path.write_text(jwt({"exp": time.time() + 5.5 * 3600}).removeprefix("Bearer "))
    path.chmod(0o600)
    checks = diagnose(BearerEnvAuth(file=path))
    assert names(checks) == ["key", "header", "file", "jwt", "verdict"]
    assert checks[3] == ("jwt", "ok", "expires in 5 hours; no scopes; no audience", "")
    sentence = "the key can be sent; give a URL to see whether the server accepts it"
    assert checks[4] == ("verdict", "ok", sentence, "")


def test_missing_key_is_the_only_line() -> None:
    """Without a key there is nothing else to check."""
    checks = diagnose(BearerEnvAuth("TGW_API_KEY"))
    assert [check[:2] for check in checks] == [("key", "fail"), ("verdict", "fail")]
    assert checks[-1].detail == "there is no key to send; failed: key"


def test_verdict_names_failures_and_warnings(tmp_path: Path) -> None:
    """A warning may be about the cause of a failure, such as a file that is never updated."""
    path = tmp_path / "key"
    path.write_text("changeme")
    os.utime(path, (0, 0))
    checks = diagnose(BearerEnvAuth(file=path))
    sentence = "the key can be sent; give a URL to see whether the server accepts it; see: key, file"
    assert checks[-1] == ("verdict", "warn", sentence, "")
    path.write_text(jwt({"exp": 1}).removeprefix("Bearer "))
    os.utime(path, (0, 0))
    checks = diagnose(BearerEnvAuth(file=path))
    sentence = "the key can be sent; give a URL to see whether the server accepts it; failed: jwt; see: file"
    assert checks[-1] == ("verdict", "fail", sentence, "")


def test_file_of_a_failed_source_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that holds no valid key may be an old one."""
    path = tmp_path / "key"
    path.write_text("two words")
    os.utime(path, (0, 0))
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
    assert [check[:2] for check in diagnose(BearerEnvAuth())][:2] == [("key", "fail"), ("file", "warn")]


@pytest.mark.posix("control characters in names")
def test_control_characters_in_a_path_are_hidden(tmp_path: Path) -> None:
    """No line passes a control character of a path to the terminal."""
    path = tmp_path / "my key\x1b\n"
    path.write_text(KEY)
    path.chmod(0o644)
    checks = diagnose(BearerEnvAuth(file=path))
    assert checks[0].detail.startswith(f"file {tmp_path}/my key??: ")
    assert checks[2].remedy == f"make it readable by its owner only: chmod 600 '{tmp_path}/my key??'"


@pytest.mark.parametrize(("text", "readable"), [(KEY, True), (f"'{KEY}'", False)])
def test_file_check_knows_if_a_key_was_read(
    text: str, readable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line about the file depends on whether the key could be read."""
    path = tmp_path / "key"
    path.write_text(text)
    seen: list[object] = []

    def check_file(*_: Any, readable: bool, **__: Any) -> None:
        seen.append(readable)

    monkeypatch.setattr(examination, "check_file", check_file)
    diagnose(BearerEnvAuth(file=path))
    assert seen == [readable]


@pytest.mark.parametrize(("days", "status"), [(89.5, "ok"), (90.5, "warn")])
def test_a_key_may_be_90_days_old(days: float, status: str, tmp_path: Path) -> None:
    """The default maximum age is 90 days."""
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o600)
    changed = time.time() - days * 86400
    os.utime(path, (changed, changed))
    assert [check.status for check in diagnose(BearerEnvAuth(file=path)) if check.name == "file"] == [status]


def test_lines_come_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader sees the first lines before the check of the URL connects to the server."""
    addresses: list[object] = []

    def connect(address: object, *_: object) -> NoReturn:
        addresses.append(address)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", connect)
    lines = examine_for_command(BearerEnvAuth(provider=lambda: KEY), "https://tgw.local/")
    assert [next(lines).name, next(lines).name] == ["key", "header"]
    assert addresses == []
    assert next(lines).name == "url"
    assert addresses == [("tgw.local", 443)]


# MountedAuth


MOUNTED = MountedAuth(
    {
        "https://tgw.local/v1/": BearerEnvAuth("TGW_API_KEY"),
        "https://nested.example/": MountedAuth({"https://nested.example/v1": BearerEnvAuth("TGW_API_KEY")}),
        "https://basic.example/": HTTPBasicAuth("user", "hunter2"),
    }
)


@pytest.mark.parametrize("host", ["tgw.local", "nested.example"])
def test_mount_of_the_url_decides(host: str) -> None:
    """The auth that is mounted at the URL is checked as if it were used alone."""
    lines = examine_for_command(MOUNTED, f"https://{host}/v1/models")
    assert next(lines).detail == "no key found because TGW_API_KEY is not set in this process's environment"


@pytest.mark.parametrize(
    ("url", "detail", "remedy"),
    [
        (None, "a MountedAuth sends a key only to URLs in its prefixes, and no URL was given",
         "give the URL that the requests go to"),
        ("https://user:hunter2@tgw.local/v2?hunter2",
         "no key goes to https://tgw.local/v2 because none of the MountedAuth's prefixes covers it",
         "correct the URL, or mount an auth there"),
        ("https://nested.example/v2",
         "no key goes to https://nested.example/v2 because none of the MountedAuth's prefixes covers it",
         "correct the URL, or mount an auth there"),
        ("https://basic.example/x",
         "what is mounted at https://basic.example/ is HTTPBasicAuth, whose key cannot be checked",
         "mount a BearerEnvAuth there, or try that auth by itself"),
    ],
)  # fmt: skip
def test_url_without_a_key_fails(url: str | None, detail: str, remedy: str) -> None:
    """No key is sent to a URL without a mount, so no request is made."""
    assert diagnose(MOUNTED, url) == [
        ("key", "fail", detail, remedy),
        ("verdict", "fail", "no request was sent; failed: key", ""),
    ]


# The URL


@pytest.mark.parametrize("url", ["tgw.local/v1", "https://", "https://[::1", "https://*.example/"])
@pytest.mark.parametrize("auth", [BearerEnvAuth("TGW_API_KEY"), MOUNTED])
def test_url_that_cannot_be_parsed_fails(url: str, auth: BearerEnvAuth | MountedAuth) -> None:
    """The URL is not shown."""
    assert diagnose(auth, url) == [
        ("url", "fail", "requests cannot parse the URL", "write it as https://host/path"),
        ("verdict", "fail", "no request was sent; failed: url", ""),
    ]


@pytest.mark.parametrize("url", ["ftp://hunter2@host/", "tgw.local:5000/hunter2", f"x:{KEY}", "file:///hunter2"])
def test_url_of_another_kind_fails(url: str, key_env: str) -> None:
    """The URL is not shown, because it may hold a password or be the key."""
    check = diagnose(BearerEnvAuth(key_env), url)[2]
    detail = "the key was not sent because the URL is not http or https with a plain host name"
    assert check == ("url", "fail", detail, "write it like https://api.example.com/v1/models")


def test_refused_destination_is_not_connected_to(key_env: str) -> None:
    """The error is that of a request, in the words of the user interface."""
    auth = BearerEnvAuth(key_env, hosts=["api.example.com"])
    problem = "the key was not sent to https://tgw.local because the key is bound to api.example.com"
    remedy = "correct the URL, or name the host with {} if the key belongs there"
    assert diagnose(auth, "https://tgw.local/")[2:] == [
        ("url", "fail", problem, remedy.format("hosts=")),
        ("verdict", "fail", "no request was sent; failed: url", ""),
    ]
    assert list(examine_for_command(auth, "https://tgw.local/"))[2].remedy == remedy.format("--host")


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"auth": "secret"}, TypeError, "auth is str: give a BearerEnvAuth or a MountedAuth"),
        ({"url": b"secret"}, TypeError, "the url is bytes: give a str"),
        ({"method": 7}, TypeError, "the method is int: give a str"),
        ({"method": ""}, ValueError, "the method is not a word of letters: give GET, POST or the like"),
        ({"method": "GET secret"}, ValueError, "the method is not a word of letters: give GET, POST or the like"),
        ({"timeout": "secret"}, TypeError, "the timeout is str: give a number of seconds"),
        ({"timeout": True}, TypeError, "the timeout is bool: give a number of seconds"),
        ({"timeout": 0}, ValueError, "the timeout is not a positive number below 1e+08: give a number of seconds"),
        ({"timeout": 1e8}, ValueError, "the timeout is not a positive number below 1e+08: give a number of seconds"),
        ({"max_age": None}, TypeError, "the maximum age is NoneType: give a number of days"),
        ({"max_age": -1}, ValueError, "the maximum age is not a positive number below 1e+08: give a number of days"),
        ({"max_age": float("nan")}, ValueError,
         "the maximum age is not a positive number below 1e+08: give a number of days"),
    ],
)  # fmt: skip
def test_a_wrong_argument_raises(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    """The message does not show the argument, which may be a key."""
    call: dict[str, Any] = {"auth": BearerEnvAuth(), **arguments}
    with pytest.raises(error) as caught:
        diagnose(**call)
    assert str(caught.value) == words


def test_nothing_shows_the_key(tmp_path: Path) -> None:
    """No line shows more of the key than its end."""
    path = tmp_path / "key"
    for text in (KEY, f"{KEY} {KEY}", f"API={KEY}", f"'{KEY}'", f"<{KEY}>", f"Bearer Bearer {KEY}", f"/run/{KEY}"):
        path.write_text(text)
        assert_hidden(diagnose(BearerEnvAuth(file=path)))
