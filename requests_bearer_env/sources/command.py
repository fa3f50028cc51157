"""A provider that runs a program, such as a password manager's command line."""

from __future__ import annotations

import os
import select
import shutil
import signal
import threading
import time
from typing import IO, TYPE_CHECKING, cast

from requests_bearer_env.errors import bare

from .base import MAX_BYTES
from .provider import ProviderError

#: A longer name is shown only if there is such a program.
_LONG_NAME = 20

#: Milliseconds between looks at whether the program is still there.
_GLANCE = 50

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence


class Command:
    """Runs a program and returns what it prints; equal and picklable by its arguments."""

    __slots__ = ("_argv", "_timeout")

    def __init__(self, argv: Sequence[str | os.PathLike[str]], timeout: float) -> None:
        if isinstance(argv, (str, bytes)):
            raise TypeError("the command is a string: give a list of the program and its arguments, no shell is used")
        self._argv = tuple(os.fspath(part) for part in argv)
        if not all(isinstance(part, str) for part in self._argv):
            raise TypeError("the command has a part that is not a str: give a list of str")
        if not self._argv or not self._argv[0] or any("\0" in part for part in self._argv):
            raise ValueError(
                "the command has no program, or a NULL in it: give a list of the program and its arguments"
            )
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout= is {type(timeout).__name__}: give a number of seconds")
        if not 0 < timeout <= threading.TIMEOUT_MAX:
            raise ValueError(
                "timeout= is not a positive, finite number of seconds: give how long to wait for the program"
            )
        self._timeout = timeout

    @property
    def __name__(self) -> str:
        program = self._argv[0]
        name = os.path.basename(program)
        # A whole command line in one part is a mistake, and may hold anything; so may what is no program.
        if program.split() == [program] and (len(name) <= _LONG_NAME or shutil.which(program)):
            return f"command {name}"
        return "command (not shown, as it is no program's name)"

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Command) and (self._argv, self._timeout) == (other._argv, other._timeout)

    def __hash__(self) -> int:
        return hash((self._argv, self._timeout))

    def __reduce__(self) -> tuple[type[Command], tuple[tuple[str, ...], float]]:
        return Command, (self._argv, self._timeout)

    def __call__(self) -> bytes:
        """Run the program.

        Raises:
            ProviderError: It could not be started, failed, took too long or printed too much.
        """
        from subprocess import DEVNULL, PIPE, Popen  # costs a third of importing this package, and few use it

        # Not its standard error either, for who can say what it prints there.
        try:
            process = Popen(self._argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, bufsize=0)
        except (OSError, ValueError) as error:
            failure = getattr(error, "strerror", None) or type(error).__name__
        else:
            process.args = self.__name__  # which its repr shows
            return self._output(process)
        raise ProviderError(f"{self.__name__} cannot be started: {failure}; check that it is installed and on the PATH")

    def _output(self, process: subprocess.Popen[bytes]) -> bytes:
        deadline = time.monotonic() + self._timeout
        output = _Output()
        try:
            with cast("IO[bytes]", process.stdout) as pipe:
                whole = self._collect(process, pipe, output, deadline)
            problem = self._problem(process, len(output), whole, deadline)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if problem is None:
            return bytes(output)
        raise ProviderError(f"{self.__name__} {problem}; run it by hand to see why")

    def _collect(self, process: subprocess.Popen[bytes], pipe: IO[bytes], output: _Output, deadline: float) -> bool:
        """Read until the end, until it is too much or too late, or until the program is gone.

        Its own children may have the pipe open for longer; they are not waited for.

        Returns:
            Whether that is all of it.
        """
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        # Less than nothing left would be waited for without end.
        while len(output) <= MAX_BYTES and (left := deadline - time.monotonic()) > 0:
            # Asked before the pipe is looked at: what is printed between the two looks is not lost.
            gone = process.poll() is not None
            if poll.poll(0 if gone else min(_GLANCE, left * 1000)):
                before = len(output)
                output += pipe.read(MAX_BYTES)
                if len(output) == before:
                    return True
            elif gone:
                return True
        return False

    def _problem(self, process: subprocess.Popen[bytes], printed: int, whole: bool, deadline: float) -> str | None:
        """What went wrong, in words that show neither arguments nor output."""
        from subprocess import TimeoutExpired

        if printed > MAX_BYTES:
            return f"printed more than {MAX_BYTES} bytes"
        late = f"did not finish within {self._timeout} s"
        if not whole:
            return late
        try:
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except TimeoutExpired:
            return late
        if status == 0 and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            return "has no exit status that can be seen, for this process ignores SIGCHLD"
        if status < 0:
            return f"was ended by signal {-status}"
        return f"failed with exit status {status}" if status else None


class _Output(bytearray):
    """What a program printed; hidden from printers of tracebacks."""

    def __repr__(self) -> str:
        return "<output>"


def command(argv: Sequence[str | os.PathLike[str]], *, timeout: float = 30) -> Command:
    """Make a provider that runs a program and takes its standard output as the key.

    Args:
        argv: The program and its arguments. No shell is used.
        timeout: Seconds after which the program is killed.

    Returns:
        A value for ``provider=``. Where the program fails, takes too long or prints more than
        16 KiB, the request raises `KeySourceError`, which shows the program's name and exit status
        but neither its arguments nor its output.

    Raises:
        TypeError: ``argv`` is a str or holds something else than str, ``timeout`` is no number.
        ValueError: ``argv`` is empty, ``timeout`` is not positive and finite.
    """
    try:
        return Command(argv, timeout)
    except (TypeError, ValueError) as error:
        wrong = bare(error)
    del argv, timeout  # the key may be among them, and no frame is to show it
    raise wrong
