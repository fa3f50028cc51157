"""The lines about the key and the header."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from requests_bearer_env import BearerEnvAuth, command
from requests_bearer_env.credential import Credential
from requests_bearer_env.doctor import Check
from requests_bearer_env.doctor.key import KeyFound, check_header, find_key, suspected_mistake
from requests_bearer_env.errors import COMMAND_LINE, PYTHON
from tests.helpers import KEY, OTHER_KEY, make_program

SET_IT = "set it before the program starts, or set TGW_API_KEY_FILE to the path of a file with the key"


def found(auth: BearerEnvAuth) -> KeyFound:
    """Return what an auth's sources hold."""
    return find_key(auth.sources.each, COMMAND_LINE)


def key_line(value: str, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return the line about a variable's value."""
    monkeypatch.setenv("BEARER_TOKEN", value)
    return found(BearerEnvAuth()).check


def test_key_is_named_by_its_source(key_env: str) -> None:
    """The line names the source, the key's length and its end."""
    detail = f"environment variable TGW_API_KEY: {len(KEY)} characters, ending in WXYZ"
    assert found(BearerEnvAuth(key_env)) == (Check("key", "ok", detail), f"Bearer {KEY}", None)


@pytest.mark.parametrize(("length", "ending"), [(19, ""), (20, ", ending in wxyz")])
def test_end_of_a_short_key_is_not_shown(length: int, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last four characters are shown from a length of 20 on."""
    detail = f"environment variable BEARER_TOKEN: {length} characters{ending}"
    key = "".join(chr(97 + number) for number in range(length - 4)) + "wxyz"
    assert key_line(key, monkeypatch) == ("key", "ok", detail, "")


@pytest.mark.parametrize(
    ("length", "status", "words", "remedy"),
    [(length, "warn", "; it is shorter than keys commonly are", "see whether it is whole") for length in (1, 7)]
    + [(8, "ok", "", "")],
)
def test_short_key_warns(length: int, status: str, words: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key may be truncated, but a user of text-generation-webui may also have chosen a short one."""
    detail = f"environment variable BEARER_TOKEN: {length} characters{words}"
    assert key_line("qwertzuiop"[:length], monkeypatch) == ("key", status, detail, remedy)


def test_source_without_a_key_is_passed_over(tmp_path: Path) -> None:
    """The next source is read, as for a request."""
    path = tmp_path / "key"
    path.write_text(KEY)
    check, credential, read = found(BearerEnvAuth("TGW_API_KEY", file=path))
    assert check.detail == f"file {path}: {len(KEY)} characters, ending in WXYZ"
    assert (credential, read and read.path) == (f"Bearer {KEY}", str(path))


def test_missing_key_names_every_source() -> None:
    """The line says of each source why it has no key."""
    detail = (
        "no key found because TGW_API_KEY is not set in this process's environment and provider <lambda> "
        "returned no key"
    )
    assert found(BearerEnvAuth("TGW_API_KEY", provider=lambda: None)) == (
        Check("key", "fail", detail, "store the key in one of these places"),
        None,
        None,
    )


@pytest.mark.parametrize("source", ["file", "env"])
def test_home_of_a_missing_file_is_named(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is another directory for the user of a service; the value of a variable is not shown."""
    monkeypatch.setenv("HIDDEN", "hunter2")
    monkeypatch.setenv("BEARER_TOKEN_FILE", "~/$HIDDEN/key")
    detail = found(BearerEnvAuth(file="~/$HIDDEN/key") if source == "file" else BearerEnvAuth()).check.detail
    path = "file ~/$HIDDEN/key" if source == "file" else "the file that BEARER_TOKEN_FILE names, ~/$HIDDEN/key,"
    assert detail == f"no key found because {path} does not exist; ~ is {Path.home()} here"


@pytest.mark.parametrize("path", ["no/~/key", "~no-such-user/key", "~nosuchuser/key", "~abcdefgh", "/no/key"])
def test_path_without_a_home_names_none(path: str) -> None:
    """What looks like a home and is none may be a key that was given as the path."""
    assert found(BearerEnvAuth(file=path)).check.detail.endswith(" does not exist")


def test_value_that_is_not_a_key_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that a request would refuse fails, with the remedy in its own field."""
    detail = (
        f"the value of environment variable BEARER_TOKEN ({len(KEY) + 2} characters) is wrapped in quotes, "
        "which would be sent as part of the key"
    )
    assert key_line(f'"{KEY}"', monkeypatch) == ("key", "fail", detail, "store it without the quotes")


def test_remedy_names_the_options_of_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option has another name on the command line than in Python."""
    monkeypatch.setenv("BEARER_TOKEN", "op://vault/tgw/key")
    sources = BearerEnvAuth().sources.each
    remedy = "store the key itself, or use {} with a program that resolves the reference"
    assert find_key(sources, COMMAND_LINE).check.remedy == remedy.format("--command")
    assert find_key(sources, PYTHON).check.remedy == remedy.format("provider=")


def test_source_that_fails_ends_the_search() -> None:
    """A failing source is not skipped, as for a request, and its exception is not shown."""

    def vault() -> str:
        raise LookupError(KEY)

    check = found(BearerEnvAuth(provider=vault)).check
    assert check == ("key", "fail", "provider vault raised LookupError", "call it directly to see why")


@pytest.mark.parametrize("source", ["file", "env"])
def test_file_of_a_source_that_fails_is_known(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line about the file can then explain why it is unreadable."""
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(tmp_path))
    check, credential, read = found(BearerEnvAuth(file=tmp_path) if source == "file" else BearerEnvAuth())
    assert (check.status, credential, read and read.path) == ("fail", None, str(tmp_path))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (KEY, ""),
        (f"{KEY}\n", "; left out: the line break at the end"),
        (f" {KEY}\n", "; left out: the white space around the key"),
        (f"bearer {KEY}", "; left out: the scheme Bearer"),
        (f"\ufeff{KEY}", "; left out: the byte order mark"),
        (
            f"\ufeffBearer   {KEY} ",
            "; left out: the byte order mark and the white space around the key and the scheme Bearer",
        ),
    ],
)
@pytest.mark.parametrize("source", ["env", "file", "env file", "provider"])
def test_what_was_trimmed_is_shown(
    raw: str, words: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part of the stored value that is not sent is named."""
    path = tmp_path / "key"
    path.write_bytes(raw.encode())
    if source == "env":
        monkeypatch.setenv("BEARER_TOKEN", raw)
    if source == "env file":
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
    auths = {"file": BearerEnvAuth(file=path), "provider": BearerEnvAuth(provider=lambda: raw)}
    check = found(auths.get(source, BearerEnvAuth())).check
    assert check.status == "ok"
    assert check.detail.endswith(f": {len(KEY)} characters, ending in WXYZ{words}")


def test_provider_is_called_once() -> None:
    """A call may ask the user for a fingerprint, so the line costs only one."""
    calls: list[None] = []

    def vault() -> str:
        calls.append(None)
        return f"{KEY}\n"

    assert found(BearerEnvAuth(provider=vault)).check.status == "ok"
    assert len(calls) == 1


def test_another_key_in_a_later_source_warns(key_env: str, tmp_path: Path) -> None:
    """A rotation may have reached the file, but not the variable that is read before it."""
    path = tmp_path / "key"
    path.write_text(OTHER_KEY)
    check, credential, read = found(BearerEnvAuth(key_env, file=path, provider=lambda: KEY[: 1 // 0]))
    detail = (
        f"environment variable TGW_API_KEY: {len(KEY)} characters, ending in WXYZ; "
        f"another key is in file {path}, which is not used"
    )
    assert check == ("key", "warn", detail, "if the other key is the newer one, unset TGW_API_KEY")
    assert (credential, read) == (f"Bearer {KEY}", None)


def test_another_key_in_a_later_file_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that names the first file is the one to unset."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(KEY)
    second.write_text(OTHER_KEY)
    monkeypatch.setenv("TGW_API_KEY_FILE", str(first))
    check = found(BearerEnvAuth("TGW_API_KEY", file=second)).check
    assert check.detail.endswith(f"; another key is in file {second}, which is not used")
    assert check.remedy == "if the other key is the newer one, unset TGW_API_KEY_FILE"


def test_two_problems_of_a_key_have_two_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A placeholder was left in the variable, and the key is in the file."""
    path = tmp_path / "key"
    path.write_text(KEY)
    monkeypatch.setenv("TGW_API_KEY", "changeme")
    remedies = found(BearerEnvAuth("TGW_API_KEY", file=path)).check.remedy.split("; ")
    assert remedies[0] == "store the real key"
    assert remedies[-1] == "if the other key is the newer one, unset TGW_API_KEY"


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", "", '"quoted"'])
def test_later_source_without_another_key_is_ok(text: str, key_env: str, tmp_path: Path) -> None:
    """The same key, a blank file or an invalid key in a later source is not reported; a provider is not called."""
    path = tmp_path / "key"
    path.write_text(text)
    assert found(BearerEnvAuth(key_env, file=path, provider=pytest.fail)).check.status == "ok"


# The .env file


DOTENV = (
    "no key found because TGW_API_KEY is not set in this process's environment; "
    "the file .env {} has a line for that variable"
)
LOADED = "; if that is done, look at the quotes in that line"


@pytest.mark.parametrize(
    "text",
    ["TGW_API_KEY=x\n", "A=1\r\n  export TGW_API_KEY = x", "# a comment\nTGW_API_KEY=", f"\ufeff\nTGW_API_KEY={KEY}"],
)
@pytest.mark.parametrize("place", ["in this directory", "beside the main script"])
def test_dotenv_with_the_variable_is_named(
    text: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program may not have loaded the file, or python-dotenv may not have understood the line."""
    (tmp_path / ".env").write_bytes(text.encode())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path if place == "in this directory" else tmp_path / "elsewhere")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "script.py"), raising=False)
    detail = DOTENV.format(place)
    sources = BearerEnvAuth("TGW_API_KEY").sources.each
    python = f"call load_dotenv(PATH) of python-dotenv, with the path of that file, before the first request{LOADED}"
    assert find_key(sources, PYTHON).check == ("key", "fail", detail, python)
    shell = f"load it, for example with python -m dotenv run -- PROGRAM of python-dotenv[cli]{LOADED}"
    assert find_key(sources, COMMAND_LINE).check == ("key", "fail", detail, shell)


@pytest.mark.parametrize(
    "text", ["", "TGW_API_KEY_OF_MINE=x", "#TGW_API_KEY=x", "MY_OWN_TGW_API_KEY=x", "\0" * 70000 + "\nTGW_API_KEY=x"]
)
def test_dotenv_without_the_variable_is_not_named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other variables and comments do not count, and at most 64 KiB are read."""
    (tmp_path / ".env").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert found(BearerEnvAuth("TGW_API_KEY")).check.remedy == SET_IT


def test_similar_name_in_dotenv_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may be misspelled in the program, or in the file."""
    (tmp_path / ".env").write_text("TGW_API_KEYS=x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    assert found(BearerEnvAuth("TGW_API_KEY")).check == (
        "key",
        "fail",
        (
            "no key found because TGW_API_KEY is not set in this process's environment "
            "(TGW_API_KEYS is in the file .env in this directory)"
        ),
        "correct the variable's name",
    )


@pytest.mark.posix("named pipes")
def test_dotenv_that_is_not_a_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a pipe of that name would block."""
    os.mkfifo(tmp_path / ".env")
    monkeypatch.chdir(tmp_path)
    assert found(BearerEnvAuth("TGW_API_KEY")).check.remedy == SET_IT


# Values that may be a key, but look like a mistake


PLACEHOLDER = (
    "looks like a placeholder in documentation",
    "store the real key; ignore this if the server's key really is this word",
)
VARIABLE = ("looks like a reference to a variable that nothing has expanded", "store the variable's value")
REFERENCE = (
    "looks like a reference to a secret that nothing has resolved",
    "store the key itself, or use --command with a program that resolves the reference",
)
PATH = (
    "looks like a path, not a key",
    "name the file in the variable with _FILE at the end of its name, or with --file",
)
QUOTE = ("has a quotation mark at one end, which is sent as part of it", "store it without the quotation mark")
BACKSLASH = (
    "ends in a backslash and a letter, like an escape sequence that was not interpreted",
    "store it without them",
)
COMMA = ("ends in a comma or semicolon, which is sent as part of it", "store it without that character")
LINE = ("looks like a NAME=value line, as in a dotenv file", "store only the value, the part after the =")
PERCENT = ("looks percent-encoded, as in a URL", "store it decoded")
IN_PART = ("looks like a placeholder, or like a key that a web page shows in part", "store the whole key")
TWICE = ("is the same text twice", "store it once")


@pytest.mark.parametrize(
    ("mistake", "keys"),
    [
        (
            PLACEHOLDER,
            (
                "<Your_API_Key> {KEY} [key] your_api_key_here YOUR-API-KEY yourapikey your_openai_api_key "
                "YourTokenHere "
                "my_api_key api_key APIKEY token key insert-your-key-here put_your_token_here paste.key.here "
                "replace_me "
                "replace-with-your-key change-me changeme CHANGEME replaceme placeholder todo None null nil undefined "
                "EMPTY dummy user_provided not-needed sk-no-key-required no_api_key_needed xxxxxxxx sk-xxxx hf_xxx "
                "hf_XXXXXXXX sk-proj-xxxxxxxx sk-1234 1234 123456 sk-12345678 sk-1234567890 sk-your-api-key "
                "hf_your_token_here"
            ),
        ),
        (VARIABLE, "$TGW_API_KEY %TGW_API_KEY% $env:TGW_API_KEY"),
        (
            REFERENCE,
            (
                "vault:secret/data/tgw#key os.environ/OPENAI_API_KEY arn:aws:secretsmanager:eu-west-1:1:secret:tgw "
                "arn:aws-cn:ssm:x secretref:tgw env:TGW_API_KEY ssm:/tgw/key projects/1/secrets/tgw/versions/latest"
            ),
        ),
        (
            PATH,
            (
                "/run/secrets/tgw_api_key /etc/tgw.key ~/.keys/tgw ./key ../key $HOME/key ${HOME}/key %APPDATA%/key "
                "C:\\keys\\tgw c:/keys/tgw"
            ),
        ),
        (QUOTE, "\"K K\" 'K K' `K"),
        (BACKSLASH, "K\\n K\\r\\n K\\t"),
        (COMMA, "K, K;"),
        (LINE, "tgw=K a_1=b=="),
        (PERCENT, "K%2Fx K%3d"),
        (IN_PART, "sk-... sk-**** sk-your... sk-abcd...wxyz sk-ab****yz"),
        (TWICE, "abcdefgh01234567abcdefgh01234567"),
    ],
)
def test_value_that_may_be_a_key_warns(mistake: tuple[str, str], keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's real key may look like that, so it is sent, and the line says what it looks like."""
    for key in keys.split():
        check = key_line(key, monkeypatch)
        ending = f", ending in {key[-4:]}" if len(key) >= 20 else ""
        detail = f"environment variable BEARER_TOKEN: {len(key)} characters{ending}; it {mistake[0]}"
        assert check == ("key", "warn", detail, mistake[1])


@pytest.mark.parametrize(
    "key",
    [
        "1|abcdefgh", "hunter2", "local", "x", "xx", "yourself", "mykeyisgood", "tokenizer", "nonesuch", "a<b>c",
        "$ecret", "changes", "your.own-horse", "sk-xxxxyz", "gsk_x.x*x", "todos", "abc{d}", "sk..ab",
        "AIzaSyXXXXXXX1", "/abc/def+g==", "sk-12345678901234567890", "user:password",
        "1235", "12346", "YWJj=", "YWI==", "YWJj+=x",
        "abcdefgh0123456abcdefgh0123456", "a" * 201 + "_key",
    ],
)  # fmt: skip
def test_key_that_only_resembles_a_mistake_is_ok(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frequent false warnings would be ignored; a short key warns for another reason."""
    assert suspected_mistake(Credential(f"Bearer {key}")) is None
    assert len(key) < 8 or key_line(key, monkeypatch).status == "ok"


@pytest.mark.parametrize(
    "key", ["your_" * 3000, "sk-" * 5000, "x" * 16000 + "!", "<" * 16000, ".." + "a.." * 5000, "a_" * 99, "%" * 16000]
)
def test_longest_key_takes_no_time(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for mistakes takes less than a second for the longest key."""
    start = time.process_time()
    key_line(key, monkeypatch)
    assert time.process_time() - start < 1


def test_arguments_of_a_command_are_not_shown(tmp_path: Path) -> None:
    """The arguments may reveal where the key is."""
    program = make_program(tmp_path, "vault", f"print({KEY!r})")
    check = found(BearerEnvAuth(provider=command([program, KEY]))).check
    left_out = "left out: the line break at the end"
    assert check.detail == f"provider command {program.name}: {len(KEY)} characters, ending in WXYZ; {left_out}"


# header


SHAPE = "Authorization: Bearer, one space, {} characters of visible ASCII"


def test_header_is_described() -> None:
    """The line describes the header without the key."""
    assert check_header(Credential(f"Bearer {KEY}"), PYTHON) == ("header", "ok", SHAPE.format(len(KEY)), "")


@pytest.mark.parametrize("key", ["BearerK", "Bearer%20K", "bearer-K"])
def test_key_that_begins_with_bearer_warns(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The word would be sent as part of the key; only one of the two lines says so."""
    detail = "; the key begins with the word Bearer and no space, so the word would be part of the key"
    remedy = "store only the key; the scheme is added for you"
    shape = SHAPE.format(len(key))
    assert check_header(Credential(f"Bearer {key}"), PYTHON) == ("header", "warn", shape + detail, remedy)
    assert key_line(key, monkeypatch).status == "ok"


@pytest.mark.parametrize(("length", "status"), [(8000 - 7, "ok"), (8001 - 7, "warn")])
def test_long_header_warns(length: int, status: str) -> None:
    """Servers limit the length of a header line."""
    check = check_header(Credential("Bearer " + "a" * length), PYTHON)
    words = {"ok": ("", ""), "warn": (", more than many servers accept", "if it is refused, ask for a shorter key")}[
        status
    ]
    assert check == ("header", status, SHAPE.format(length) + words[0], words[1])
