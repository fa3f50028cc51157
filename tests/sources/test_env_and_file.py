"""Where a key comes from: one contract for every kind of source, then what each has of its own."""

from __future__ import annotations

import itertools
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from requests_bearer_env import (
    BearerEnvAuth,
    InvalidKeyError,
    KeySourceError,
    MissingKeyError,
    command,
)
from requests_bearer_env.sources.base import EnvSource, FileSource
from tests.helpers import KEY, OTHER_KEY, authorized


class Kind:
    """A kind of source: how to give it a key, or none, and how to use it."""

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
    # A lifetime that is over by the next request: the contract is about asking, the rest is in test_cache.
    return _provider(monkeypatch, tmp_path, ttl=1e-9)


def _command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    put = _put_file(tmp_path / "key")
    put(None)
    argv: list[str | Path] = ["sh", "-c", 'test ! -e "$1" || cat "$1"', "sh", tmp_path / "key"]
    return Kind(BearerEnvAuth(provider=command(argv)), put)


@pytest.fixture(
    params=[_env, _env_file, _file, _provider, _cached, _command], ids=lambda make: make.__name__.strip("_")
)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    """Every kind of source in turn."""
    made: Kind = request.param(monkeypatch, tmp_path)
    return made


class TestContract:
    """What holds for every kind of source."""

    def test_its_key_is_sent(self, kind: Kind) -> None:
        """The key is sent after the scheme and one space."""
        kind.put(KEY)
        assert authorized(kind.auth) == f"Bearer {KEY}"

    @pytest.mark.parametrize("form", ["{}\n", "  {}\r\n", "Bearer {}", "bearer   {}\n"])
    def test_white_space_and_scheme_around_it_are_dropped(self, kind: Kind, form: str) -> None:
        """A stray newline or a scheme does not end in a 401."""
        kind.put(form.format(KEY))
        assert authorized(kind.auth) == f"Bearer {KEY}"

    def test_it_is_asked_for_every_request(self, kind: Kind) -> None:
        """A rotated key counts from the next request on."""
        kind.put(KEY)
        authorized(kind.auth)
        kind.put(OTHER_KEY)
        assert authorized(kind.auth) == f"Bearer {OTHER_KEY}"

    @pytest.mark.parametrize("raw", [None, "", " \n"])
    def test_nothing_is_no_key(self, kind: Kind, raw: str | None) -> None:
        """Unset, missing and blank are the same: no key, and the request is not sent without one."""
        kind.put(raw)
        with pytest.raises(MissingKeyError):
            authorized(kind.auth)

    @pytest.mark.parametrize(
        "raw", [f"{KEY}\n{OTHER_KEY}", f"'{KEY}'", f"KEY={KEY}", f"{KEY[:5]}\u200b{KEY[5:]}", "Bearer"]
    )
    def test_what_cannot_be_a_key_is_refused(self, kind: Kind, raw: str) -> None:
        """It is an InvalidKeyError, which is a ValueError as well, and the message holds no key."""
        kind.put(raw)
        with pytest.raises(InvalidKeyError) as caught:
            authorized(kind.auth)
        assert isinstance(caught.value, ValueError)
        assert KEY[:5] not in str(caught.value)

    def test_a_failure_carries_the_request_and_leaves_it_alone(self, kind: Kind) -> None:
        """The request is as it was: no header, no hook."""
        kind.put(None)
        request = requests.Request("POST", "https://api.example/", data=b"body").prepare()
        before = (dict(request.headers), dict(request.hooks), request.body)
        with pytest.raises(MissingKeyError) as caught:
            kind.auth(request)
        assert caught.value.request is request
        assert (dict(request.headers), dict(request.hooks), request.body) == before

    def test_it_recovers(self, kind: Kind) -> None:
        """After a failure, the next request is as good as any."""
        kind.put(None)
        with pytest.raises(MissingKeyError):
            authorized(kind.auth)
        kind.put(KEY)
        assert authorized(kind.auth) == f"Bearer {KEY}"


def test_the_default_is_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any source named, the variable is BEARER_TOKEN."""
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    assert authorized(BearerEnvAuth()) == f"Bearer {KEY}"


def test_the_default_is_not_consulted_beside_a_named_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever names a source gets a key from there or none."""
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    for auth in (
        BearerEnvAuth("TGW_API_KEY"),
        BearerEnvAuth(file=tmp_path / "no"),
        BearerEnvAuth(provider=lambda: None),
    ):
        with pytest.raises(MissingKeyError):
            authorized(auth)


def test_sources_are_tried_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variable, file, provider: the first that has a key wins."""
    auth = BearerEnvAuth("TGW_API_KEY", file=tmp_path / "key", provider=lambda: "from-provider")
    assert authorized(auth) == "Bearer from-provider"
    (tmp_path / "key").write_text("from-file")
    assert authorized(auth) == "Bearer from-file"
    monkeypatch.setenv("TGW_API_KEY", "from-variable")
    assert authorized(auth) == "Bearer from-variable"


def test_a_source_that_fails_is_not_passed_over(tmp_path: Path) -> None:
    """A later source is for when there is no key, not for when nobody can tell."""
    with pytest.raises(KeySourceError):
        authorized(BearerEnvAuth(file=tmp_path, provider=lambda: KEY))


def test_a_missing_key_names_every_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message says of each source why it has no key, and what to do."""
    monkeypatch.setenv("BLANK_KEY", " ")
    (tmp_path / "blank").write_text("\n")
    with pytest.raises(MissingKeyError) as caught:
        authorized(BearerEnvAuth("TGW_API_KEY", file=tmp_path / "no", provider=sorted_nothing))
    assert str(caught.value) == (
        f"there is no key to send: environment variable TGW_API_KEY is not set; file {tmp_path / 'no'} does not exist; "
        "provider sorted_nothing returned nothing; put the key there"
    )
    with pytest.raises(MissingKeyError, match=r"variable BLANK_KEY is blank; file .*blank is blank;"):
        authorized(BearerEnvAuth("BLANK_KEY", file=tmp_path / "blank"))


def sorted_nothing() -> None:
    """A provider without a key."""


class TestVariable:
    """What only the environment variable has."""

    @pytest.mark.parametrize("name", ["sk-abc", "", "1KEY", "A B", "KEY=x", "ключ", "Bearer abc", "a.b.c"])
    def test_what_is_no_name_is_refused_and_not_shown(self, name: str) -> None:
        """A newcomer may pass the key itself: it is refused at once and no character of it is shown."""
        with pytest.raises(ValueError, match="is not the name of an environment variable") as caught:
            BearerEnvAuth(name)
        assert not name or name not in str(caught.value)

    def test_a_name_must_be_a_str(self) -> None:
        """Bytes and others are refused without being shown."""
        name: Any = KEY.encode()
        with pytest.raises(TypeError, match=r"env= is bytes: give the name") as caught:
            BearerEnvAuth(name)
        assert KEY not in str(caught.value)

    def test_nothing_is_left_out_of_a_variable_that_is_not_set(self) -> None:
        """It may have been unset since it was read."""
        assert EnvSource("TGW_API_KEY").trimmed() == ""

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
    def test_a_key_that_looks_like_a_name_is_not_shown(self, key: str) -> None:
        """Some keys are valid names; where the variable is not set, they are shown neither in messages nor in repr."""
        auth = BearerEnvAuth(key)
        with pytest.raises(MissingKeyError, match=f"env= names \\({len(key)} characters, not shown") as caught:
            authorized(auth)
        assert key not in str(caught.value)
        assert key not in repr(auth)
        assert key not in str(vars(auth))

    @pytest.mark.parametrize("name", ["BEARER_TOKEN", "TOKEN", "OPENAI_API_KEY", "S3_KEY_2", "_TGW_KEY"])
    def test_a_plain_name_is_shown(self, name: str) -> None:
        """Names as everybody writes them help whoever reads the message."""
        with pytest.raises(MissingKeyError, match=f"environment variable {name} is not set"):
            authorized(BearerEnvAuth(name))

    @pytest.mark.parametrize("suffix", ["", "_FILE"])
    def test_a_name_that_is_set_is_shown(self, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that exists has a name and no key for a name."""
        monkeypatch.setenv(f"myLongVariableName1{suffix}", " ")
        with pytest.raises(MissingKeyError, match="environment variable myLongVariableName1 is"):
            authorized(BearerEnvAuth("myLongVariableName1"))

    def test_the_variable_and_its_file_are_ambiguous(self, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """With both set nobody can tell which was meant."""
        monkeypatch.setenv("TGW_API_KEY_FILE", "/run/secrets/key")
        with pytest.raises(KeySourceError, match="TGW_API_KEY and its _FILE variant are both set"):
            authorized(BearerEnvAuth(key_env))

    def test_a_blank_file_variable_is_unset(self, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blank and unset are the same, for the variable that names a file, too."""
        monkeypatch.setenv("TGW_API_KEY_FILE", " ")
        assert authorized(BearerEnvAuth(key_env)) == f"Bearer {KEY}"

    def test_a_refusal_names_the_variable_beside_a_blank_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever way the value took."""
        monkeypatch.setenv("TGW_API_KEY", "two words")
        monkeypatch.setenv("TGW_API_KEY_FILE", " ")
        with pytest.raises(InvalidKeyError, match="the value of environment variable TGW_API_KEY"):
            authorized(BearerEnvAuth("TGW_API_KEY"))

    def test_a_file_variable_that_is_unset_meanwhile_is_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another thread may do so between two looks."""
        monkeypatch.setenv("TGW_API_KEY", KEY)
        monkeypatch.setenv("TGW_API_KEY_FILE", "/dev/no/such/key")
        real = os.getenv

        def once(name: str, default: str | None = None) -> str | None:
            value = real(name, default)
            if name.endswith("_FILE"):
                monkeypatch.delenv(name, raising=False)
            return value

        monkeypatch.setattr("os.getenv", once)
        assert authorized(BearerEnvAuth("TGW_API_KEY")) == f"Bearer {KEY}"

    def test_a_blank_variable_gives_way_to_its_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Blank and unset are the same, for the variable beside a file, too."""
        monkeypatch.setenv("TGW_API_KEY", " ")
        monkeypatch.setenv("TGW_API_KEY_FILE", str(tmp_path / "key"))
        (tmp_path / "key").write_text(KEY)
        assert authorized(BearerEnvAuth("TGW_API_KEY")) == f"Bearer {KEY}"

    def test_a_file_variable_that_leads_nowhere_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message says that the file was meant, and which."""
        monkeypatch.setenv("TGW_API_KEY_FILE", "/dev/no/such/key")
        with pytest.raises(MissingKeyError, match="has a _FILE variant, and file /dev/no/such/key does not exist"):
            authorized(BearerEnvAuth("TGW_API_KEY"))

    def test_a_key_in_the_file_variable_is_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A newcomer may put the key itself into the variable that is to name a file."""
        monkeypatch.setenv("TGW_API_KEY_FILE", KEY)
        with pytest.raises(MissingKeyError, match=f"at a path of {len(KEY)} characters") as caught:
            authorized(BearerEnvAuth("TGW_API_KEY"))
        assert KEY not in str(caught.value)


class TestFile:
    """What only the file has."""

    def test_the_path_is_expanded_at_each_request(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """``~`` and ``$VAR`` mean what they mean when the request is made."""
        (tmp_path / "home" / "key").write_text("at-home")
        (tmp_path / "key").write_text("elsewhere")
        auth = BearerEnvAuth(file="$WHERE/key")
        monkeypatch.setenv("WHERE", "~")
        monkeypatch.setenv("WHERE", str(tmp_path / "home"))
        assert authorized(auth) == "Bearer at-home"
        assert authorized(BearerEnvAuth(file="~/key")) == "Bearer at-home"
        monkeypatch.setenv("WHERE", str(tmp_path))
        assert authorized(auth) == "Bearer elsewhere"

    @pytest.mark.parametrize("variable", ["$CREDENTIALS_DIR", "${CREDENTIALS_DIR}", "$X"])
    def test_a_variable_that_is_not_set_is_told(self, variable: str) -> None:
        """A path that begins with an unset variable is shown, with the reason it leads nowhere."""
        with pytest.raises(MissingKeyError) as caught:
            authorized(BearerEnvAuth(file=f"{variable}/key"))
        assert f"file {variable}/key does not exist ($ in it names no variable)" in str(caught.value)

    @pytest.mark.parametrize("path", ["$/9jkey", "$9jk+ey/x", "$key-abc/x"])
    def test_what_begins_with_a_dollar_sign_alone_is_not_shown(self, path: str) -> None:
        """It may be the key."""
        with pytest.raises(MissingKeyError) as caught:
            authorized(BearerEnvAuth(file=path))
        assert path not in str(caught.value)

    def test_a_path_may_have_odd_characters(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Only what expands is expanded; a path with neither is opened as it is."""
        monkeypatch.chdir(tmp_path)
        Path("key 100%").write_text(KEY)
        assert authorized(BearerEnvAuth(file="key 100%")) == f"Bearer {KEY}"

    def test_a_byte_order_mark_is_dropped(self, tmp_path: Path) -> None:
        """Editors on Windows write one."""
        (tmp_path / "key").write_text(KEY, encoding="utf-8-sig")
        assert authorized(BearerEnvAuth(file=tmp_path / "key")) == f"Bearer {KEY}"

    @pytest.mark.parametrize("path", ["", " ", "a\0b"])
    def test_what_is_no_path_is_refused(self, path: str) -> None:
        """A blank path is a mistake, not the current directory."""
        with pytest.raises(ValueError, match="file= is not a path"):
            BearerEnvAuth(file=path)

    @pytest.mark.parametrize("path", [b"key", 5])
    def test_a_path_is_a_str_or_pathlike(self, path: Any) -> None:
        """Anything else is a TypeError."""
        with pytest.raises(TypeError):
            BearerEnvAuth(file=path)

    def test_a_directory_is_a_failure(self, tmp_path: Path) -> None:
        """A mount that went wrong is told apart from a missing key."""
        with pytest.raises(KeySourceError, match=f"file {tmp_path} cannot be read: Is a directory; check the path"):
            authorized(BearerEnvAuth(file=tmp_path))

    def test_what_cannot_be_opened_is_a_failure(self, tmp_path: Path) -> None:
        """The reason is the system's: here, a socket, which nobody may open, whoever they are."""
        with socket.socket(socket.AF_UNIX) as listener:
            path = os.path.relpath(tmp_path / "s")
            listener.bind(path)
            with pytest.raises(KeySourceError, match="cannot be read: No such device or address"):
                authorized(BearerEnvAuth(file=path))

    def test_a_path_that_is_too_long_is_not_shown(self) -> None:
        """It is more likely a key, such as a JWT, than a path."""
        key = "eyJhbGciOiJIUzI1NiJ9" * 20
        with pytest.raises(KeySourceError, match="give a path, not the key itself") as caught:
            authorized(BearerEnvAuth(file=key))
        assert key not in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None

    @pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
    def test_utf16_is_named(self, mark: bytes, tmp_path: Path) -> None:
        """What PowerShell's ``>`` writes is told from other things that are not text."""
        (tmp_path / "key").write_bytes(mark + KEY.encode("utf-16-le"))
        with pytest.raises(KeySourceError, match=r"is UTF-16 .*: store the key in it as UTF-8"):
            authorized(BearerEnvAuth(file=tmp_path / "key"))

    def test_what_is_not_text_is_a_failure(self, tmp_path: Path) -> None:
        """A binary file is no key; the exception that holds its bytes is not chained."""
        (tmp_path / "key").write_bytes(KEY.encode() + b"\xff")
        with pytest.raises(KeySourceError, match="is not UTF-8 text") as caught:
            authorized(BearerEnvAuth(file=tmp_path / "key"))
        assert caught.value.__cause__ is caught.value.__context__ is None

    def test_the_longest_file_is_16_kib(self, tmp_path: Path) -> None:
        """16 KiB are a key, a byte more is not."""
        (tmp_path / "key").write_text("k" * 16384)
        assert len(authorized(BearerEnvAuth(file=tmp_path / "key"))) == len("Bearer ") + 16384
        (tmp_path / "key").write_text("k" * 16385)
        with pytest.raises(KeySourceError, match="has more than 16384 bytes"):
            authorized(BearerEnvAuth(file=tmp_path / "key"))

    @pytest.mark.parametrize("size", [5_000_000, None], ids=["5 MB", "endless"])
    def test_only_16_kib_are_read(self, size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither a large file nor an endless device is read to its end."""
        path = tmp_path / "key" if size else Path("/dev/zero")
        if size:
            path.write_bytes(b"k" * size)
        read: list[int] = []
        real = os.read

        def spy(descriptor: int, length: int) -> bytes:
            data = real(descriptor, length)
            read.append(len(data))
            return data

        monkeypatch.setattr("os.read", spy)
        with pytest.raises(KeySourceError, match="has more than 16384 bytes"):
            authorized(BearerEnvAuth(file=path))
        assert sum(read) == 16385

    def test_a_file_that_comes_in_pieces_is_read_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A network's file system may return less than was asked for."""
        (tmp_path / "key").write_text(KEY)
        real = os.read
        monkeypatch.setattr("os.read", lambda descriptor, length: real(descriptor, min(length, 7)))
        assert authorized(BearerEnvAuth(file=tmp_path / "key")) == f"Bearer {KEY}"

    def test_the_limit_holds_for_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What comes after the first 16 KiB is seen, and no more of it than tells that it is there."""
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

    def test_what_is_left_out_of_a_file_that_is_no_text_can_be_asked(self, tmp_path: Path) -> None:
        """It may have been rewritten since it was read."""
        (tmp_path / "key").write_bytes(b"abc\xff\n")
        assert FileSource(tmp_path / "key").trimmed() == "the line break at its end"

    def test_no_descriptor_is_left_open(self, tmp_path: Path) -> None:
        """Neither after a success nor after a failure."""
        (tmp_path / "key").write_text(KEY)
        before = len(os.listdir("/dev/fd"))
        authorized(BearerEnvAuth(file=tmp_path / "key"))
        with pytest.raises(KeySourceError):
            authorized(BearerEnvAuth(file=tmp_path))
        assert len(os.listdir("/dev/fd")) == before

    def test_a_file_that_is_empty_for_a_moment_is_looked_at_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever rewrites a file in place empties it first; the key is there some milliseconds later."""
        path = tmp_path / "key"
        path.touch()
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 4:
                path.write_text(KEY)

        monkeypatch.setattr("time.sleep", sleep)
        assert authorized(BearerEnvAuth(file=path)) == f"Bearer {KEY}"
        assert 0.02 <= sum(pauses) <= 0.1

    def test_what_the_last_look_sees_is_refused_as_any(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message names the file."""
        path = tmp_path / "key"
        path.touch()
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 4:
                path.write_text("two words")

        monkeypatch.setattr("time.sleep", sleep)
        with pytest.raises(InvalidKeyError, match=f"the value of file {path}"):
            authorized(BearerEnvAuth(file=path))

    def test_a_missing_file_is_believed_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only a file that exists can be in the middle of being rewritten."""
        monkeypatch.setattr("time.sleep", pytest.fail)
        with pytest.raises(MissingKeyError):
            authorized(BearerEnvAuth(file=tmp_path / "no"))

    def test_a_pipe_without_a_writer_does_not_hang(self, tmp_path: Path) -> None:
        """Opening it would wait for a writer without end; it is blank instead."""
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(MissingKeyError, match="pipe is blank"):
            authorized(BearerEnvAuth(file=tmp_path / "pipe"))

    def test_a_pipe_whose_writer_is_silent_does_not_hang(self, tmp_path: Path) -> None:
        """It is blank as long as nothing comes."""
        os.mkfifo(tmp_path / "pipe")
        descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
        try:
            with pytest.raises(MissingKeyError, match="pipe is blank"):
                authorized(BearerEnvAuth(file=tmp_path / "pipe"))
        finally:
            os.close(descriptor)

    def test_a_pipe_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Password managers hand keys out through named pipes; the writer may take a moment."""
        os.mkfifo(tmp_path / "pipe")
        writer = os.open(tmp_path / "pipe", os.O_RDWR)
        real = select.poll

        def write_first() -> Any:
            os.write(writer, KEY.encode())
            os.close(writer)
            return real()

        monkeypatch.setattr("select.poll", write_first)
        assert authorized(BearerEnvAuth(file=tmp_path / "pipe")) == f"Bearer {KEY}"

    def test_a_line_that_a_pipe_has_brought_is_the_key(self, tmp_path: Path) -> None:
        """Though the writer goes on to hold it open."""
        os.mkfifo(tmp_path / "pipe")
        descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
        try:
            os.write(descriptor, f"{KEY}\n".encode())
            assert authorized(BearerEnvAuth(file=tmp_path / "pipe")) == f"Bearer {KEY}"
        finally:
            os.close(descriptor)

    def test_a_pipe_that_drips_is_not_waited_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The patience is for all of it, not for each drop."""
        os.mkfifo(tmp_path / "pipe")
        descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
        drops = itertools.count()

        class Dripping:
            def register(self, *arguments: object) -> None:
                """Nothing to do."""

            def poll(self, milliseconds: float) -> bool:
                assert next(drops) < 100
                return os.write(descriptor, b"x") == 1

        times = itertools.count(step=0.005)
        monkeypatch.setattr("time.monotonic", lambda: next(times))
        monkeypatch.setattr("select.poll", Dripping)
        try:
            with pytest.raises(KeySourceError, match="has not come to an end"):
                authorized(BearerEnvAuth(file=tmp_path / "pipe"))
        finally:
            os.close(descriptor)

    def test_the_rest_of_a_line_may_come_later(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever has begun to write is given ten times as long, in milliseconds of course."""
        os.mkfifo(tmp_path / "pipe")
        descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
        os.write(descriptor, KEY[:5].encode())
        rest = [f"{KEY[5:]}\n".encode()]

        class Late:
            def register(self, *arguments: object) -> None:
                """Nothing to do."""

            def poll(self, milliseconds: float) -> bool:
                assert 1 < milliseconds < 100
                return bool(rest) and os.write(descriptor, rest.pop()) > 0

        times = itertools.count(step=0.02)
        monkeypatch.setattr("time.monotonic", lambda: next(times))
        monkeypatch.setattr("select.poll", Late)
        try:
            assert authorized(BearerEnvAuth(file=tmp_path / "pipe")) == f"Bearer {KEY}"
        finally:
            os.close(descriptor)

    def test_half_a_line_from_a_pipe_is_no_key(self, tmp_path: Path) -> None:
        """The rest may still come; what was read is gone, so it is not called blank."""
        os.mkfifo(tmp_path / "pipe")
        descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
        try:
            os.write(descriptor, KEY.encode())
            with pytest.raises(KeySourceError, match="cannot be read: whoever writes into the pipe has not come to an"):
                authorized(BearerEnvAuth(file=tmp_path / "pipe"))
        finally:
            os.close(descriptor)

    @pytest.mark.parametrize(
        "path", ["/9jSENTINELabc==", "/9jSENTINELabc/def==", KEY, f"/{KEY * 100}", f"/tmp/{KEY * 100}"]
    )
    def test_a_path_that_leads_nowhere_at_all_is_not_shown(self, path: str) -> None:
        """It may be the key; base64 may begin with a slash."""
        auth = BearerEnvAuth(file=path)
        with pytest.raises((MissingKeyError, KeySourceError)) as caught:
            authorized(auth)
        assert "SENTINEL" not in str(caught.value) + (repr(auth) if len(path) < 1000 else "")

    def test_a_path_that_the_system_cannot_write_is_a_failure(self) -> None:
        """Neither an error of Python's own, nor shown."""
        with pytest.raises(KeySourceError, match="cannot be read: it is no path here") as caught:
            authorized(BearerEnvAuth(file="/run/SENTINEL\ud800"))
        assert caught.value.__cause__ is caught.value.__context__ is None
