"""A provider that runs a program, such as a password manager's command line."""

from __future__ import annotations

import io
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from requests_bearer_env import platforms
from requests_bearer_env.errors import without_locals

from .base import MAX_BYTES
from .provider import ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

#: Messages show a name of up to this many characters. A longer one may be a key, so they show it only if there is
#: a program of that name.
_LONG_NAME = 20

#: Seconds between two polls of the program. Each pause is twice the one before it, up to the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02

_BY_HAND = "run it by hand to see why"

#: The problem and the remedy if the exit status is lost; see `platforms.exit_status`.
_STATUS_LOST = (
    (
        "has an exit status that cannot be known, "
        "because this process ignores SIGCHLD or another part of it waits for child processes"
    ),
    "reset SIGCHLD to signal.SIG_DFL, and let nothing but subprocess wait for child processes",
)


@dataclass(frozen=True, repr=False)
class Command:
    """A provider that runs a program and returns its output; `command` checks its arguments."""

    argv: tuple[str, ...]
    timeout: float
    first_line: bool

    # Messages name every provider by its __name__, because most providers are functions.
    @property
    def __name__(self) -> str:
        from shutil import which  # few programs use it

        program = self.argv[0]
        name = os.path.basename(program)
        # A program with white space in it may be a whole command line, whose arguments may hold a key.
        if program.split() == [program] and (len(name) <= _LONG_NAME or which(program)):
            return f"command {name}"
        return "command (not shown because it may hold a key)"

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def __call__(self) -> bytes:
        """Run the program.

        Raises:
            ProviderError: It could not be started, failed, took too long or printed too much.
        """
        pipe, writer = platforms.open_pipe()
        with pipe:
            try:
                process = self._start(writer)
            finally:
                os.close(writer)
            output, remedy = io.BytesIO(), _BY_HAND  # its repr hides the output from traceback printers
            with platforms.process_group(process):
                try:
                    problem = self._watch(process, pipe, output)
                except ChildProcessError:
                    process.poll()  # sets the return code, or Popen.__del__ would warn of a running program
                    problem, remedy = _STATUS_LOST
        if problem is not None:
            raise ProviderError(f"{self.__name__} {problem}", remedy)
        return output.getvalue().partition(b"\n")[0] if self.first_line else output.getvalue()

    def _start(self, writer: int) -> Popen[bytes]:
        """Start the program with the pipe as its standard output."""
        from subprocess import DEVNULL, Popen  # slow to import, and few programs use it

        unsafe_index = platforms.unsafe_for_batch([platforms.find_program(self.argv[0]), *self.argv[1:]])
        if unsafe_index is not None:
            raise ProviderError(
                f"{self.__name__} is a batch file, and part {unsafe_index + 1} of the command has a character "
                "that cmd.exe would interpret",
                "call the program that the batch file calls",
            )
        try:
            # Not through a local variable, because traceback printers would show it, and arguments may hold a key.
            process = cast(
                "Popen[bytes]",
                Popen(
                    [platforms.find_program(self.argv[0]), *self.argv[1:]],
                    stdin=DEVNULL,
                    stdout=writer,
                    **platforms.start_options(),
                ),
            )
        except (OSError, ValueError) as error:
            failure = getattr(error, "strerror", None) or type(error).__name__
        else:
            process.args = self.__name__  # the repr of a Popen shows its args
            return process
        # Outside the except clause, because the frames of the OSError's traceback hold the arguments.
        raise ProviderError(
            f"{self.__name__} cannot be started ({failure})", "check that it is installed and on the PATH"
        )

    def _watch(self, process: Popen[bytes], pipe: io.FileIO, output: io.BytesIO) -> str | None:
        """Collect the program's output until the program ends.

        Its own child processes may keep the pipe open after that; they are not waited for.

        Returns:
            The problem, without arguments or output; None if the program succeeded.

        Raises:
            ChildProcessError: The exit status is lost; see `platforms.exit_status`.
        """
        deadline = time.monotonic() + self.timeout
        pause = _FIRST_PAUSE
        while True:
            # Poll before reading the pipe, or output that the program writes just before it ends would be lost.
            status = platforms.exit_status(process)
            chunk = platforms.read_available(pipe)
            if chunk:
                output.write(chunk)
                if output.tell() > MAX_BYTES:
                    return f"printed more than {MAX_BYTES} bytes"
                continue
            if status is not None:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                return f"did not finish within {self.timeout} s"
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        if status < 0:
            return f"was ended by signal {-status}"
        return f"failed with exit status {status}" if status else None


@without_locals
def command(argv: Sequence[str | os.PathLike[str]], *, timeout: float = 30, first_line: bool = False) -> Command:
    """Make a provider that runs a program and takes its standard output as the key.

    The program has an empty standard input, and inherits the standard error of this process. On Windows,
    ``.cmd`` and ``.bat`` files on the PATH are found, too.

    Args:
        argv: The program and its arguments. No shell is used.
        timeout: Seconds after which the program and its child processes are killed.
        first_line: Whether to take only the first line of the output, for programs such as ``pass``, which stores
            notes below the key.

    Returns:
        A value for ``provider=``. A request raises `KeySourceError` if the program fails, takes too long or
        prints more than 16 KiB, or if its exit status is lost. The message has the program's name and exit
        status, but neither its arguments nor its output.

    Raises:
        TypeError: ``argv`` is a str or has a part that is not a str or path, ``timeout`` is not a number,
            or ``first_line`` is not a bool.
        ValueError: ``argv`` is empty or has a NUL in it, or ``timeout`` is not positive and finite.
    """
    if isinstance(argv, (str, bytes)):
        raise TypeError(
            "the command is a string: give a list of the program and its arguments, because no shell is used"
        )
    parts = tuple(os.fspath(part) for part in argv)
    if not all(isinstance(part, str) for part in parts):
        raise TypeError("the command has a part that is not a str: give a list of str")
    if not parts or not parts[0] or any("\0" in part for part in parts):
        raise ValueError(
            "the command has no program, or has a NUL character in it: give a list of the program and its arguments"
        )
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"the timeout is {type(timeout).__name__}: give a number of seconds")
    if not 0 < timeout <= threading.TIMEOUT_MAX:
        raise ValueError("the timeout is not a positive, finite number: give the seconds to wait for the program")
    if not isinstance(first_line, bool):
        raise TypeError(f"first_line= is {type(first_line).__name__}: give True or False")
    return Command(parts, timeout, first_line)
