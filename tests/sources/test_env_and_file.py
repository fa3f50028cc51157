"""Sources of keys: one contract for every kind of source, then what only variables and files do."""

from __future__ import annotations

import errno
import itertools
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from requests_bearer_env import (
    BearerAuthError,
    BearerEnvAuth,
    InvalidKeyError,
    KeySourceError,
    MissingKeyError,
    command,
    platforms,
    sources,
)
from requests_bearer_env.sources import file as file_module
from requests_bearer_env.sources.base import Reading
from requests_bearer_env.sources.env import EnvSource
from requests_bearer_env.sources.file import FileSource
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, authorized, frames_of, lowest_free_descriptor, python


class Kind:
    """A kind of source: an auth that reads it, and a function that stores a key in it, or removes the key."""

    def __init__(self, auth: BearerEnvAuth, put: Callable[[str | None], None]) -> None:
        self.auth = auth
        self.put = put


def _env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    def put(raw: str | None) -> None:
        if raw is None:
            monkeypatch.delenv("TGW_API_KEY", raising=False)
        else:
            monkeypatch.setenv("TGW_API_KEY", raw)

    return Kind(BearerEnvAuth("TGW_API_KEY"), put)


def _put_file(path: Path) -> Callable[[str | None], None]:
    def put(raw: str | None) -> None:
        if raw is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(raw.encode("utf-8", "surrogateescape"))

    return put


def _env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    monkeypatch.setenv("TGW_API_KEY_FILE", str(tmp_path / "key"))
    return Kind(BearerEnvAuth("TGW_API_KEY"), _put_file(tmp_path / "key"))


def _file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    return Kind(BearerEnvAuth(file=tmp_path / "key"), _put_file(tmp_path / "key"))


def _provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ttl: float | None = None) -> Kind:
    vault: dict[str, str | None] = {"key": None}

    def put(raw: str | None) -> None:
        vault["key"] = raw

    return Kind(BearerEnvAuth(provider=lambda: vault["key"], ttl=ttl), put)


def _cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    # The key expires before the next request, because the contract is about reading; test_cache.py has the rest.
    # The clock of Windows before Python 3.13 has a resolution of 15.6 ms, so this one moves at each call.
    monkeypatch.setattr("time.monotonic", itertools.count(1000.0).__next__)
    return _provider(monkeypatch, tmp_path, ttl=1e-9)


def _command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    put = _put_file(tmp_path / "key")
    put(None)
    code = "import os, sys; os.path.exists(sys.argv[1]) and os.write(1, open(sys.argv[1], 'rb').read())"
    return Kind(BearerEnvAuth(provider=command(python(code, str(tmp_path / "key")))), put)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a missing or blank file as often as ever, but without waiting."""
    for module in (sources, file_module):
        monkeypatch.setattr(module, "PAUSES", (0.0,) * 4)


@pytest.fixture(
    params=[_env, _env_file, _file, _provider, _cached, _command], ids=lambda make: make.__name__.strip("_")
)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short_pauses: None) -> Kind:
    """Each kind of source in turn."""
    made: Kind = request.param(monkeypatch, tmp_path)
    return made


class TestContract:
    """What every kind of source does."""

    def test_its_key_is_sent(self, kind: Kind) -> None:
        """The key is sent after the scheme and one space."""
        kind.put(KEY)
        assert authorized(kind.auth) == OLD

    @pytest.mark.parametrize("form", ["{}\n", "  {}\r\n", "Bearer {}", "bearer   {}\n"])
    def test_white_space_and_scheme_are_dropped(self, kind: Kind, form: str) -> None:
        """A stray line break or a scheme does not lead to a 401."""
        kind.put(form.format(KEY))
        assert authorized(kind.auth) == OLD

    def test_it_is_read_for_every_request(self, kind: Kind) -> None:
        """A rotated key is sent from the next request on."""
        kind.put(KEY)
        authorized(kind.auth)
        kind.put(OTHER_KEY)
        assert authorized(kind.auth) == NEW

    @pytest.mark.parametrize("raw", [None, "", " \n"])
    def test_a_blank_or_missing_key_raises(self, kind: Kind, raw: str | None) -> None:
        """Unset, missing and blank are the same, and no request is sent without a key."""
        kind.put(raw)
        with pytest.raises(MissingKeyError):
            authorized(kind.auth)

    @pytest.mark.parametrize(
        "raw", [f"{KEY}\n{OTHER_KEY}", f"'{KEY}'", f"KEY={KEY}", f"{KEY[:5]}\u200b{KEY[5:]}", "Bearer"]
    )
    def test_what_cannot_be_a_key_raises(self, kind: Kind, raw: str) -> None:
        """The InvalidKeyError is also a ValueError, and its message holds no key."""
        kind.put(raw)
        with pytest.raises(InvalidKeyError) as caught:
            authorized(kind.auth)
        assert isinstance(caught.value, ValueError)
        assert KEY[:5] not in str(caught.value)

    def test_an_error_leaves_the_request_unchanged(self, kind: Kind) -> None:
        """The error carries the request, which has neither the header nor the hook of the auth."""
        kind.put(None)
        request = requests.Request("POST", "https://api.example/", data=b"body").prepare()
        before = (dict(request.headers), dict(request.hooks), request.body)
        with pytest.raises(MissingKeyError) as caught:
            kind.auth(request)
        assert caught.value.request is request
        assert (dict(request.headers), dict(request.hooks), request.body) == before

    def test_an_error_is_not_remembered(self, kind: Kind) -> None:
        """The next request gets the key."""
        kind.put(None)
        with pytest.raises(MissingKeyError):
            authorized(kind.auth)
        kind.put(KEY)
        assert authorized(kind.auth) == OLD


def test_the_default_is_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no source is named, the variable is BEARER_TOKEN."""
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    assert authorized(BearerEnvAuth()) == OLD


def test_the_default_is_not_read_beside_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A call that names a source gets its key from that source or none at all."""
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    for auth in (
        BearerEnvAuth("TGW_API_KEY"),
        BearerEnvAuth(file=tmp_path / "no"),
        BearerEnvAuth(provider=lambda: None),
    ):
        with pytest.raises(MissingKeyError):
            authorized(auth)


def test_sources_are_tried_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The order is variable, file, provider, and the first source that has a key wins."""
    auth = BearerEnvAuth("TGW_API_KEY", file=tmp_path / "key", provider=lambda: "from-provider")
    assert authorized(auth) == "Bearer from-provider"
    (tmp_path / "key").write_text("from-file")
    assert authorized(auth) == "Bearer from-file"
    monkeypatch.setenv("TGW_API_KEY", "from-variable")
    assert authorized(auth) == "Bearer from-variable"


def test_a_failing_source_is_not_skipped(tmp_path: Path) -> None:
    """It may have a key, so a later source is not read."""
    with pytest.raises(KeySourceError):
        authorized(BearerEnvAuth(file=tmp_path, provider=lambda: KEY))


def _reading(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    """Store a key with a scheme and a line break in a source, and read the source."""
    raw = f"Bearer {KEY}\n"
    (tmp_path / "key").write_text(raw)
    if source == "env":
        monkeypatch.setenv("TGW_API_KEY", raw)
    if source == "env file":
        monkeypatch.setenv("TGW_API_KEY_FILE", str(tmp_path / "key"))
    return (FileSource(tmp_path / "key") if source == "file" else EnvSource("TGW_API_KEY")).read()


@pytest.mark.parametrize("source", ["env", "env file", "file"])
def test_a_reading_is_complete(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key, the source in words and what was trimmed come from one look at the source."""
    where = "environment variable TGW_API_KEY" if source == "env" else f"file {tmp_path / 'key'}"
    trimmed = "the line break at the end and the scheme Bearer"
    reading = _reading(source, tmp_path, monkeypatch)
    assert str(reading.credential) == OLD
    assert reading[1:] == (where, trimmed, "", False)


@pytest.mark.usefixtures("short_pauses")
class TestVariable:
    """What only the environment variable does."""

    @pytest.mark.parametrize(
        "key",
        [
            "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
            "hunter2",
            "AKIAIOSFODNN7EXAMPLE",
            "secretpassword",
            "ghp_16C7e42F292c69",
        ],
    )
    def test_a_key_in_place_of_a_name_is_not_shown(self, key: str) -> None:
        """Some keys are valid names; if no such variable is set, neither messages nor repr show them."""
        auth = BearerEnvAuth(key)
        with pytest.raises(MissingKeyError, match=f"the variable with a name of {len(key)} characters") as caught:
            authorized(auth)
        assert key not in str(caught.value)
        assert key not in repr(auth)
        assert key not in str(vars(auth))

    @pytest.mark.parametrize("name", ["BEARER_TOKEN", "TOKEN", "OPENAI_API_KEY", "S3_KEY_2", "_TGW_KEY"])
    def test_a_plain_name_is_shown(self, name: str) -> None:
        """A name in capitals made of short words is no key, and helps the reader of the message."""
        with pytest.raises(MissingKeyError, match=f"because {name} is not set"):
            authorized(BearerEnvAuth(name))
        assert repr(BearerEnvAuth(name)) == f"BearerEnvAuth(env={name})"

    @pytest.mark.parametrize("suffix", ["", "_FILE"])
    def test_a_name_that_is_set_is_shown(self, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The name of a variable that exists is no key."""
        monkeypatch.setenv(f"myLongVariableName1{suffix}", " ")
        with pytest.raises(MissingKeyError, match="because myLongVariableName1 is"):
            authorized(BearerEnvAuth("myLongVariableName1"))

    def test_a_blank_file_variable_is_unset(self, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A blank _FILE variable counts as unset, so nothing is ambiguous."""
        monkeypatch.setenv("TGW_API_KEY_FILE", " ")
        assert authorized(BearerEnvAuth(key_env)) == OLD

    def test_a_refusal_names_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message names the variable that has the value, also beside a blank _FILE variable."""
        monkeypatch.setenv("TGW_API_KEY", "two words")
        monkeypatch.setenv("TGW_API_KEY_FILE", " ")
        with pytest.raises(InvalidKeyError, match="the value of environment variable TGW_API_KEY "):
            authorized(BearerEnvAuth("TGW_API_KEY"))

    def test_a_blank_variable_yields_to_its_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A blank variable counts as unset, so the file that the _FILE variable names is read."""
        monkeypatch.setenv("TGW_API_KEY", " ")
        monkeypatch.setenv("TGW_API_KEY_FILE", f" {tmp_path / 'key'}\n")
        (tmp_path / "key").write_text(KEY)
        assert authorized(BearerEnvAuth("TGW_API_KEY")) == OLD

    @pytest.mark.parametrize("quote", ["'", '"'])
    def test_a_quoted_file_variable_names_the_quotes(
        self, quote: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Docker's --env-file keeps quotes, so no file has the path."""
        (tmp_path / "key").write_text(KEY)
        monkeypatch.setenv("TGW_API_KEY_FILE", f"{quote}{tmp_path / 'key'}{quote}")
        with pytest.raises(KeySourceError, match=r"has quotes around it, .*: write the path without quotes"):
            authorized(BearerEnvAuth("TGW_API_KEY"))


@pytest.fixture
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The path of something that is not a regular file."""
    with ExitStack() as stack:
        path = tmp_path / "key"
        if request.param == "directory":
            path.mkdir()
        elif request.param == "link to a directory":
            path.symlink_to(tmp_path)
        elif request.param == "socket":
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(os.path.relpath(path))
        elif request.param == "named pipe without a writer":
            os.mkfifo(path)
        elif request.param == "named pipe with a key":
            os.mkfifo(path)
            descriptor = os.open(path, os.O_RDWR)
            stack.callback(os.close, descriptor)
            os.write(descriptor, KEY.encode())
            # The program that the key is meant for can still read it.
            stack.callback(lambda: os.read(descriptor, 100) == KEY.encode() or pytest.fail("the pipe was read"))
        elif request.param == "pipe":
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            os.write(writer, KEY.encode())
            os.close(writer)
            stack.callback(lambda: os.read(reader, 100) == KEY.encode() or pytest.fail("the pipe was read"))
            path = Path(f"/dev/fd/{reader}")
        else:
            path = Path(request.param)
        yield str(path)


@pytest.mark.parametrize(
    ("name", "others", "hint"),
    [
        ("TGW_API_KEY", ["TGW_APIKEY"], " (TGW_APIKEY is set)"),
        pytest.param(
            "TGW_API_KEY",
            ["tgw_api_key_"],
            " (tgw_api_key_ is set)",
            marks=pytest.mark.posix("names of variables in small letters"),
        ),
        ("TGW_API_KEY", ["TWG_API_KEY"], " (TWG_API_KEY is set)"),
        ("TGW_API_KEY", ["TGW_ADMIN_KEY"], ""),
        ("TGW_API_KEY", ["OPENAI_API_KEY", "KEY"], ""),
        ("TGW_API_KEY", ["TGW_API_KE", "TGW_API_KEYS"], " (TGW_API_KEYS is set)"),
    ],
)
def test_a_similar_name_that_is_set_is_shown(
    name: str, others: list[str], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most missing keys come from a misspelled name; the value of the other variable is not shown."""
    for other in others:
        monkeypatch.setenv(other, KEY)
    with pytest.raises(MissingKeyError) as caught:
        authorized(BearerEnvAuth(name))
    assert caught.value.problem == f"no key found because {name} is not set in this process's environment{hint}"


def test_a_blank_variable_has_no_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is right, and only the value is missing."""
    monkeypatch.setenv("TGW_API_KEY", "")
    monkeypatch.setenv("TGW_APIKEY", KEY)
    assert EnvSource("TGW_API_KEY").hint() == ("", "")


@pytest.mark.usefixtures("short_pauses")
class TestFile:
    """What only the file does."""

    def test_the_path_is_expanded_at_each_request(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
    ) -> None:
        """``~`` and ``$VAR`` have the values of the time of the request."""
        (home / "key").write_text("at-home")
        (tmp_path / "key").write_text("elsewhere")
        auth = BearerEnvAuth(file="$WHERE/key")
        monkeypatch.setenv("WHERE", str(home))
        assert authorized(auth) == "Bearer at-home"
        assert authorized(BearerEnvAuth(file="~/key")) == "Bearer at-home"
        monkeypatch.setenv("WHERE", str(tmp_path))
        assert authorized(auth) == "Bearer elsewhere"
        assert repr(auth) == "BearerEnvAuth(file=$WHERE/key)"

    @pytest.mark.parametrize("path", ["/run/$TGW_API_KEY", "/dev/null/$TGW_API_KEY", "$TGW_API_KEY", "~/$TGW_API_KEY"])
    def test_what_a_path_expands_to_is_not_shown(self, path: str, key_env: str) -> None:
        """``$TGW_API_KEY`` may hold the key itself: message, repr and frames show the path as it was given."""
        auth = BearerEnvAuth(file=path)
        with pytest.raises((MissingKeyError, KeySourceError)) as caught:
            authorized(auth)
        shown = str(caught.value) + repr(caught.value) + repr(auth) + str(vars(auth))
        assert KEY[10:20] not in shown + repr([frame.f_locals for frame in frames_of(caught.value)])

    def test_a_path_with_a_variable_is_shown_as_given(self, key_env: str, tmp_path: Path) -> None:
        """The reader of the message sees the path that the code has."""
        path = str(tmp_path / "$TGW_API_KEY")
        with pytest.raises(MissingKeyError, match=re.escape(f"because file {path} does not exist: ")):
            authorized(BearerEnvAuth(file=path))
        assert repr(BearerEnvAuth(file=path)) == f"BearerEnvAuth(file={path})"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "file $WHERE/key is blank"),
            (b"two words", "the value of file $WHERE/key (9 characters)"),
            (b"\xff", "file $WHERE/key is not UTF-8 text"),
            (b"k" * 20_000, "file $WHERE/key has more than"),
        ],
    )
    def test_every_message_shows_the_path_as_given(
        self, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The value of a variable in the path is not shown, whatever is wrong with the file."""
        (tmp_path / "key").write_bytes(content)
        monkeypatch.setenv("WHERE", str(tmp_path))
        with pytest.raises(BearerAuthError) as caught:
            authorized(BearerEnvAuth(file="$WHERE/key"))
        assert message in str(caught.value)
        assert str(tmp_path) not in str(caught.value)

    @pytest.mark.parametrize("variable", ["$CREDENTIALS_DIR", "${X}"])
    def test_an_unset_variable_in_a_path_is_named(self, variable: str) -> None:
        """A path that begins with an unset variable is shown, and the message says why no such file exists."""
        with pytest.raises(MissingKeyError) as caught:
            authorized(BearerEnvAuth(file=f"{variable}/key"))
        assert f"file {variable}/key does not exist ($ in its path names no variable that is set)" in str(caught.value)

    def test_an_unset_variable_of_windows_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Windows writes a variable in percent signs."""
        monkeypatch.setattr("requests_bearer_env.platforms.WINDOWS", True)
        with pytest.raises(MissingKeyError) as caught:
            authorized(BearerEnvAuth(file="%NO_SUCH_DIR%/key"))
        assert "file %NO_SUCH_DIR%/key does not exist (% in its path names no variable that is set)" in str(
            caught.value
        )

    @pytest.mark.parametrize("path", ["$/9jkey", "$9jk+ey/x", "$key-abc/x"])
    def test_a_dollar_sign_alone_makes_no_path(self, path: str) -> None:
        """A text that begins with a dollar sign may be the key, and is not shown."""
        with pytest.raises(MissingKeyError) as caught:
            authorized(BearerEnvAuth(file=path))
        assert path not in str(caught.value)

    def test_a_path_may_have_odd_characters(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A path in which nothing can be expanded is opened as it is."""
        monkeypatch.chdir(tmp_path)
        Path("key 100%").write_text(KEY)
        assert authorized(BearerEnvAuth(file="key 100%")) == OLD

    def test_a_byte_order_mark_is_dropped(self, tmp_path: Path) -> None:
        """Editors on Windows write one."""
        (tmp_path / "key").write_text(KEY, encoding="utf-8-sig")
        assert authorized(BearerEnvAuth(file=tmp_path / "key")) == OLD

    @pytest.mark.parametrize(
        "irregular",
        [
            "directory",
            pytest.param("link to a directory", marks=pytest.mark.posix("symbolic links")),
            pytest.param("socket", marks=pytest.mark.posix("sockets in the file system")),
            pytest.param("named pipe without a writer", marks=pytest.mark.posix("named pipes")),
            pytest.param("named pipe with a key", marks=pytest.mark.posix("named pipes")),
            pytest.param("pipe", marks=pytest.mark.posix("/dev/fd")),
            os.devnull,
            pytest.param("/dev/zero", marks=pytest.mark.posix("/dev/zero")),
            pytest.param(r"\\.\pipe\key", marks=pytest.mark.windows("named pipes")),
            pytest.param("//./pipe/key", marks=pytest.mark.windows("named pipes")),
        ],
        indirect=True,
    )
    def test_an_irregular_file_is_not_opened(self, irregular: str) -> None:
        """A pipe or a device can be read only once, so the message names provider= instead."""
        with pytest.raises(KeySourceError, match=r"is not a regular file .* or use provider= with a program"):
            authorized(BearerEnvAuth(file=irregular))

    @pytest.mark.posix("symbolic links")
    def test_a_link_to_a_file_is_read(self, tmp_path: Path) -> None:
        """Kubernetes mounts a secret as a symbolic link."""
        (tmp_path / "data").write_text(KEY)
        (tmp_path / "key").symlink_to("data")
        assert authorized(BearerEnvAuth(file=tmp_path / "key")) == OLD

    @pytest.mark.parametrize("path", ["eyJhbGciOiJIUzI1NiJ9" * 20, "/run/key\ud800", "/dev/null/key", "binary"])
    def test_no_error_of_the_system_is_chained(
        self, path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """An OSError holds the path, which may be the key, and a UnicodeDecodeError holds the file's bytes."""
        monkeypatch.chdir(tmp_path)
        Path("binary").write_bytes(b"\xff")
        with pytest.raises((MissingKeyError, KeySourceError)) as caught:  # on Windows most of them are missing
            authorized(BearerEnvAuth(file=path))
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert "eyJ" not in str(caught.value)

    @pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
    def test_utf16_is_named(self, mark: bytes, tmp_path: Path) -> None:
        """A file that PowerShell's ``>`` wrote gets another message than other files that are not text."""
        (tmp_path / "key").write_bytes(mark + KEY.encode("utf-16-le"))
        with pytest.raises(KeySourceError, match="is UTF-16"):
            authorized(BearerEnvAuth(file=tmp_path / "key"))

    def test_the_longest_file_is_16_kib(self, tmp_path: Path) -> None:
        """A file of exactly 16 KiB can be a key."""
        (tmp_path / "key").write_text("k" * 16384)
        assert len(authorized(BearerEnvAuth(file=tmp_path / "key"))) == len("Bearer ") + 16384

    def test_only_16_kib_are_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A large file is not read to its end."""
        (tmp_path / "key").write_bytes(b"k" * 5_000_000)
        read: list[int] = []
        real = os.read

        def spy(descriptor: int, length: int) -> bytes:
            data = real(descriptor, length)
            read.append(len(data))
            return data

        monkeypatch.setattr("os.read", spy)
        with pytest.raises(KeySourceError, match="has more than 16384 bytes"):
            authorized(BearerEnvAuth(file=tmp_path / "key"))
        assert sum(read) == 16385

    def test_a_key_takes_one_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another program may rewrite the file between two of them."""
        (tmp_path / "key").write_text(KEY)
        read: list[int] = []
        real = os.read

        def spy(descriptor: int, length: int) -> bytes:
            read.append(length)
            return real(descriptor, length)

        monkeypatch.setattr("os.read", spy)
        assert authorized(BearerEnvAuth(file=tmp_path / "key")) == OLD
        assert read == [16385]

    def test_a_file_in_parts_is_read_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A network file system may return fewer bytes than were asked for."""
        (tmp_path / "key").write_text(KEY)
        real = os.read
        monkeypatch.setattr("os.read", lambda descriptor, length: real(descriptor, min(length, 7)))
        assert authorized(BearerEnvAuth(file=tmp_path / "key")) == OLD

    def test_the_limit_holds_for_parts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One byte more than 16 KiB shows that the file is too long, and no more is read."""
        (tmp_path / "key").write_text("k" * 20_000)
        sizes, asked = [10, 16_374], []
        real = os.read

        def pieces(descriptor: int, length: int) -> bytes:
            asked.append(length)
            return real(descriptor, min(length, sizes.pop(0) if sizes else length))

        monkeypatch.setattr("os.read", pieces)
        with pytest.raises(KeySourceError, match="has more than 16384 bytes"):
            authorized(BearerEnvAuth(file=tmp_path / "key"))
        assert asked == [16_385, 16_375, 1]

    def test_no_descriptor_is_left_open(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file is closed after it was read, and after an error while it is read."""

        def fail(descriptor: int, length: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        (tmp_path / "key").write_text(KEY)
        before = lowest_free_descriptor()
        authorized(BearerEnvAuth(file=tmp_path / "key"))
        monkeypatch.setattr("os.read", fail)
        with pytest.raises(KeySourceError, match=r"key cannot be read \(Input/output error\)"):
            authorized(BearerEnvAuth(file=tmp_path / "key"))
        assert lowest_free_descriptor() == before

    @pytest.mark.parametrize(
        "path",
        [
            "/9jSENTINELabc==",
            "/9jSENTINELabc/def==",
            KEY,
            f"/{KEY * 100}",
            pytest.param(f"/tmp/{KEY * 100}", marks=pytest.mark.posix("an error of its own for long names")),
        ],
    )
    def test_a_path_that_may_be_a_key_is_not_shown(self, path: str) -> None:
        """A base64 key may begin with a slash, so a path whose directories do not exist is not shown."""
        auth = BearerEnvAuth(file=path)
        with pytest.raises((MissingKeyError, KeySourceError)) as caught:
            authorized(auth)
        assert "SENTINEL" not in str(caught.value) + (repr(auth) if len(path) < 1000 else "")

    def test_a_path_below_a_directory_is_shown(self, tmp_path: Path) -> None:
        """One existing directory is enough, because no key begins with its name."""
        path = Path(*tmp_path.parts[:2], "no-such-directory", "key")
        with pytest.raises(MissingKeyError) as caught:
            authorized(BearerEnvAuth(file=path))
        assert str(path) in str(caught.value)


class Pauses:
    """Replaces time.sleep: records the pauses, and calls a function at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, then: Callable[[], object]) -> None:
        self.seconds: list[float] = []
        self._number = number
        self._then = then
        monkeypatch.setattr("time.sleep", self)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == self._number:
            self._then()


class TestFileThatIsReplaced:
    """A file is blank while it is rewritten, and missing between remove and create, so it is read again."""

    @pytest.fixture(params=["missing", "blank"])
    def keyless(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        """The path of a file that is missing, or blank."""
        if request.param == "blank":
            (tmp_path / "key").touch()
        return tmp_path / "key"

    @pytest.mark.parametrize("number", [1, 4])
    def test_the_key_may_come_a_moment_later(self, number: int, keyless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key is sent if one of the next readings finds it."""
        pauses = Pauses(monkeypatch, number, lambda: keyless.write_text(KEY))
        assert authorized(BearerEnvAuth(file=keyless)) == OLD
        assert len(pauses.seconds) == number

    def test_a_file_that_stays_blank_raises(self, keyless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some tens of milliseconds pass before the MissingKeyError."""
        pauses = Pauses(monkeypatch, 0, list)
        with pytest.raises(MissingKeyError, match="is blank" if keyless.exists() else "does not exist"):
            authorized(BearerEnvAuth(file=keyless))
        assert 0.02 <= sum(pauses.seconds) <= 0.1

    def test_a_mistake_at_the_last_reading_raises(self, keyless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mistake that the last reading finds is reported as one that the first reading finds."""
        Pauses(monkeypatch, 4, lambda: keyless.write_text("two words"))
        with pytest.raises(InvalidKeyError, match=re.escape(f"the value of file {keyless} ")):
            authorized(BearerEnvAuth(file=keyless))

    def test_nothing_else_is_waited_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A missing file before a source that has a key costs no pause, and neither does a missing variable."""
        monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waited"))
        assert authorized(BearerEnvAuth(file=tmp_path / "no", provider=lambda: KEY)) == OLD
        with pytest.raises(MissingKeyError):
            authorized(BearerEnvAuth("TGW_API_KEY"))

    def test_only_the_file_is_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A provider that had no key is called once, because the call may be slow."""
        asked: list[None] = []
        Pauses(monkeypatch, 3, lambda: (tmp_path / "key").write_text(KEY))
        assert authorized(BearerEnvAuth(file=tmp_path / "key", provider=lambda: asked.append(None))) == OLD
        assert asked == [None]

    def test_the_file_of_a_variable_is_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file that ``$NAME_FILE`` names may be replaced under a running process, too."""
        monkeypatch.setenv("TGW_API_KEY_FILE", str(tmp_path / "key"))
        Pauses(monkeypatch, 2, lambda: (tmp_path / "key").write_text(KEY))
        assert authorized(BearerEnvAuth("TGW_API_KEY", provider=lambda: None)) == OLD

    @pytest.mark.wine("removing an open file removes its successor")
    def test_no_request_fails_under_replacement(self, tmp_path: Path) -> None:
        """``install`` removes a file before it creates the new one."""
        path = tmp_path / "key"
        path.write_text(KEY)
        next_one, done = threading.Semaphore(0), threading.Event()

        def replace() -> None:
            for text in itertools.cycle([OTHER_KEY, KEY]):
                next_one.acquire()
                if done.is_set():
                    return
                path.unlink()
                path.write_text(text)

        thread = threading.Thread(target=replace)
        thread.start()
        auth = BearerEnvAuth(file=path)
        sent: list[str] = []
        until = time.perf_counter() + 30
        try:
            # On a busy machine, the thread may not run before the first hundred requests are over.
            while len(sent) < 100 or (set(sent) != {OLD, NEW} and time.perf_counter() < until):
                next_one.release()
                sent.append(authorized(auth))
        finally:
            done.set()
            next_one.release()
            thread.join()
        assert set(sent) == {OLD, NEW}


def _raiser(error: Exception) -> Callable[[str], int]:
    """Return a function that raises."""

    def function(path: str) -> int:
        raise error

    return function


class Busy:
    """Opens a file after a number of the errors that Windows reports while another program has it open."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self, path: str) -> int:
        self.looks -= 1
        if self.looks < 0:
            return os.open(path, os.O_RDONLY)
        error: Any = PermissionError(13, "Permission denied")
        error.winerror = 32
        raise error


def test_a_busy_file_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On Windows a file that is being replaced cannot be opened for a moment."""
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setattr("requests_bearer_env.platforms.open_to_read", Busy(4))
    assert authorized(BearerEnvAuth(file=tmp_path / "key")) == OLD


def test_a_file_that_stays_busy_raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message says neither that the file is blank nor that a permission is missing."""
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setattr("requests_bearer_env.platforms.open_to_read", Busy(5))
    with pytest.raises(KeySourceError, match="is locked by another program: find out which program"):
        authorized(BearerEnvAuth(file=tmp_path / "key"))


def test_quotes_are_named_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows reports a path in quotes as an invalid name, not as a missing file."""
    error: Any = OSError(errno.EINVAL, "Invalid argument")
    error.winerror = 123
    monkeypatch.setattr("os.stat", _raiser(error))
    with pytest.raises(KeySourceError, match="has quotes around it"):
        BearerEnvAuth(file='"key"').credential()


def test_a_device_of_windows_is_not_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A call of os.stat() would connect to a named pipe."""
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setattr("requests_bearer_env.platforms.is_device_path", lambda path: True)
    with pytest.raises(KeySourceError, match="is not a regular file"):
        authorized(BearerEnvAuth(file=tmp_path / "key"))


def test_a_rewritten_file_is_read_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key never mixes the old content and the new, even if the file was blank when its size was read."""
    path = tmp_path / "key"
    path.touch()
    open_to_read, read = platforms.open_to_read, os.read

    def written(opened: str) -> int:
        path.write_text(KEY)
        return open_to_read(opened)

    def rewritten(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        path.write_text(OTHER_KEY)
        return data

    monkeypatch.setattr("requests_bearer_env.platforms.open_to_read", written)
    monkeypatch.setattr("os.read", rewritten)
    assert authorized(BearerEnvAuth(file=path)) == OLD
