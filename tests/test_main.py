"""The command line."""

from __future__ import annotations

import errno
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from requests_bearer_env import __version__, demo, doctor
from requests_bearer_env.__main__ import main
from requests_bearer_env.demo.server import Reply, Request
from tests.helpers import KEY, Serve, always, keyed

PROGRAM = [sys.executable, "-m", "requests_bearer_env"]

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


def run(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run([*PROGRAM, *argv], capture_output=True, text=True, timeout=60, check=False, **options)


# Text


def test_each_check_is_an_aligned_line(capsys: Capture) -> None:
    """The status comes first, then the name, then what was seen."""
    assert main(["check", "--env", "TGW_API_KEY"]) == 0
    assert capsys.readouterr().out == (
        f"ok    key      environment variable TGW_API_KEY: {len(KEY)} characters, ending in WXYZ\n"
        f"ok    header   Authorization: Bearer, 1 space, {len(KEY)} visible ASCII characters\n"
    )


def test_a_remedy_is_an_indented_line(capsys: Capture) -> None:
    """After a failure comes what to do, below what was seen."""
    assert main(["check"]) == 1
    assert capsys.readouterr().out == (
        "FAIL  key      there is none: environment variable BEARER_TOKEN is not set\n"
        "               put the key there, or name the source that has it\n"
    )


def test_a_warning_is_no_failure(capsys: Capture, tmp_path: Path) -> None:
    """A warning is shown, and the exit status stays 0."""
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o644)
    assert main(["check", "--file", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith(f"warn  file     {path}: mode 0644")
    assert lines[3].startswith("               leave it to its owner alone")


class Terminal(io.StringIO):
    """What a terminal looks like to a program."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def coloured(monkeypatch: pytest.MonkeyPatch) -> str:
    """What goes to a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    main(["check"])
    return terminal.getvalue()


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is coloured, and the columns stay aligned."""
    assert coloured(monkeypatch).startswith("\x1b[31mFAIL\x1b[0m  key      there is none")
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    assert coloured(monkeypatch).startswith("\x1b[32mok  \x1b[0m  key      environment")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_declined(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR and a dumb terminal get none."""
    monkeypatch.setenv(name, value)
    assert coloured(monkeypatch).startswith("FAIL  key")


def test_an_empty_no_color_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR counts when it is not empty, as no-color.org has it."""
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in coloured(monkeypatch)


def test_a_pipe_gets_no_colours() -> None:
    """Colours are for terminals."""
    assert run("check").stdout.startswith("FAIL  key")


def test_a_path_with_letters_that_the_terminal_has_not_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that cannot be encoded is escaped."""
    path = tmp_path / "schlüssel"
    path.write_text(KEY)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = run("check", "--file", str(path))
    assert r"schl\xfcssel: mode" in done.stdout
    assert done.stderr == ""


def test_an_output_in_ascii_gets_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same within this process."""
    path = tmp_path / "schlüssel"
    path.write_text(KEY)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["check", "--file", str(path)]) == 0
    assert rb"schl\xfcssel: mode" in written.getvalue()


# JSON


def test_json_has_the_checks(capsys: Capture) -> None:
    """The whole of the report, in the documented form, and in lines that a person can read, too."""
    assert main(["check", "--json", "--env", "TGW_API_KEY"]) == 0
    out = capsys.readouterr().out
    report = json.loads(out)
    assert out == json.dumps(report, indent=2) + "\n"
    assert report["ok"] is True
    assert [check["name"] for check in report["checks"]] == ["key", "header"]
    assert report["checks"][1] == {
        "name": "header",
        "status": "ok",
        "detail": f"Authorization: Bearer, 1 space, {len(KEY)} visible ASCII characters",
        "remedy": "",
    }


def test_json_says_that_something_failed(capsys: Capture) -> None:
    """A failure is not ok, and has a remedy."""
    assert main(["check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["checks"][0]["status"] == "fail"
    assert report["checks"][0]["remedy"]


def test_json_of_a_warning_is_ok(capsys: Capture, tmp_path: Path) -> None:
    """What the exit status says and what "ok" says are the same."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    assert main(["check", "--json", "--file", str(tmp_path / "key")]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_json_is_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program reads it, even from a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    main(["check", "--json"])
    assert "\x1b" not in terminal.getvalue()
    json.loads(terminal.getvalue())


# Options


def test_a_url_is_checked(serve: Serve, capsys: Capture) -> None:
    """With a URL a request is sent."""
    server = serve(keyed(KEY))
    assert main(["check", server.url("/v1/models"), "--env", "TGW_API_KEY"]) == 0
    out = capsys.readouterr().out
    assert "ok    request  GET answered 200 OK" in out
    assert [line[6:15].strip() for line in out.splitlines()] == ["key", "header", "url", "request", "clock"]


def test_method_timeout_and_age_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options are those of diagnose."""
    calls: list[Any] = []

    def diagnose(*arguments: Any, **options: Any) -> list[Any]:
        calls.append((arguments[1:], options))
        return []

    monkeypatch.setattr(doctor, "diagnose", diagnose)
    main(["check", "https://host/", "--method", "POST", "--timeout", "2.5", "--max-age", "7"])
    main(["check"])
    assert calls == [
        (("https://host/",), {"method": "POST", "timeout": 2.5, "max_age": 7}),
        ((None,), {"method": "GET", "timeout": 10, "max_age": 90}),
    ]


def test_a_command_has_the_key(capsys: Capture) -> None:
    """The program is split as a shell would, and its arguments are not shown."""
    argument = f"print('{KEY}')"
    assert main(["check", "--command", f'{sys.executable} -c "{argument}"']) == 0
    out = capsys.readouterr().out
    assert f"provider command {Path(sys.executable).name}: {len(KEY)} characters, ending in WXYZ\n" in out
    assert "print" not in out


def test_a_command_is_not_waited_for(capsys: Capture) -> None:
    """--timeout counts for the program, too."""
    assert main(["check", "--timeout", "0.2", "--command", f"{sys.executable} -c 'import time; time.sleep(60)'"]) == 1
    assert "did not finish within 0.2 s" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--host", "--allow-http"])
@pytest.mark.parametrize("form", ["{0} a.example {0} {1}", "{0} a.example {1}"])
def test_several_hosts_can_be_named(option: str, form: str, serve: Serve, capsys: Capture) -> None:
    """An option for hosts takes several, and may come several times."""
    server = serve(keyed(KEY), tls=option == "--host")
    words = form.format(option, "localhost").split()
    assert main(["check", server.url(), "--env", "TGW_API_KEY", *words]) == 0
    assert "request  GET answered 200" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--host", "--allow-http"])
@pytest.mark.parametrize("hosts", ["localhost", "a.example localhost"])
def test_a_url_behind_hosts_is_the_url(option: str, hosts: str, serve: Serve, capsys: Capture) -> None:
    """The URL may stand last, where an option before it would take it for a host."""
    server = serve(keyed(KEY), tls=option == "--host")
    assert main(["check", "--env", "TGW_API_KEY", option, *hosts.split(), server.url()]) == 0
    assert "request  GET answered 200" in capsys.readouterr().out


def test_the_last_host_is_no_url(serve: Serve, capsys: Capture) -> None:
    """Only what has a scheme is taken for the URL."""
    assert main(["check", "--env", "TGW_API_KEY", "--host", "a.example", "b.example"]) == 0
    assert "url" not in capsys.readouterr().out


def test_a_host_that_is_not_named_fails(serve: Serve, capsys: Capture) -> None:
    """--host binds the key as hosts= does."""
    server = serve(keyed(KEY))
    assert main(["check", server.url(), "--env", "TGW_API_KEY", "--host", "api.example.com"]) == 1
    assert "FAIL  url      the key was not sent to" in capsys.readouterr().out
    assert server.seen == []


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
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--timeout", "inf"],
        ["--timeout", "1e8"],
        ["--max-age", KEY],
        ["--max-age", "-1"],
        ["--method", KEY],
        ["--method", ""],
        ["--command", f"'{KEY}"],
        ["--command", "  "],
        ["--command", f"'' {KEY}"],
        ["--file", ""],
        ["https://host/", KEY],
        [f"--json={KEY}"],
        [f"--{KEY}"],
        ["--env"],
        ["--en", "TGW_API_KEY"],
    ],
)  # fmt: skip
def test_wrong_usage_is_not_repeated(argv: list[str], capsys: Capture) -> None:
    """Wrong arguments end with 2 and one sentence, in which they are not shown."""
    message = usage_error(capsys, *argv)
    assert message.startswith("usage: requests-bearer-env")
    assert "error: " in message.splitlines()[-1]
    assert not any(KEY[at : at + 8].lower() in message.lower() for at in range(len(KEY) - 7))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--command", " "], "argument --command: is blank, or has a quote that is not closed"),
        (["--command", "'"], "argument --command: is blank, or has a quote that is not closed"),
        (["--method", "G3T"], "argument --method: is not a word of letters"),
        (["--timeout", "0"], "argument --timeout: is not a positive number of a sensible size"),
        (["--max-age", "old"], "argument --max-age: is not a positive number of a sensible size"),
        (["https://host/", "x"], "unrecognized arguments (not shown, as a key may be among them)"),
        (["--json=x"], "argument --json: ignored explicit argument (not shown, as a key may be among them)"),
        (["--timeout", "5", "--en", "x"], "unrecognized arguments (not shown, as a key may be among them)"),
    ],
)
def test_wrong_usage_is_explained(argv: list[str], words: str, capsys: Capture) -> None:
    """In one line of argparse's form, after the usage."""
    assert usage_error(capsys, *argv).splitlines()[-1].partition(" error: ")[2] == words


def test_a_command_is_needed(capsys: Capture) -> None:
    """Without a command the usage is shown."""
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "required: COMMAND" in capsys.readouterr().err


def test_an_unknown_command_is_not_repeated(capsys: Capture) -> None:
    """A key in the place of the command is not shown either."""
    with pytest.raises(SystemExit) as caught:
        main([KEY])
    assert caught.value.code == 2
    assert KEY not in capsys.readouterr().err


def test_a_name_that_is_none_is_explained(capsys: Capture) -> None:
    """The constructor's own words say what is wrong."""
    assert "error: env= (2 characters, not shown) is not the name" in usage_error(capsys, "--env", "1x")


def test_the_version_is_told(capsys: Capture) -> None:
    """--version prints the version."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


HELP = """
Check the key, what is around it and, given a URL, what the server says to it. The key is never shown. Exit status: 0 if
nothing failed, 1 if something did, 2 for wrong usage, 130 if interrupted.

positional arguments:
  URL                     where the requests go; without it no network is used

options:
  -h, --help              show this help message and exit
  --env NAME              the environment variable with the key (default: BEARER_TOKEN)
  --file PATH             the file with the key
  --command 'PROGRAM ARG ...'  a program that prints the key; no shell is used
  --host HOST [HOST ...]  a host that the key is bound to
  --allow-http HOST [HOST ...]  a host for plain HTTP
  --method METHOD         the method of the request (default: GET)
  --timeout SECONDS       for the network, and for PROGRAM (default: 10)
  --max-age DAYS          of a key in a file (default: 90)
  --json                  print JSON
"""

COMMANDS = """
Bearer keys for requests.

positional arguments:
  COMMAND
    check                 find out why a request is refused
    demo                  show it at work against an HTTPS server on this machine

options:
  -h, --help              show this help message and exit
  --version               show program's version number and exit
"""


@pytest.mark.parametrize(("argv", "text"), [([], COMMANDS), (["check"], HELP)])
def test_the_help_is_complete(argv: list[str], text: str, capsys: Capture) -> None:
    """--help has every option with its default, and the exit statuses; where lines break is argparse's business."""
    with pytest.raises(SystemExit) as caught:
        main([*argv, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.partition("\n\n")[2].split() == text.split()
    assert out.startswith(f"usage: {' '.join(['requests-bearer-env', *argv])} [-h] ")


# What goes wrong


def test_a_defect_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Whatever nobody has thought of is told without its message and traceback."""

    def diagnose(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError(KEY)

    monkeypatch.setattr(doctor, "diagnose", diagnose)
    assert main(["check"]) == 1
    assert capsys.readouterr() == ("", "the check itself failed (ZeroDivisionError), which is a defect: report it\n")


def test_an_interrupt_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """An interrupted run says so, and exits as a shell reports it."""

    def diagnose(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "diagnose", diagnose)
    assert main(["check", "--json"]) == 130
    assert capsys.readouterr() == ("", "interrupted before it was done\n")


def test_an_interrupt_in_the_middle_of_a_request_is_told(serve: Serve) -> None:
    """The real thing: a process that waits for a server, and SIGINT."""
    asked, done = threading.Event(), threading.Event()

    def app(_: Request) -> Reply:
        asked.set()
        done.wait(30)
        return Reply(200)

    server = serve(app)
    # Whoever starts the tests in the background has them ignore the signal.
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
    assert (process.returncode, out, err) == (130, "", "interrupted before it was done\n")


def test_an_unwritable_output_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A full disk is one sentence, and a failure."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["check", "--env", "TGW_API_KEY"]) == 1
    assert capsys.readouterr().err == f"the result cannot be written: {os.strerror(errno.ENOSPC)}\n"


def test_a_missing_output_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A process that was started without an output says so, and fails."""
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["check", "--env", "TGW_API_KEY"]) == 1
    assert capsys.readouterr().err == "the result cannot be written: there is no standard output\n"


def test_a_reader_that_has_gone_is_told() -> None:
    """A closed pipe leaves one sentence and no traceback, not even when the interpreter ends."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [*PROGRAM, "check", "--env", "TGW_API_KEY"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, f"the result cannot be written: {os.strerror(errno.EPIPE)}\n")


def test_the_package_runs_as_a_program(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """``python -m`` ends with the exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["requests-bearer-env", "check"])
    monkeypatch.delitem(sys.modules, "requests_bearer_env.__main__")
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("requests_bearer_env", run_name="__main__")
    assert caught.value.code == 1
    assert capsys.readouterr().out.startswith("FAIL  key")


def test_a_process_does_the_same(serve: Serve) -> None:
    """The command in a process of its own, with a server that refuses the key."""
    server = serve(always(401, WWW_Authenticate=f'Bearer error="invalid_token", scope="{KEY}"'))
    done = run("check", server.url("/v1/models"), "--env", "TGW_API_KEY")
    assert done.returncode == 1
    assert "FAIL  request  GET answered 401 Unauthorized" in done.stdout
    assert KEY not in done.stdout
    assert done.stderr == ""


# The demo


def test_the_demo_points_to_the_check(capsys: Capture) -> None:
    """The demo ends by saying what helps with one's own server."""
    assert main(["demo"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("python -m requests_bearer_env check URL")


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
def test_a_demo_that_fails_says_why(
    error: BaseException, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """What keeps the demo from its end is one sentence and a status."""

    def run_demo() -> None:
        raise error

    monkeypatch.setattr(demo, "run", run_demo)
    assert main(["demo"]) == status
    assert capsys.readouterr() == ("", words)


# The README


def test_the_transcript_in_the_readme_is_true(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command in the README prints what stands there, but for the port."""
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Find out why a request is refused\n")[2].partition("\n## ")[0]
    first, _, transcript = section.partition("```console\n$ ")[2].partition("```")[0].partition("\n")
    challenge = 'Bearer error="invalid_token", error_description="The key was revoked"'
    certified = datetime.now(timezone.utc) + timedelta(days=61.5)
    server = serve(always(401, WWW_Authenticate=challenge), not_after=certified)
    monkeypatch.setenv("TGW_API_KEY", "Bearer tgw-0c3b5e1f9a7d4c2e8b6f0a1d3c5e7b9f7f3a")
    program, *words = first.replace(":5000", f":{server.server_port}").split()
    assert (program, words[:2]) == ("python", PROGRAM[1:])
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.replace(f":{server.server_port}", ":5000") == transcript
    assert (done.returncode, done.stderr) == (1, "")
