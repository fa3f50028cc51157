"""The command line: ``python -m requests_bearer_env check``, or ``requests-bearer-env check``."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from functools import partial
from itertools import chain
from math import nan
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from . import BearerEnvAuth, __version__, command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .doctor.report import Check

#: How a status is shown, and in which colour of a terminal.
_STATUS = {"ok": ("ok", "32"), "warn": ("warn", "33"), "fail": ("FAIL", "31")}

#: argparse repeats what it was given, which may be a key in the wrong place.
_ECHO = re.compile(r"(unrecognized arguments|invalid choice|ignored explicit argument).*", re.DOTALL)

#: Beyond it, seconds and days are a mistake, and too much for timers.
_LARGEST = 1e8

_LAST_PORT = 65535

#: What a shell makes of a program that was interrupted.
_INTERRUPTED = 130


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
    check.set_defaults(run=partial(_check, check))
    demo = commands.add_parser("demo", help="show it at work against an HTTPS server on this machine")
    demo.add_argument("--serve", action="store_true", help="keep the server up, and print what to try on it")
    demo.add_argument(
        "--port",
        type=_port,
        metavar="PORT",
        help="with --serve: for http; https gets the next one (default: free ones)",
    )
    demo.set_defaults(run=partial(_demo, demo))
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
        "--command", metavar="'PROGRAM ARG ...'", type=_words, help="a program that prints the key; no shell is used"
    )
    for option, text in (("--host", "a host that the key is bound to"), ("--allow-http", "a host for plain HTTP")):
        parser.add_argument(option, action="append", nargs="+", default=[], metavar="HOST", help=text)
    parser.add_argument("--method", type=_method, default="GET", help="the method of the request (default: GET)")
    parser.add_argument(
        "--timeout", type=_number, default=10, metavar="SECONDS", help="for the network, and for PROGRAM (default: 10)"
    )
    parser.add_argument("--max-age", type=_number, default=90, metavar="DAYS", help="of a key in a file (default: 90)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        raise argparse.ArgumentTypeError("is blank, or has a quote that is not closed")
    return words


def _method(text: str) -> str:
    if not (text.isascii() and text.isalpha()):
        raise argparse.ArgumentTypeError("is not a word of letters")
    return text


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not 0 < number < _LARGEST:
        raise argparse.ArgumentTypeError("is not a positive number of a sensible size")
    return number


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from .doctor import diagnose

    url = options.url or _url_among(options.host) or _url_among(options.allow_http)
    auth = _auth(parser, options)
    try:
        checks = diagnose(auth, url, method=options.method, timeout=options.timeout, max_age=options.max_age)
    except Exception as error:
        # Its message and traceback are not shown, for who knows what they hold.
        print(f"the check itself failed ({type(error).__name__}), which is a defect: report it", file=sys.stderr)
        return 1
    written = _write(_as_json(checks) if options.json else _as_text(checks, colour=_in_colour()))
    return 0 if written and not _failed(checks) else 1


def _url_among(groups: list[list[str]]) -> str | None:
    """The URL, if it stood behind the hosts of an option, which takes whatever follows."""
    if groups and len(groups[-1]) > 1 and "://" in groups[-1][-1]:
        return groups[-1].pop()
    return None


def _auth(parser: argparse.ArgumentParser, options: argparse.Namespace) -> BearerEnvAuth:
    """What the requests in question are made with."""
    try:
        return BearerEnvAuth(
            options.env,
            file=options.file,
            provider=options.command and command(options.command, timeout=options.timeout),
            hosts=list(chain.from_iterable(options.host)) or None,
            allow_http=list(chain.from_iterable(options.allow_http)),
        )
    except ValueError as error:  # says which argument, and not what it was
        parser.error(str(error))


def _failed(checks: Sequence[Check]) -> bool:
    return any(check.status == "fail" for check in checks)


def _as_json(checks: Sequence[Check]) -> str:
    return json.dumps({"ok": not _failed(checks), "checks": [check._asdict() for check in checks]}, indent=2)


def _as_text(checks: Sequence[Check], *, colour: bool) -> str:
    lines: list[str] = []
    for check in checks:
        word, code = _STATUS[check.status]
        shown = f"\x1b[{code}m{word:4}\x1b[0m" if colour else f"{word:4}"
        lines.append(f"{shown}  {check.name:7}  {check.detail}")
        if check.remedy:
            lines.append(f"{'':15}{check.remedy}")
    return "\n".join(lines)


def _stdout() -> TextIO | None:
    """Where results go; None if the process was started without."""
    out: TextIO | None = sys.stdout
    return out


def _in_colour() -> bool:
    out = _stdout()
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and out is not None and out.isatty()


def _write(text: str) -> bool:
    """Print a result, and say so if that cannot be done."""
    out = _stdout()
    if out is None:
        print("the result cannot be written: there is no standard output", file=sys.stderr)
        return False
    try:
        # A path may have letters that the terminal's encoding has not.
        print(text.encode(out.encoding, "backslashreplace").decode(out.encoding), flush=True)
    except OSError as error:
        # What is left in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        print(f"the result cannot be written: {error.strerror}", file=sys.stderr)
        return False
    return True


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 0 < port < _LAST_PORT:  # https gets the next one
        raise argparse.ArgumentTypeError(f"is not a number from 1 to {_LAST_PORT - 1}")
    return port


def _demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
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
