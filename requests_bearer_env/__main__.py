"""The command line: ``python -m requests_bearer_env check``, or ``requests-bearer-env check``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import textwrap
import threading
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from . import BearerEnvAuth, __version__, platforms
from .destination import parse_host_pattern
from .errors import COMMAND_LINE
from .sources.command import command
from .sources.env import EnvSource
from .sources.file import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from .doctor.report import Check

#: How a status is shown, and in which colour of a terminal.
_STATUS = {"ok": ("ok", "32"), "warn": ("warn", "33"), "fail": ("FAIL", "31")}

#: The width of what stands before a line's text, and the least that is left for the text.
_INDENT, _MIN_TEXT_WIDTH = 15, 25

#: Seconds after which a terminal shows that the check is waiting for something.
_NOTICE_DELAY = 0.5

#: argparse repeats what it was given, which may be a key in the wrong place.
_ECHO = re.compile(r"(unrecognized arguments|invalid choice|ignored explicit argument).*", re.DOTALL)

_LAST_PORT = 65535

#: The exit status that shells report for a program that was interrupted.
_INTERRUPTED = 130


class _OutputError(Exception):
    """Standard output does not take the result; the argument is the reason."""


class _Parser(argparse.ArgumentParser):
    """Shows none of the arguments when they are wrong, and takes no option for another."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        super().error(_ECHO.sub(r"\1 (not shown, as a key may be among them)", message))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments; None for those of the process.

    Returns:
        The exit status: 0, 1 if something failed, 130 if it was interrupted. Wrong usage exits with 2.
    """
    parser = _Parser(prog="requests-bearer-env", description="Bearer keys for requests.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="find out why a request is refused", description=_CHECK)
    _add_options(check)
    check.set_defaults(run=partial(_run_check, check))
    demo = commands.add_parser("demo", help="show it at work against an HTTPS server on this machine")
    demo.add_argument("--serve", action="store_true", help="keep the server up, and print what to try on it")
    demo.add_argument(
        "--port",
        type=_parse_port,
        metavar="PORT",
        help="with --serve: for http; https gets the next one (default: free ones)",
    )
    demo.set_defaults(run=partial(_run_demo, demo))
    options = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        print("interrupted before it was done", file=sys.stderr)
        return _INTERRUPTED


_CHECK = """Check the key, what is around it and, given a URL, what the server says to it. The key is never shown.
Exit status: 0 if nothing failed, 1 if something did, 2 for wrong usage, 130 if interrupted."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", metavar="URL", help="where the requests go; without it no network is used")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--env", metavar="NAME", help="the environment variable with the key (default: BEARER_TOKEN)")
    source.add_argument("--file", metavar="PATH", help="the file with the key")
    source.add_argument(
        "--command",
        metavar="'PROGRAM ARG ...'",
        type=_split_words,
        help="a program that prints the key; no shell is used; in cmd, put double quotes around all",
    )
    parser.add_argument("--first-line", action="store_true", help="take only the first line that PROGRAM prints")
    for option, text in (("--host", "a host that the key is bound to"), ("--allow-http", "a host for plain HTTP")):
        parser.add_argument(option, action="append", nargs="+", default=[], metavar="HOST", help=text)
    parser.add_argument(
        "--method",
        default="GET",
        help="the method of the request, which is really sent, without a body (default: GET)",
    )
    parser.add_argument(
        "--timeout",
        type=_parse_number,
        default=10,
        metavar="SECONDS",
        help="for the network, and for PROGRAM (default: 10)",
    )
    parser.add_argument(
        "--max-age", type=_parse_number, default=90, metavar="DAYS", help="of a key in a file (default: 90)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _split_words(text: str) -> list[str]:
    try:
        words = platforms.split_command_line(text)
    except ValueError:
        words = []
    if not words:
        raise argparse.ArgumentTypeError("it is blank or has a quote that is not closed")
    return words


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return nan  # argparse would show the text


def _run_check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from .doctor.examination import examine

    url = options.url or _take_url(options.host) or _take_url(options.allow_http)
    try:
        checks = examine(
            _make_auth(options),
            _with_scheme(url),
            method=options.method,
            timeout=options.timeout,
            max_age=options.max_age,
            wording=COMMAND_LINE,
        )
    except ValueError as error:  # says which option is wrong, and does not show it
        parser.error(str(error))
    try:
        return _print_json(checks) if options.json else _print_lines(checks)
    except _OutputError as error:
        _print_error(f"the result cannot be written: {error}")
        return 1
    except Exception as error:
        # Its message and traceback may hold anything, so they are not shown.
        _print_error(f"the check itself failed ({type(error).__name__}), which is a defect: report it")
        return 1


def _take_url(groups: list[list[str]]) -> str | None:
    """The URL, if it stood after the hosts of an option, which takes whatever follows."""
    if groups and len(groups[-1]) > 1 and "://" in groups[-1][-1]:
        return groups[-1].pop()
    return None


def _with_scheme(url: str | None) -> str | None:
    """Return the URL.

    Raises:
        ValueError: It is no URL. The message does not show it, because it may be a key.
    """
    if url is None or "://" in url:
        return url
    if url.isascii() and url.isidentifier():
        raise ValueError("that is not a URL with http:// or https://; for a variable's name write --env NAME")
    raise ValueError("write the URL with http:// or https://")


def _make_auth(options: argparse.Namespace) -> BearerEnvAuth:
    """What the requests in question are made with.

    Raises:
        ValueError: An option has a wrong value; the message names the option.
    """
    if options.env is not None:
        EnvSource(options.env, "--env", COMMAND_LINE.file)
    if options.file is not None:
        FileSource(options.file, "--file")
    return BearerEnvAuth(
        options.env,
        file=options.file,
        provider=options.command and command(options.command, timeout=options.timeout, first_line=options.first_line),
        hosts=_parse_hosts("--host", options.host, wildcards=True) or None,
        allow_http=_parse_hosts("--allow-http", options.allow_http, wildcards=False),
    )


def _parse_hosts(option: str, groups: list[list[str]], *, wildcards: bool) -> list[str]:
    """The hosts of an option, which may come several times."""
    hosts = [host for group in groups for host in group]
    for number, host in enumerate(hosts, start=1):
        if "/" in host and "//" not in host:
            raise ValueError(
                f"{option} item {number} is not a host: if it is the URL, write it with http:// or https://"
            )
        parse_host_pattern(f"{option} item {number}", host, wildcards=wildcards)
    return hosts


def _print_json(checks: Iterator[Check]) -> int:
    found = list(checks)
    ok = not any(check.status == "fail" for check in found)
    _write(json.dumps({"ok": ok, "checks": [check._asdict() for check in found]}, indent=2))
    return 0 if ok else 1


def _print_lines(checks: Iterator[Check]) -> int:
    """Print each line as soon as it is known."""
    colour, width, failed = _use_colour(), _output_width(), False
    while True:
        with _waiting_notice():
            check = next(checks, None)
        if check is None:
            return 1 if failed else 0
        failed = failed or check.status == "fail"
        _write(_format_check(check, colour=colour, width=width))


def _format_check(check: Check, *, colour: bool, width: int | None) -> str:
    """A line of the report, and below it what to do."""
    word, code = _STATUS[check.status]
    shown = f"\x1b[{code}m{word:4}\x1b[0m" if colour else f"{word:4}"
    lines = [*_wrap(check.detail, width), *(_wrap(check.remedy, width) if check.remedy else ())]
    return f"{shown}  {check.name:7}  " + f"\n{'':{_INDENT}}".join(lines)


def _wrap(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text]
    room = max(width - _INDENT, _MIN_TEXT_WIDTH)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)


def _output_width() -> int | None:
    """The width to wrap at; None if the output is no terminal and ``$COLUMNS`` is not set."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:9]) > 0:
        return int(columns[:9])
    out = _stdout()
    if out is None or not out.isatty():
        return None
    try:
        return os.get_terminal_size(out.fileno()).columns or None
    except (OSError, ValueError):  # what stands in for a terminal has no descriptor
        return None


@contextlib.contextmanager
def _waiting_notice() -> Generator[None, None, None]:
    """Show on a terminal that the check is waiting, until it goes on."""
    err: TextIO | None = sys.stderr
    if err is None or not err.isatty():
        yield
        return
    text = "waiting ..."
    shown: list[str] = []

    def show() -> None:
        shown.append(text)
        print(text, end="", file=err, flush=True)

    timer = threading.Timer(_NOTICE_DELAY, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown:
            print(f"\r{'':{len(text)}}\r", end="", file=err, flush=True)


def _stdout() -> TextIO | None:
    """Where results go; None if the process was started without, as with pythonw."""
    out: TextIO | None = sys.stdout
    return out


def _use_colour() -> bool:
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and platforms.colour(_stdout())


def _write(text: str) -> None:
    """Print a result; without standard output the exit status alone tells it.

    Raises:
        _OutputError: The output does not take it.
    """
    out = _stdout()
    if out is None:
        return
    try:
        # A path may have characters that the output's encoding lacks; a StringIO has no encoding.
        encoding = out.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=out, flush=True)
    except OSError as error:
        # What is left in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        reason = "its reader closed the pipe" if platforms.is_closed_pipe(error) else platforms.error_text(error)
    else:
        return
    raise _OutputError(reason)


def _print_error(text: str) -> None:
    print(text, file=sys.stderr)


def _parse_port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 0 < port < _LAST_PORT:  # https gets the next one
        raise argparse.ArgumentTypeError(f"is not a number from 1 to {_LAST_PORT - 1}")
    return port


def _run_demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.port and not options.serve:
        parser.error("--port needs --serve")
    from . import demo

    try:
        if options.serve:
            demo.serve(options.port)
        else:
            demo.run()
    except ModuleNotFoundError as error:
        print(f"the demo needs {error.name}: pip install 'requests-bearer-env[demo]'", file=sys.stderr)
        return 2
    except demo.DemoError as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
