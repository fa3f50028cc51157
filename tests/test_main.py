"""The command line."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from requests_bearer_env import __version__, demo, platforms
from requests_bearer_env.__main__ import main
from requests_bearer_env.demo.server import Reply, Request
from requests_bearer_env.doctor import Check, examination
from requests_bearer_env.errors import COMMAND_LINE
from tests.helpers import KEY, Serve, always, assert_hidden, keyed

PROGRAM = [sys.executable, "-m", "requests_bearer_env"]

#: What the line about a file begins with; Windows has no modes.
MODE = "unchanged" if os.name == "nt" else "mode"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _settings(ca: str, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's CA in the environment, a width for argparse, and nothing about colours."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def usage_error(capsys: Capture, *argv: str) -> str:
    """What is said of wrong arguments."""
    with pytest.raises(SystemExit) as caught:
        main(["check", *argv])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


# Text


SHAPE = f"Authorization: Bearer, one space, {len(KEY)} characters of visible ASCII"


def test_each_check_is_an_aligned_line(capsys: Capture) -> None:
    """The status comes first, then the name, then what was seen."""
    assert main(["check", "--env", "TGW_API_KEY"]) == 0
    assert capsys.readouterr() == (
        (
            f"ok    key      environment variable TGW_API_KEY: {len(KEY)} characters, ending in WXYZ\n"
            f"ok    header   {SHAPE}\n"
            "ok    verdict  the key can be sent; give a URL to see whether the server accepts it\n"
        ),
        "",
    )


def test_remedy_is_an_indented_line(capsys: Capture) -> None:
    """After a failure comes what to do, below what was seen."""
    assert main(["check"]) == 1
    assert capsys.readouterr().out == (
        "FAIL  key      no key found because BEARER_TOKEN is not set in this process's environment\n"
        "               name another variable with --env NAME, or set this one before the program starts\n"
        "FAIL  verdict  there is no key to send; failed: key\n"
    )


def test_warning_does_not_fail(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning is shown, and the exit status stays 0."""
    monkeypatch.setenv("BEARER_TOKEN", "changeme")
    assert main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "warn  key      environment variable BEARER_TOKEN: 8 characters; it looks like a placeholder"
    )
    assert lines[-1].startswith("warn  verdict  ")


NARROW = """\
FAIL  key      no key found because
               BEARER_TOKEN is not set
               in this process's
               environment
               name another variable
               with --env NAME, or set
               this one before the
               program starts
FAIL  verdict  there is no key to send;
               failed: key
"""


@pytest.mark.parametrize("columns", ["40", "1"])
def test_lines_wrap_at_columns(columns: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """$COLUMNS is the width, down to one at which words still fit."""
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["check"]) == 1
    assert capsys.readouterr().out == NARROW


def test_long_words_are_kept_whole(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path or a URL can be copied from the terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    path = tmp_path / "a-very-long-name-of-a-file-with-hyphens-in-it"
    path.write_text(KEY)
    assert main(["check", "--file", str(path)]) == 0
    assert f"               {path}:\n" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["", "0", "wide", "-80", "\u00b2"])
def test_output_to_a_pipe_is_not_wrapped(columns: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that reads it, such as grep, wants whole lines."""
    monkeypatch.setenv("COLUMNS", columns)
    main(["check"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == "FAIL  key      no key found because BEARER_TOKEN is not set in this process's environment"


class Terminal(io.StringIO):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> str:
    """What goes to a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    main(["check"])
    return terminal.getvalue()


def test_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is coloured, and the columns stay aligned."""
    monkeypatch.setattr(platforms, "WINDOWS", False)
    assert on_terminal(monkeypatch).startswith("\x1b[31mFAIL\x1b[0m  key      no key found")
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    assert on_terminal(monkeypatch).startswith("\x1b[32mok  \x1b[0m  key      environment")
    monkeypatch.setenv("BEARER_TOKEN", "changeme")
    assert on_terminal(monkeypatch).startswith("\x1b[33mwarn\x1b[0m  key      environment")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_declined(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR and a dumb terminal get none."""
    monkeypatch.setenv(name, value)
    assert on_terminal(monkeypatch).startswith("FAIL  key")


def test_empty_no_color_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR counts when it is not empty, as no-color.org has it."""
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setattr(platforms, "WINDOWS", False)
    assert "\x1b" in on_terminal(monkeypatch)


def test_windows_console_decides_about_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console without virtual terminal support would show the codes as text."""
    monkeypatch.setattr(platforms, "enable_colour", lambda stream: False)
    assert on_terminal(monkeypatch).startswith("FAIL  key")


def test_terminal_without_size_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that replaces a terminal, as in a notebook, has no width."""
    monkeypatch.delenv("COLUMNS")
    assert "environment\n" in on_terminal(monkeypatch).splitlines(keepends=True)[0]


@pytest.mark.posix("terminals (pty)")
@pytest.mark.parametrize(("columns", "lines"), [(40, 8), (0, 2), (200, 2)])
def test_lines_wrap_at_the_terminals_width(columns: int, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real terminal tells its width; one that tells nothing gets whole lines."""
    # Windows has none of these.
    import fcntl
    import pty
    import struct
    import termios

    monkeypatch.delenv("COLUMNS")
    main_end, program_end = pty.openpty()
    fcntl.ioctl(program_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(program_end, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["check"]) == 1
    shown = read_all(main_end)
    assert shown.count(b"\n", 0, shown.index(b"verdict")) == lines


def read_all(terminal: int) -> bytes:
    """What was written to a terminal whose other end is closed."""
    data = b""
    with contextlib.suppress(OSError):  # how Linux reports the end
        while chunk := os.read(terminal, 4096):
            data += chunk
    os.close(terminal)
    return data


def test_waiting_is_shown_on_a_terminal(serve: Serve, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice on standard error shows that the check is waiting, and is erased afterwards."""
    monkeypatch.setattr("requests_bearer_env.doctor.output._NOTICE_DELAY", 0.01)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    def app(_: Request) -> Reply:
        end = time.monotonic() + 10
        while "waiting ..." not in terminal.getvalue().rpartition("\r")[2] and time.monotonic() < end:
            time.sleep(0.01)
        return Reply(200)

    assert main(["check", serve(app).url(), "--env", "TGW_API_KEY"]) == 0
    shown = terminal.getvalue()
    assert "waiting ...\r           \r" in shown
    assert shown.replace("waiting ...", "").strip("\r ") == ""
    assert "waiting" not in capsys.readouterr().out


def test_quick_check_shows_no_waiting(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A check that takes no time prints nothing on standard error."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    main(["check"])
    assert terminal.getvalue() == ""


def test_lines_are_printed_as_they_are_known(serve: Serve, capsys: Capture) -> None:
    """Each line is printed before the next step begins, which may take seconds."""
    seen: list[str] = []

    def app(_: Request) -> Reply:
        seen.append(capsys.readouterr().out)
        return Reply(200)

    main(["check", serve(app).url(), "--env", "TGW_API_KEY"])
    assert [line[6:13].strip() for line in seen[0].splitlines()] == ["key", "header", "url"]


def test_unencodable_characters_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may have characters that a code page lacks."""
    path = tmp_path / "schlüssel"
    path.write_text(KEY)
    for encoding, shown in (("ascii", rb"schl\xfcssel"), ("cp437", b"schl\x81ssel"), ("cp936", b"schl\xa8\xb9ssel")):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
        assert main(["check", "--file", str(path)]) == 0
        assert shown + f": {MODE}".encode() in written.getvalue()


def test_redirected_output_may_be_a_string(key_env: str) -> None:
    """A StringIO has no encoding, and takes every character."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["check", "--env", key_env]) == 0
    assert out.getvalue().startswith("ok    key ")


# JSON


def test_json_has_the_checks(capsys: Capture) -> None:
    """The whole of the report, in the documented form, and in lines that a person can read, too."""
    assert main(["check", "--json", "--env", "TGW_API_KEY"]) == 0
    out = capsys.readouterr().out
    report = json.loads(out)
    assert out == json.dumps(report, indent=2) + "\n"
    assert report["ok"] is True
    assert [check["name"] for check in report["checks"]] == ["key", "header", "verdict"]
    assert report["checks"][1] == {"name": "header", "status": "ok", "detail": SHAPE, "remedy": ""}


def test_json_says_that_something_failed(capsys: Capture) -> None:
    """A failure is not ok, and has a remedy."""
    assert main(["check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["checks"][0]["status"] == "fail"
    assert (
        report["checks"][0]["remedy"]
        == "name another variable with --env NAME, or set this one before the program starts"
    )


def test_json_of_a_warning_is_ok(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The member ``ok`` is true whenever the exit status is 0."""
    monkeypatch.setenv("BEARER_TOKEN", "changeme")
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_json_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program reads it, even from a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    main(["check", "--json"])
    assert "\x1b" not in terminal.getvalue()
    json.loads(terminal.getvalue())


# Options


def test_url_is_checked(serve: Serve, capsys: Capture) -> None:
    """With a URL the request is sent."""
    server = serve(keyed(KEY))
    assert main(["check", server.url("/v1/models"), "--env", "TGW_API_KEY"]) == 0
    out = capsys.readouterr().out
    assert "ok    request  GET answered 200 OK with the key and 401 Unauthorized without it" in out
    assert [line[6:15].strip() for line in out.splitlines()] == ["key", "header", "url", "request", "clock", "verdict"]


def test_options_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options are those of diagnose."""
    calls: list[Any] = []

    def examine(*arguments: Any, **options: Any) -> Iterator[Check]:
        calls.append((arguments[1:], options))
        return iter(())

    monkeypatch.setattr(examination, "examine", examine)
    main(["check", "https://host/", "--method", "POST", "--timeout", "2.5", "--max-age", "7"])
    main(["check"])
    assert calls == [
        (("https://host/",), {"method": "POST", "timeout": 2.5, "max_age": 7, "wording": COMMAND_LINE}),
        ((None,), {"method": "GET", "timeout": 10, "max_age": 90, "wording": COMMAND_LINE}),
    ]


def test_command_has_the_key(capsys: Capture) -> None:
    """The program is split as a shell would, and its arguments are not shown."""
    argument = f"print('{KEY}')"
    assert main(["check", "--command", f'{sys.executable} -c "{argument}"']) == 0
    out = capsys.readouterr().out
    name = Path(sys.executable).name
    assert (
        f"provider command {name}: {len(KEY)} characters, ending in WXYZ; left out: the line break at the end\n" in out
    )
    assert "print" not in out


def test_command_is_split_as_the_platform_does(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A backslash in a command line on Windows is part of a path."""
    monkeypatch.setattr(platforms, "split_command_line", lambda text: [sys.executable, "-c", f"print('{text}')"])
    assert main(["check", "--command", "a b c"]) == 1
    assert "has SPACE (U+0020) at position 2" in capsys.readouterr().out


def test_first_line_of_a_command_is_enough(capsys: Capture) -> None:
    """Password managers such as pass keep notes below the key."""
    argv = ["check", "--command", f"{sys.executable} -c \"print('abcdefghij'); print('notes')\""]
    assert main(argv) == 1
    assert main([*argv, "--first-line"]) == 0
    assert "10 characters" in capsys.readouterr().out


def test_command_is_not_waited_for(capsys: Capture) -> None:
    """--timeout counts for the program, too."""
    assert main(["check", "--timeout", "0.2", "--command", f'{sys.executable} -c "import time; time.sleep(60)"']) == 1
    assert "did not finish within 0.2 s" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--host", "--allow-http"])
@pytest.mark.parametrize("form", ["{0} a.example {0} {1}", "{0} a.example {1}"])
def test_several_hosts_can_be_named(option: str, form: str, serve: Serve, capsys: Capture) -> None:
    """An option for hosts takes several, and may come several times."""
    server = serve(keyed(KEY), tls=option == "--host")
    words = form.format(option, "localhost").split()
    assert main(["check", server.url(), "--env", "TGW_API_KEY", *words]) == 0
    assert "request  GET answered 200" in capsys.readouterr().out


def test_only_hosts_take_wildcards(capsys: Capture) -> None:
    """Plain HTTP is allowed to named hosts only."""
    assert main(["check", "--env", "TGW_API_KEY", "--host", "*.tgw.example"]) == 0
    capsys.readouterr()
    assert "--allow-http item 1 " in usage_error(capsys, "--env", "TGW_API_KEY", "--allow-http", "*.tgw.example")


@pytest.mark.parametrize("option", ["--host", "--allow-http"])
@pytest.mark.parametrize("hosts", ["localhost", "a.example localhost"])
def test_url_after_hosts_is_the_url(option: str, hosts: str, serve: Serve, capsys: Capture) -> None:
    """The URL may stand last, where an option before it would take it for a host."""
    server = serve(keyed(KEY), tls=option == "--host")
    assert main(["check", "--env", "TGW_API_KEY", option, *hosts.split(), server.url()]) == 0
    assert "request  GET answered 200" in capsys.readouterr().out


def test_last_host_is_not_the_url(capsys: Capture) -> None:
    """Only an argument with a scheme is taken as the URL."""
    assert main(["check", "--env", "TGW_API_KEY", "--host", "a.example", "b.example"]) == 0
    assert "url" not in capsys.readouterr().out


def test_remedies_name_options(capsys: Capture) -> None:
    """A remedy names the option of the command line, and not the argument of Python."""
    assert main(["check", "https://a.example/", "--env", "TGW_API_KEY", "--host", "api.example.com"]) == 1
    assert (
        "FAIL  url      the key was not sent to https://a.example because the key is bound to api.example.com\n"
        "               correct the URL, or name the host with --host if the key belongs there\n"
    ) in capsys.readouterr().out
    assert main(["check", "http://127.0.0.1:5000/", "--env", "TGW_API_KEY"]) == 1
    assert "use --allow-http 127.0.0.1, or https:// if the server speaks TLS\n" in capsys.readouterr().out


# Wrong usage


@pytest.mark.parametrize(
    "argv",
    [
        ["--env", KEY],
        ["--env", "TGW_API_KEY", "--file", KEY],
        ["--host", f"https://{KEY}.example/"],
        ["--host", f"{KEY}/x"],
        ["--allow-http", f"*.{KEY}"],
        ["--timeout", KEY],
        ["--max-age", KEY],
        ["--method", KEY],
        pytest.param(["--command", f"'{KEY}"], marks=pytest.mark.posix("quotes that must be closed")),
        ["--command", f'"" {KEY}'],
        ["https://host/", KEY],
        [KEY],
        [KEY.replace("/", "_").replace("-", "_")],
        ["--allow-http", "localhost", KEY],
        [f"--json={KEY}"],
        [f"--{KEY}"],
    ],
)
def test_wrong_usage_is_not_repeated(argv: list[str], capsys: Capture) -> None:
    """Wrong arguments end with 2 and one sentence, in which they are not shown."""
    message = usage_error(capsys, *argv)
    assert message.startswith("usage: requests-bearer-env")
    assert "error: " in message.splitlines()[-1]
    assert_hidden(message)


BLANK = "argument --command: it is blank or has a quote that is not closed"
NO_SECONDS = "the timeout is not a positive number below 1e+08: give a number of seconds"
NOT_SHOWN = "(not shown because it may be a key)"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--command", " "], BLANK),
        pytest.param(["--command", "'"], BLANK, marks=pytest.mark.posix("quotes that must be closed")),
        (
            ["--command", '"" x'],
            "the command has no program, or has a NUL character in it: give a list of the program and its arguments",
        ),
        (["--method", "G3T"], "the method is not a word of letters: give GET, POST or the like"),
        (["--method", ""], "the method is not a word of letters: give GET, POST or the like"),
        (["--timeout", "0"], NO_SECONDS),
        (["--timeout", "nan"], NO_SECONDS),
        (["--timeout", "inf"], NO_SECONDS),
        (["--timeout", "soon"], NO_SECONDS),
        (["--max-age", "-1"], "the maximum age is not a positive number below 1e+08: give a number of days"),
        (
            ["--env", "1x"],
            (
                "--env (2 characters, not shown) is not the name of an environment variable: "
                "put the key into a variable and give that variable's name, or name a file with --file"
            ),
        ),
        (["--file", " "], "--file is blank or has a NUL character in it: give the path of the key's file"),
        (
            ["--host", "a.example", "--host", "https://b.example/"],
            "--host item 2 is a URL, not a host: give its host alone, such as api.example.com",
        ),
        (
            ["--allow-http", "*"],
            "--allow-http item 1 is a wildcard: name each host that may be reached by plain HTTP, such as 127.0.0.1",
        ),
        *(
            ([word], "that is not a URL with http:// or https://; for a variable's name write --env NAME")
            for word in ("TGW_API_KEY", "localhost")
        ),
        *(
            ([word], "write the URL with http:// or https://")
            for word in ("127.0.0.1:5000/v1/models", "localhost:5000", "sk-abc", "/run/secrets/key")
        ),
        *(
            (
                [option, "localhost", "localhost:5000/v1/models"],
                f"{option} item 2 is not a host: if it is the URL, write it with http:// or https://",
            )
            for option in ("--host", "--allow-http")
        ),
        (["--env"], "argument --env: expected one argument"),
        (["https://host/", "x"], f"unrecognized arguments {NOT_SHOWN}"),
        (["--json=x"], f"argument --json: ignored explicit argument {NOT_SHOWN}"),
        (["--timeout", "5", "--en", "x"], f"unrecognized arguments {NOT_SHOWN}"),
    ],
)
def test_wrong_usage_is_explained(argv: list[str], words: str, capsys: Capture) -> None:
    """In one line of argparse's form, after the usage, in the command line's language."""
    assert usage_error(capsys, *argv).splitlines()[-1].partition(" error: ")[2] == words


def test_command_word_is_needed(capsys: Capture) -> None:
    """Without a command the usage is shown."""
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "required: COMMAND" in capsys.readouterr().err


def test_unknown_command_is_not_repeated(capsys: Capture) -> None:
    """A key in the place of the command is not shown either."""
    with pytest.raises(SystemExit) as caught:
        main([KEY])
    assert caught.value.code == 2
    assert_hidden(capsys.readouterr().err)


def test_version_is_shown(capsys: Capture) -> None:
    """--version prints the version."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


HELP = """
Check the key, its file, the environment and, given a URL, the server's answer. Of the key, only its length and, if it
is long, its last 4 characters are shown. Exit status: 0 if nothing failed, 1 if something did, 2 for wrong usage, 130
if interrupted.

positional arguments:
  URL                     the URL of the requests; without it, nothing is sent

options:
  -h, --help              show this help message and exit
  --env NAME              the environment variable with the key (default: BEARER_TOKEN)
  --file PATH             the file with the key
  --command 'PROGRAM ARG ...'  a program that prints the key; no shell is used; in cmd, put the whole command in double
                          quotes
  --first-line            take only the first line that PROGRAM prints
  --host HOST [HOST ...]  a host that the key is bound to
  --allow-http HOST [HOST ...]  a host for plain HTTP
  --method METHOD         the method of the request, which is really sent, without a body (default: GET)
  --timeout SECONDS       the time limit for all use of the network, and for PROGRAM (default: 10)
  --max-age DAYS          warn if the file with the key is older (default: 90)
  --json                  print JSON
"""

COMMANDS = """
Find out why a request with a bearer key is refused, or run a demo.

positional arguments:
  COMMAND
    check                 find out why a request is refused
    demo                  show how keys are sent, to an HTTPS server on this machine

options:
  -h, --help              show this help message and exit
  --version               show program's version number and exit
"""

DEMO = """
options:
  -h, --help   show this help message and exit
  --serve      keep the server up, and print what to try on it
  --port PORT  with --serve: the port for http; https uses the next one (default: any free ports)
"""


@pytest.mark.parametrize(("argv", "text"), [([], COMMANDS), (["check"], HELP), (["demo"], DEMO)])
def test_help_is_complete(argv: list[str], text: str, capsys: Capture) -> None:
    """--help has every option with its default, and the exit statuses; argparse decides where lines break."""
    with pytest.raises(SystemExit) as caught:
        main([*argv, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.partition("\n\n")[2].split() == text.split()
    assert out.startswith(f"usage: {' '.join(['requests-bearer-env', *argv])} [-h] ")


# What goes wrong


def test_defect_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The message and traceback of an unexpected exception may hold the key, so neither is shown."""

    def examine(*_: Any, **__: Any) -> Iterator[Check]:
        yield Check("key", "ok", "seen")
        raise ZeroDivisionError(KEY)

    monkeypatch.setattr(examination, "examine", examine)
    assert main(["check"]) == 1
    assert capsys.readouterr() == (
        "ok    key      seen\n",
        "the check itself failed (ZeroDivisionError), which is a defect: report it\n",
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_interrupt_is_reported(terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """An interrupted run says so, and exits as a shell reports it."""

    def examine(*_: Any, **__: Any) -> Iterator[Check]:
        yield Check("key", "ok", "seen")
        raise KeyboardInterrupt

    if terminal:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(examination, "examine", examine)
    assert main(["check"]) == 130
    assert capsys.readouterr() == ("ok    key      seen\n", "interrupted before it was done\n")


@pytest.mark.posix("SIGINT for one process")
def test_interrupt_of_a_request_is_reported(serve: Serve) -> None:
    """A process that waits for a server gets SIGINT; what is known was printed."""
    asked, done = threading.Event(), threading.Event()

    def app(_: Request) -> Reply:
        asked.set()
        done.wait(30)
        return Reply(200)

    server = serve(app)
    # A test run in the background ignores the signal.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from requests_bearer_env.__main__ import main; sys.exit(main())"
    )
    words = [sys.executable, "-c", code, "check", server.url(), "--env", "TGW_API_KEY", "--timeout", "60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    done.set()
    assert (process.returncode, err) == (130, "interrupted before it was done\n")
    assert [line[6:13].strip() for line in out.splitlines()] == ["key", "header", "url"]


@pytest.mark.posix("/dev/full")
def test_unwritable_output_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A full disk is reported in one sentence, with exit status 1."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["check", "--env", "TGW_API_KEY"]) == 1
    assert capsys.readouterr().err == f"the result cannot be written: {os.strerror(errno.ENOSPC)}\n"


def test_closed_pipe_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A reader such as ``head`` ends before the check does; the sentence is the same on every system."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["check", "--env", "TGW_API_KEY"]) == 1
    assert capsys.readouterr().err == "the result cannot be written: its reader closed the pipe\n"


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_exit_status_is_enough(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """pythonw.exe has neither standard output nor standard error."""
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["check", "--env", "TGW_API_KEY", *arguments]) == 0
    assert main(["check", *arguments]) == 1


def test_closed_pipe_leaves_no_traceback() -> None:
    """The interpreter writes what is left in the buffer when it ends, which must not fail again."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [*PROGRAM, "check", "--env", "TGW_API_KEY"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "the result cannot be written: its reader closed the pipe\n")


def test_package_runs_as_a_program(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """``python -m`` ends with the exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["requests-bearer-env", "check"])
    monkeypatch.delitem(sys.modules, "requests_bearer_env.__main__")
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("requests_bearer_env", run_name="__main__")
    assert caught.value.code == 1
    assert capsys.readouterr().out.startswith("FAIL  key")


def test_a_process_reports_a_refusal(serve: Serve) -> None:
    """The command in a process of its own, with a server that refuses the key."""
    server = serve(always(401, WWW_Authenticate=f'Bearer error="invalid_token", scope="{KEY}"'))
    words = [*PROGRAM, "check", server.url("/v1/models"), "--env", "TGW_API_KEY"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "FAIL  request  GET answered 401 Unauthorized" in done.stdout
    assert_hidden(done.stdout)
    assert done.stderr == ""


# The demo


def test_demo_points_to_the_check(capsys: Capture) -> None:
    """The demo ends by saying what helps with one's own server."""
    assert main(["demo"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("python -m requests_bearer_env check --env NAME URL")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            ModuleNotFoundError("no", name="trustme"),
            2,
            "the demo needs trustme: pip install 'requests-bearer-env[demo]'\n",
        ),
        (demo.DemoError("saw 1"), 1, "the demo failed: saw 1\n"),
        (KeyboardInterrupt(), 130, "interrupted before it was done\n"),
    ],
)
def test_demo_that_fails_says_why(
    error: BaseException, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A demo that fails prints one sentence, and has an exit status of its own."""

    def run_demo() -> None:
        raise error

    monkeypatch.setattr(demo, "run", run_demo)
    assert main(["demo"]) == status
    assert capsys.readouterr() == ("", words)


@pytest.mark.parametrize("port", ["0", "65535", "123456", "-1", "x", "²", ""])
def test_port_is_the_number_of_a_port(port: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The demo takes two neighbouring ports, so 65535 is too large."""
    monkeypatch.setattr(demo, "serve", pytest.fail)
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--serve", f"--port={port}"])
    assert caught.value.code == 2
    assert "argument --port: is not a number from 1 to 65534" in capsys.readouterr().err


def test_port_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo gets the port as a number, or None for free ports."""
    ports: list[int | None] = []
    monkeypatch.setattr(demo, "serve", ports.append)
    assert main(["demo", "--serve", "--port", "65534"]) == 0
    assert main(["demo", "--serve", "--port", "1"]) == 0
    assert main(["demo", "--serve"]) == 0
    assert ports == [65534, 1, None]


def test_port_needs_serve(capsys: Capture) -> None:
    """The steps of the demo take free ports."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--port", "5000"])
    assert caught.value.code == 2
    assert "error: --port needs --serve" in capsys.readouterr().err
