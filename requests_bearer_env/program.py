"""A provider that runs a program, such as a password manager's command line."""

from __future__ import annotations

import os
import threading
import time
from typing import IO, TYPE_CHECKING, cast

from .sources import MAX_BYTES, ProviderError

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
        return f"command {os.path.basename(self._argv[0])}"

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
        except OSError as error:
            failure = error.strerror or type(error).__name__
        else:
            return self._output(process)
        raise ProviderError(f"{self.__name__} cannot be started: {failure}; check that it is installed and on the PATH")

    def _output(self, process: subprocess.Popen[bytes]) -> bytes:
        deadline = time.monotonic() + self._timeout
        reader = _Reader(cast("IO[bytes]", process.stdout))
        try:
            reader.start()
            reader.join(self._timeout)
            problem = self._problem(process, reader, deadline)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if problem is None:
            return reader.output
        raise ProviderError(f"{self.__name__} {problem}; run it by hand to see why")

    def _problem(self, process: subprocess.Popen[bytes], reader: _Reader, deadline: float) -> str | None:
        """What went wrong, in words that show neither arguments nor output."""
        if len(reader.output) > MAX_BYTES:
            return f"printed more than {MAX_BYTES} bytes"
        from subprocess import TimeoutExpired

        try:
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except TimeoutExpired:
            status = None
        if status is None or reader.is_alive():
            return f"did not finish within {self._timeout} s"
        if status < 0:
            return f"was ended by signal {-status}"
        return f"failed with exit status {status}" if status else None


class _Reader(threading.Thread):
    """Reads a pipe to its end, or to where it is too much; a thread, for its end may never come."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self.output = b""

    def run(self) -> None:
        with self._pipe as pipe:
            while len(self.output) <= MAX_BYTES:
                chunk = pipe.read(MAX_BYTES)
                if not chunk:
                    break
                self.output += chunk


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
    return Command(argv, timeout)
