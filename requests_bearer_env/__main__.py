"""The command line: ``python -m requests_bearer_env check``, or ``requests-bearer-env check``."""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any, NoReturn

from . import BearerEnvAuth, __version__, platforms
from .destination import parse_host_pattern
from .errors import COMMAND_LINE
from .sources.command import command
from .sources.env import EnvSource
from .sources.file import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Matches the messages in which argparse repeats an argument, which may be a key.
_ECHO = re.compile(r"(unrecognized arguments|invalid choice|ignored explicit argument).*", re.DOTALL)

_LAST_PORT = 65535

#: The exit status that shells report for a program that was interrupted.
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser that never prints an argument, and accepts no abbreviated option."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        super().error(_ECHO.sub(r"\1 (not shown because it may be a key)", message))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status.

    Args:
        argv: The arguments; None for those of the process.

    Returns:
        0; 1 if something failed; 2 if the demo lacks a package; 130 if the command was interrupted.

    Raises:
        SystemExit: The usage is wrong (2), or the help or the version was asked for (0).
    """
    parser = _Parser(
        prog="requests-bearer-env", description="Find out why a request with a bearer key is refused, or run a demo."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="find out why a request is refused", description=_CHECK)
    _add_options(check)
    check.set_defaults(run=partial(_run_check, check))
    demo = commands.add_parser("demo", help="show how keys are sent, to an HTTPS server on this machine")
    demo.add_argument("--serve", action="store_true", help="keep the server up, and print what to try on it")
    demo.add_argument(
        "--port",
        type=_parse_port,
        help="with --serve: the port for http; https uses the next one (default: any free ports)",
    )
    demo.set_defaults(run=partial(_run_demo, demo))
    options = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        print("interrupted before it was done", file=sys.stderr)
        return _INTERRUPTED


_CHECK = """Check the key, its file, the environment and, given a URL, the server's answer. Of the key, only its length
and, if it is long, its last 4 characters are shown.
Exit status: 0 if nothing failed, 1 if something did, 2 for wrong usage, 130 if interrupted."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``check``."""
    parser.add_argument("url", nargs="?", metavar="URL", help="the URL of the requests; without it, nothing is sent")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--env", metavar="NAME", help="the environment variable with the key (default: BEARER_TOKEN)")
    source.add_argument("--file", metavar="PATH", help="the file with the key")
    source.add_argument(
        "--command",
        metavar="'PROGRAM ARG ...'",
        type=_split_words,
        help="a program that prints the key; no shell is used; in cmd, put the whole command in double quotes",
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
        help="the time limit for all use of the network, and for PROGRAM (default: 10)",
    )
    parser.add_argument(
        "--max-age",
        type=_parse_number,
        default=90,
        metavar="DAYS",
        help="warn if the file with the key is older (default: 90)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _split_words(text: str) -> list[str]:
    """Return the words of ``--command``, split as this system's shell does.

    Raises:
        argparse.ArgumentTypeError: There are no words, or a quote is not closed.
    """
    try:
        words = platforms.split_command_line(text)
    except ValueError:
        words = []
    if not words:
        raise argparse.ArgumentTypeError("it is blank or has a quote that is not closed")
    return words


def _parse_number(text: str) -> float:
    """Return a number; nan if the text is not a number.

    `examine` and `command` reject nan. If this function raised, argparse would print the text, which may be a key.
    """
    try:
        return float(text)
    except ValueError:
        return nan


def _run_check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Run ``check`` and return the exit status."""
    from .doctor.examination import examine
    from .doctor.output import OutputError, print_json, print_lines

    url = options.url or _take_url(options.host) or _take_url(options.allow_http)
    try:
        checks = examine(
            _make_auth(options),
            _require_scheme(url),
            method=options.method,
            timeout=options.timeout,
            max_age=options.max_age,
            wording=COMMAND_LINE,
        )
    except ValueError as error:  # its message names the wrong option without its value
        parser.error(str(error))
    try:
        return print_json(checks) if options.json else print_lines(checks)
    except OutputError as error:
        _print_error(f"the result cannot be written: {error}")
        return 1
    except Exception as error:
        # Its message and traceback may hold anything, so they are not shown.
        _print_error(f"the check itself failed ({type(error).__name__}), which is a defect: report it")
        return 1


def _take_url(groups: list[list[str]]) -> str | None:
    """Remove and return the URL if it is the last of an option's hosts; return None if it is not.

    An option with ``nargs="+"`` takes all arguments that follow it, the URL too.
    """
    if groups and len(groups[-1]) > 1 and "://" in groups[-1][-1]:
        return groups[-1].pop()
    return None


def _require_scheme(url: str | None) -> str | None:
    """Return the URL if it has a scheme, or is None.

    Raises:
        ValueError: The URL has no scheme. The message does not show it, because it may be a key.
    """
    if url is None or "://" in url:
        return url
    if url.isascii() and url.isidentifier():
        raise ValueError("that is not a URL with http:// or https://; for a variable's name write --env NAME")
    raise ValueError("write the URL with http:// or https://")


def _make_auth(options: argparse.Namespace) -> BearerEnvAuth:
    """Return the auth that the options describe.

    Raises:
        ValueError: An option has a wrong value; the message does not show it.
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
    """Return the hosts of an option, which may be given several times.

    Raises:
        ValueError: An item is not a host pattern; the message names the option and the number of the item.
    """
    hosts = [host for group in groups for host in group]
    for number, host in enumerate(hosts, start=1):
        if "/" in host and "//" not in host:
            raise ValueError(
                f"{option} item {number} is not a host: if it is the URL, write it with http:// or https://"
            )
        parse_host_pattern(f"{option} item {number}", host, wildcards=wildcards)
    return hosts


def _print_error(text: str) -> None:
    """Print a message to standard error."""
    print(text, file=sys.stderr)


def _parse_port(text: str) -> int:
    """Return a port whose successor is a port, too.

    Raises:
        argparse.ArgumentTypeError: The text is not such a number.
    """
    port = int(text) if text.isdecimal() else 0
    if not 0 < port < _LAST_PORT:  # https gets the next one
        raise argparse.ArgumentTypeError(f"is not a number from 1 to {_LAST_PORT - 1}")
    return port


def _run_demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Run ``demo`` and return the exit status."""
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
