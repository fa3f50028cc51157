"""The checks that need no network."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, command, doctor
from requests_bearer_env.doctor import Check, diagnose
from tests.helpers import KEY, jwt

DAY = 86400

KeyFile = Callable[..., Path]


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """Write a file with the key: ``key_file(mode=0o640, days=100)``."""

    def write(text: bytes | str = KEY, *, mode: int = 0o600, days: float = 0) -> Path:
        path = tmp_path / "key"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        changed = time.time() - days * DAY
        os.utime(path, (changed, changed))
        return path

    return write


def named(auth: BearerEnvAuth, name: str, **options: Any) -> Check:
    """The one check of that name."""
    (check,) = (check for check in diagnose(auth, **options) if check.name == name)
    return check


def names(auth: BearerEnvAuth) -> list[str]:
    """The names of the checks, in their order."""
    return [check.name for check in diagnose(auth)]


# key


def test_the_key_is_named_by_its_source(key_env: str) -> None:
    """The line says where the key is from, how long it is and how it ends."""
    detail = f"environment variable TGW_API_KEY: {len(KEY)} characters, ending in WXYZ"
    assert named(BearerEnvAuth(key_env), "key") == Check("key", "ok", detail)


@pytest.mark.parametrize(("length", "shown"), [(19, False), (20, True)])
def test_a_short_key_shows_its_length_only(length: int, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last characters are shown from 20 on."""
    monkeypatch.setenv("BEARER_TOKEN", "a" * (length - 4) + "wxyz")
    ending = ", ending in wxyz" if shown else ""
    detail = f"environment variable BEARER_TOKEN: {length} characters{ending}"
    assert named(BearerEnvAuth(), "key").detail == detail


def test_the_first_source_with_a_key_is_the_one(key_env: str, key_file: KeyFile) -> None:
    """As for a request, a later source is not looked at when an earlier one has a key."""
    assert named(BearerEnvAuth(key_env, file=key_file()), "key").detail.startswith("environment variable TGW_API_KEY:")
    assert "file" not in names(BearerEnvAuth(key_env, file=key_file()))


def test_a_source_without_a_key_is_passed_over(key_file: KeyFile) -> None:
    """As for a request, the next source is asked when one has no key."""
    path = key_file()
    assert named(BearerEnvAuth("TGW_API_KEY", file=path), "key").detail.startswith(f"file {path}: ")


def test_no_key_names_every_source_and_what_to_do() -> None:
    """Without a key each source says why, and nothing else is looked at."""
    checks = diagnose(BearerEnvAuth("TGW_API_KEY", provider=lambda: None))
    assert [check[:2] for check in checks] == [("key", "fail")]
    assert "environment variable TGW_API_KEY is not set; provider " in checks[0].detail
    assert checks[0].remedy == "put the key there, or name the source that has it"


def test_a_value_that_is_no_key_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a request would refuse fails, with the remedy apart."""
    monkeypatch.setenv("BEARER_TOKEN", f'"{KEY}"')
    checks = diagnose(BearerEnvAuth())
    assert [check[:2] for check in checks] == [("key", "fail")]
    assert checks[0].detail.endswith("it is wrapped in quotes, which are sent as part of a key")
    assert checks[0].remedy == "store it without them"


def test_a_source_that_fails_ends_the_search(key_file: KeyFile) -> None:
    """As for a request, a source that fails is not passed over."""

    def vault() -> str:
        raise LookupError(KEY)

    check = named(BearerEnvAuth(provider=vault), "key")
    assert check.status == "fail"
    assert "raised LookupError" in check.detail
    assert KEY not in str(check)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (KEY, ""),
        (f"{KEY}\n", "; left out: the line break at its end"),
        (f"{KEY}\r\n\n", "; left out: the line break at its end"),
        (f" {KEY}\n", "; left out: the white space around it"),
        (f"{KEY}\t", "; left out: the white space around it"),
        (f"bearer {KEY}", "; left out: the scheme Bearer"),
        (f"\ufeff{KEY}", "; left out: the byte order mark"),
        (
            f"\ufeffBearer   {KEY} ",
            "; left out: the byte order mark and the white space around it and the scheme Bearer",
        ),
    ],
)
def test_what_was_left_out_is_told(raw: str, words: str, key_file: KeyFile) -> None:
    """Whatever of the stored value is not sent is named."""
    detail = named(BearerEnvAuth(file=key_file(raw)), "key").detail
    assert detail.endswith(f": {len(KEY)} characters, ending in WXYZ{words}")


def test_what_was_left_out_of_a_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is looked at as a file is."""
    monkeypatch.setenv("BEARER_TOKEN", f"Bearer {KEY}")
    assert named(BearerEnvAuth(), "key").detail.endswith("; left out: the scheme Bearer")


def test_what_was_left_out_of_a_named_file_is_told(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that $NAME_FILE names is looked at, too."""
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(key_file(f"{KEY}\n")))
    assert named(BearerEnvAuth(), "key").detail.endswith("; left out: the line break at its end")


def test_a_file_that_vanishes_is_no_error(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read a second time has nothing told of it."""
    path = key_file()
    auth = BearerEnvAuth(file=path)
    source = auth.sources[0]
    path.unlink()
    path.mkdir()
    assert source.trimmed() == ""


def test_a_provider_is_asked_once() -> None:
    """Looking at the key does not cost a second call, which may cost a fingerprint."""
    calls: list[None] = []

    def vault() -> str:
        calls.append(None)
        return f"{KEY}\n"

    assert named(BearerEnvAuth(provider=vault), "key").status == "ok"
    assert len(calls) == 1


@pytest.mark.parametrize(
    "key",
    [
        "<Your_API_Key>", "{{api_key}}", "{KEY}", "[key]", "${TGW_API_KEY}", "$TGW_API_KEY", "%TGW_API_KEY%",
        "your_api_key_here", "YOUR-API-KEY", "yourapikey", "your_openai_api_key", "YourTokenHere", "my_api_key",
        "api_key", "APIKEY", "token", "key", "insert-your-key-here", "put_your_token_here", "paste.key.here",
        "replace_me", "replace-with-your-key", "change-me", "changeme", "CHANGEME", "replaceme", "placeholder",
        "todo", "None", "null", "nil", "undefined", "xxxxxxxx", "sk-xxxx", "hf_XXXXXXXX", "sk-proj-xxxxxxxx",
        "sk-...", "sk-abcd...wxyz", "sk-****wxyz",
    ],
)  # fmt: skip
def test_a_placeholder_fails(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What documentation has where the key belongs is not a key."""
    monkeypatch.setenv("BEARER_TOKEN", key)
    check = named(BearerEnvAuth(), "key")
    assert check.status == "fail"
    assert check.detail.endswith(f"({len(key)} characters) is a placeholder, not a key")
    assert check.remedy.startswith("put the key itself there")


@pytest.mark.parametrize(
    "key",
    [
        "sk-no-key-required", "1|abcdefgh", "hunter2", "dummy", "local", "x", "xx", "yourself", "mykeyisgood",
        "tokenizer", "nonesuch", "a<b>c", "$ecret", "changes", "your.own-horse", "sk-xxxxyz", "gsk_x.x*x", "todos",
        "abc{d}", "sk..ab", "AIzaSyXXXXXXX1",
    ],
)  # fmt: skip
def test_a_key_is_no_placeholder(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that only resembles a placeholder is one."""
    monkeypatch.setenv("BEARER_TOKEN", key)
    assert named(BearerEnvAuth(), "key").status == "ok"


@pytest.mark.parametrize("key", ["your_" * 3000, "sk-" * 5000, "x" * 16000 + "!", "<" * 16000, "." * 2 + "a.." * 5000])
def test_the_longest_key_is_looked_at_in_no_time(key: str, key_file: KeyFile) -> None:
    """No key keeps the search for placeholders busy."""
    start = time.process_time()
    diagnose(BearerEnvAuth(file=key_file(key)))
    assert time.process_time() - start < 1


# header


def test_the_header_is_described(key_env: str) -> None:
    """The header's shape is told without the key."""
    shape = f"Authorization: Bearer, 1 space, {len(KEY)} visible ASCII characters"
    assert named(BearerEnvAuth(key_env), "header") == Check("header", "ok", shape)


@pytest.mark.parametrize(("length", "status"), [(8000 - 7, "ok"), (8001 - 7, "warn")])
def test_a_header_that_servers_may_not_take_warns(length: int, status: str, key_file: KeyFile) -> None:
    """Servers limit the length of a line."""
    check = named(BearerEnvAuth(file=key_file("a" * length)), "header")
    assert (check.status, check.remedy) == (status, "if it is refused, ask for a shorter key" * (status == "warn"))


# file


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_its_owner_is_ok(mode: int, key_file: KeyFile) -> None:
    """Nobody else can get at the key."""
    path = key_file(mode=mode)
    detail = f"{path}: mode {mode:04o}, unchanged for 0 s"
    assert named(BearerEnvAuth(file=path), "file") == Check("file", "ok", detail)


@pytest.mark.parametrize("bit", [0o40, 0o20, 0o10, 0o4, 0o2, 0o1])
def test_a_file_that_others_get_at_warns(bit: int, key_file: KeyFile) -> None:
    """Any right of the group or of others is too much."""
    path = key_file(mode=0o600 | bit)
    check = named(BearerEnvAuth(file=path), "file")
    assert check.status == "warn"
    assert f"mode {0o600 | bit:04o}, open to others" in check.detail
    assert check.remedy == f"leave it to its owner alone: chmod 600 {path}"


@pytest.mark.parametrize("mount", ["/run/secrets/", "/var/run/secrets/"])
def test_the_mounts_of_containers_are_known(mount: str) -> None:
    """The places where platforms mount secrets are exempt from the question of who may read."""
    assert f"{mount}key".startswith(doctor._MOUNTED)


def test_a_mounted_secret_may_be_readable(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads a container's secrets is decided elsewhere; their age counts all the same."""
    path = key_file(mode=0o444, days=1)
    monkeypatch.setattr(doctor, "_MOUNTED", (f"{path.parent}/",))
    assert named(BearerEnvAuth(file=path), "file").status == "ok"
    assert named(BearerEnvAuth(file=path), "file", max_age=0.5).remedy.startswith("rotate")


def test_a_way_out_of_the_mount_is_seen(key_file: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link or .. that leads out of the mount is followed."""
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "key").symlink_to(key_file(mode=0o644))
    monkeypatch.setattr(doctor, "_MOUNTED", (f"{mount}/",))
    assert named(BearerEnvAuth(file=mount / "key"), "file").status == "warn"


@pytest.mark.parametrize(("days", "status"), [(89.9, "ok"), (90.1, "warn")])
def test_an_old_key_warns(days: float, status: str, key_file: KeyFile) -> None:
    """A file that nobody has changed for 90 days holds a key to rotate."""
    check = named(BearerEnvAuth(file=key_file(days=days)), "file")
    assert check.status == status
    assert f"unchanged for {int(days)} days" in check.detail
    assert check.remedy.startswith("rotate the key") is (status == "warn")


def test_the_age_is_a_choice(key_file: KeyFile) -> None:
    """Other houses rotate more often."""
    assert named(BearerEnvAuth(file=key_file(days=8)), "file", max_age=7).status == "warn"


def test_a_file_of_the_future_is_new(key_file: KeyFile) -> None:
    """A clock that was set back does not make an age negative."""
    assert "unchanged for 0 s" in named(BearerEnvAuth(file=key_file(days=-3)), "file").detail


def test_two_faults_of_a_file_have_two_remedies(key_file: KeyFile) -> None:
    """An old file that everyone may read is told both."""
    remedy = named(BearerEnvAuth(file=key_file(mode=0o644, days=100)), "file").remedy
    assert remedy.startswith("leave it to its owner alone: chmod 600 ")
    assert "; rotate the key: " in remedy


def test_a_path_is_quoted_for_the_shell(tmp_path: Path) -> None:
    """The remedy can be pasted whatever the path is, and keeps to its line."""
    path = tmp_path / "my key\x1b\n"
    path.write_text(KEY)
    path.chmod(0o644)
    check = named(BearerEnvAuth(file=path), "file")
    assert check.remedy == f"leave it to its owner alone: chmod 600 '{tmp_path}/my key??'"


def test_the_file_a_variable_names_is_looked_at(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """$NAME_FILE leads to a file like any other."""
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(key_file(mode=0o640)))
    assert named(BearerEnvAuth(), "file").status == "warn"


def test_a_file_with_something_else_is_looked_at(key_file: KeyFile) -> None:
    """A file whose text is no key may still be one that everybody reads."""
    checks = diagnose(BearerEnvAuth(file=key_file("two words", mode=0o644)))
    assert [check[:2] for check in checks] == [("key", "fail"), ("file", "warn")]


def test_a_variable_has_no_file(key_env: str) -> None:
    """A check that does not apply is absent."""
    assert names(BearerEnvAuth(key_env)) == ["key", "header"]


def test_a_missing_file_is_told_once(tmp_path: Path) -> None:
    """Where there is no file there is nothing to say of its permissions."""
    assert names(BearerEnvAuth(file=tmp_path / "missing")) == ["key"]


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """What cannot be read as a file has no permissions of one."""
    checks = diagnose(BearerEnvAuth(file=tmp_path))
    assert [check[:2] for check in checks] == [("key", "fail")]
    assert checks[0].remedy == "check the path and its permissions"


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """A pipe, such as a shell's <(...), has neither age nor readers."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, KEY.encode())
    os.close(writer)
    assert names(BearerEnvAuth(file=path)) == ["key", "header"]
    os.close(reader)


# jwt


def test_a_jwt_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims are read against the present time."""
    monkeypatch.setenv("BEARER_TOKEN", jwt({"exp": time.time() + 3600 * 5.5}).removeprefix("Bearer "))
    assert named(BearerEnvAuth(), "jwt").detail == "expires in 5 hours; no scopes; no audience"


def test_the_checks_come_in_order(key_file: KeyFile) -> None:
    """The order is that of the documentation."""
    path = key_file(jwt({}).removeprefix("Bearer "))
    assert names(BearerEnvAuth(file=path)) == ["key", "header", "file", "jwt"]


# diagnose


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"auth": "secret"}, TypeError, "auth is str: give a BearerEnvAuth"),
        ({"url": b"secret"}, TypeError, "url is bytes: give a str"),
        ({"method": 7}, TypeError, "method= is int: give a str"),
        ({"method": ""}, ValueError, "method= is not a word of letters: give GET, POST or the like"),
        ({"method": "GET secret"}, ValueError, "method= is not a word of letters: give GET, POST or the like"),
        ({"timeout": "secret"}, TypeError, "timeout= is str: give a number"),
        ({"timeout": True}, TypeError, "timeout= is bool: give a number"),
        ({"timeout": 0}, ValueError, "timeout= is not a positive number of a sensible size: correct it"),
        ({"timeout": 1e8}, ValueError, "timeout= is not a positive number of a sensible size: correct it"),
        ({"max_age": None}, TypeError, "max_age= is NoneType: give a number"),
        ({"max_age": -1}, ValueError, "max_age= is not a positive number of a sensible size: correct it"),
        ({"max_age": float("nan")}, ValueError, "max_age= is not a positive number of a sensible size: correct it"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    """What is no argument is an error of its own, and is not shown."""
    call: dict[str, Any] = {"auth": BearerEnvAuth(), **arguments}
    with pytest.raises(error) as caught:
        diagnose(**call)
    assert str(caught.value) == words


def test_the_arguments_of_a_command_are_not_shown() -> None:
    """A program is named by its name, for its arguments may lead to the key."""
    program = [sys.executable, "-c", f"print({KEY!r})"]
    check = named(BearerEnvAuth(provider=command(program)), "key")
    assert check.status == "ok"
    assert check.detail.startswith(f"provider command {Path(sys.executable).name}: ")


def test_nothing_shows_the_key(key_file: KeyFile) -> None:
    """No check has more of the key than its end."""
    for text in (KEY, f"{KEY} {KEY}", f"API={KEY}", f"'{KEY}'", f"<{KEY}>", f"Bearer Bearer {KEY}"):
        shown = repr(diagnose(BearerEnvAuth(file=key_file(text))))
        assert not any(KEY[at : at + 8] in shown for at in range(len(KEY) - 7)), text


def test_importing_the_package_loads_no_doctor() -> None:
    """The command line and what it needs cost a program nothing."""
    code = (
        "import sys, requests_bearer_env as package; names = ('argparse', *(f'{package.__name__}.{part}' for part in "
        "('__main__', 'answer', 'demo', 'doctor', 'failure', 'jwt', 'probe', 'report')));"
        "print([name for name in names if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
