"""Prints the doctor's report to standard output, as lines for a terminal or as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, TextIO

from requests_bearer_env import platforms

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .report import Check

#: For each status, the word that is printed and the code of its colour on a terminal.
_STATUS = {"ok": ("ok", "32"), "warn": ("warn", "33"), "fail": ("FAIL", "31")}

#: The width of the columns for status and name, by which further lines of a text are indented.
_INDENT = 15

#: The text is wrapped at this width or more, even if the terminal is narrower.
_MIN_TEXT_WIDTH = 25

#: Seconds after which a terminal shows that a check is still running.
_NOTICE_DELAY = 0.5


class OutputError(Exception):
    """The result could not be written to standard output; the argument is the reason."""


def print_json(checks: Iterator[Check]) -> int:
    """Print all checks as JSON, and return the exit status: 1 if one of them failed.

    Raises:
        OutputError: Standard output could not be written.
    """
    found = list(checks)
    ok = not any(check.status == "fail" for check in found)
    _write(json.dumps({"ok": ok, "checks": [check._asdict() for check in found]}, indent=2))
    return 0 if ok else 1


def print_lines(checks: Iterator[Check]) -> int:
    """Print each check as soon as it is known, and return the exit status: 1 if one of them failed.

    Raises:
        OutputError: Standard output could not be written.
    """
    colour, width, failed = _use_colour(), _output_width(), False
    while True:
        with _waiting_notice():
            check = next(checks, None)
        if check is None:
            return 1 if failed else 0
        failed = failed or check.status == "fail"
        _write(_format_check(check, colour=colour, width=width))


def _format_check(check: Check, *, colour: bool, width: int | None) -> str:
    """Return a line of the report, with the remedy below it."""
    word, code = _STATUS[check.status]
    shown = f"\x1b[{code}m{word:4}\x1b[0m" if colour else f"{word:4}"
    lines = [*_wrap(check.detail, width), *(_wrap(check.remedy, width) if check.remedy else ())]
    return f"{shown}  {check.name:7}  " + f"\n{'':{_INDENT}}".join(lines)


def _wrap(text: str, width: int | None) -> list[str]:
    """Return the lines of a text that is wrapped to fit a width; one line if the width is None."""
    if width is None:
        return [text]
    room = max(width - _INDENT, _MIN_TEXT_WIDTH)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)


def _output_width() -> int | None:
    """Return the width to wrap at; None if the output is not a terminal and ``$COLUMNS`` is not set."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:9]) > 0:
        return int(columns[:9])
    out = _stdout()
    if out is None or not out.isatty():
        return None
    try:
        return os.get_terminal_size(out.fileno()).columns or None
    except (OSError, ValueError):  # an object that replaces sys.stdout may have no descriptor
        return None


@contextlib.contextmanager
def _waiting_notice() -> Generator[None, None, None]:
    """Show on a terminal that a check is still running, and remove the notice at the end."""
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
    """Return standard output; None if the process has none, as under pythonw."""
    out: TextIO | None = sys.stdout
    return out


def _use_colour() -> bool:
    """Return whether the output is a terminal that shows colours, and the environment does not forbid them."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and platforms.enable_colour(_stdout())


def _write(text: str) -> None:
    """Print a text to standard output; do nothing if there is none, because the exit status tells the result.

    Raises:
        OutputError: The text could not be written.
    """
    out = _stdout()
    if out is None:
        return
    try:
        # A path may have characters that the output's encoding lacks; a StringIO has no encoding.
        encoding = out.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=out, flush=True)
    except OSError as error:
        # The buffer still holds text, and the interpreter would fail to write it at exit, so redirect it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        reason = "its reader closed the pipe" if platforms.is_closed_pipe(error) else platforms.error_text(error)
    else:
        return
    raise OutputError(reason)
