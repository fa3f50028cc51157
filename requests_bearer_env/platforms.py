"""What differs between POSIX and Windows, one function per difference.

`WINDOWS` is read at each call, so that a test can run both sides on either system. A module or
function that only one system has is looked up where it is used: importing this module loads
nothing, and it works where Python lacks ``fork``, ``waitid``, ``SIGCHLD`` or ``O_NONBLOCK``.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence
    from subprocess import Popen
    from types import TracebackType
    from typing import TextIO

#: Whether this is Windows; everything else is POSIX.
WINDOWS = os.name == "nt"

#: Windows: ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION.
_SHARING_VIOLATIONS = (32, 33)

#: Windows: ERROR_INVALID_NAME, for quotes and other characters that no file's name can have.
_INVALID_NAME = 123

#: Windows: the first number of Winsock's errors, which os.strerror() does not know.
_FIRST_WINSOCK_ERROR = 10_000

#: Windows: access and share modes of CreateFile, and its way to open what exists.
_GENERIC_READ, _SHARE_ALL, _OPEN_EXISTING = 0x8000_0000, 0x7, 3

#: Windows: what CreateFile returns when it fails.
_INVALID_HANDLE = -1

#: Windows: PROCESS_TERMINATE and PROCESS_SET_QUOTA, which a job needs of its process.
_JOB_ACCESS = 0x0101

#: Windows: ENABLE_VIRTUAL_TERMINAL_PROCESSING, with which a console takes escape codes.
_ESCAPE_CODES = 0x0004

#: POSIX: O_NONBLOCK, because open() waits for the writer of a named pipe; O_NOCTTY, because
#: a terminal would become that of this process.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

#: Windows: ``C:\``, any backslash, ``%APPDATA%/``. No key begins or looks like that.
_WINDOWS_PATH = r"(?s)[A-Za-z]:/|%[A-Z_]+%/|.*\\"

#: Windows: ``\\.\``, ``\\?\pipe\`` and ``\\server\pipe\``, with either kind of slash.
_DEVICE_PATH = r"(?i)\\\\(\.\\|[^\\]+\\pipe\\)"

#: Windows: what cmd.exe interprets in the arguments of a batch file, even in quotes.
_BATCH_SYNTAX = r'[&|<>^%!"\x00-\x08\x0a-\x1f]'

#: Seconds to wait for a program that was killed. One that waits for a dead file server stays.
_KILL_PATIENCE = 1.0


def open_pipe() -> tuple[io.FileIO, int]:
    """Open a pipe for the output of a program.

    Returns:
        The end for `read_available`, and the descriptor to start the program with. The caller
        closes both, the descriptor as soon as the program has started.
    """
    from io import FileIO

    reader, writer = os.pipe()
    if not WINDOWS:
        os.set_blocking(reader, False)
    return FileIO(reader), writer


def read_available(pipe: io.FileIO, size: int = 16 * 1024) -> bytes | None:
    """Read what is in a pipe of `open_pipe` now, without waiting for more.

    Args:
        pipe: The reading end.
        size: The most bytes to read.

    Returns:
        The bytes; b"" if all writers have closed the pipe, None if there is nothing yet.

    Raises:
        OSError: The pipe cannot be read.
    """
    if WINDOWS:
        try:
            available: int = import_module("_winapi").PeekNamedPipe(_os_handle(pipe), 0)[0]
        except BrokenPipeError:
            return b""
        if not available:
            return None
        size = min(size, available)
    # Not os.read(), which eventlet replaces by one that waits.
    return pipe.read(size)


def exit_status(process: Popen[bytes]) -> int | None:
    """Ask whether a program has ended, without waiting for it.

    Popen.poll() is no use on POSIX: it reports 0 if something else has taken the status.

    Returns:
        None while it runs, else its exit status; POSIX: the negative number of the signal that
        ended it.

    Raises:
        ChildProcessError: The status is lost: this process ignores SIGCHLD, or another part of
            it has waited for the program.
    """
    if WINDOWS:
        return process.poll()
    if process.returncode is None:
        try:
            pid, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            if process.returncode is None:  # gevent's loop may have set it meanwhile
                raise
        else:
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


def start_options() -> dict[str, Any]:
    """Return the arguments for Popen with which `ProcessGroup` can end the program's own children.

    Windows: a console program that is started by one without a console would open a window.
    """
    from subprocess import DEVNULL

    options: dict[str, Any] = {}
    # mypy takes the stream for granted, but pythonw.exe has none.
    if getattr(sys, "stderr", None) is None:
        options["stderr"] = DEVNULL
    if not WINDOWS:
        options["start_new_session"] = True
    elif not import_module("ctypes").WinDLL("kernel32").GetConsoleCP():
        options["creationflags"] = import_module("subprocess").CREATE_NO_WINDOW
    return options


class ProcessGroup:
    """A running program and the programs that it has started: a session on POSIX, a job on Windows.

    Args:
        process: The program, just started with the `start_options`.
    """

    __slots__ = ("_job", "_process")

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process
        self._job = _job_of(process.pid) if WINDOWS else None

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End nothing: programs that outlive the first one are not in its way."""
        if self._job is not None:
            job, self._job = self._job, None
            import_module("_winapi").CloseHandle(job)

    def end(self) -> None:
        """Kill the program with all that it has started, unless its exit status is known already.

        A program that has become another user's, such as sudo, cannot be killed and is left alone.
        """
        from subprocess import TimeoutExpired

        # After it has been waited for, its number may be another program's.
        if self._process.returncode is not None:
            return
        try:
            self._kill()
            self._process.wait(_KILL_PATIENCE)
        except (PermissionError, TimeoutExpired):
            return

    def _kill(self) -> None:
        if not WINDOWS:
            from signal import SIGKILL

            try:
                os.killpg(self._process.pid, SIGKILL)
            except OSError:  # no such group, or macOS with a group that has ended
                self._process.kill()
        elif self._job is None or not _end_job(self._job):
            self._process.kill()


def _end_job(job: int) -> bool:
    ctypes = import_module("ctypes")
    return bool(ctypes.WinDLL("kernel32").TerminateJobObject(ctypes.c_void_p(job), 1))


def _job_of(pid: int) -> int | None:
    """Put a program into a Windows job of its own; None if the system refuses."""
    ctypes, winapi = import_module("ctypes"), import_module("_winapi")
    kernel32 = ctypes.WinDLL("kernel32")
    try:
        process: int = winapi.OpenProcess(_JOB_ACCESS, False, pid)
    except OSError:  # it has ended
        return None
    job: int = kernel32.CreateJobObjectW(None, None)
    assigned = kernel32.AssignProcessToJobObject(ctypes.c_void_p(job), ctypes.c_void_p(process))
    winapi.CloseHandle(process)
    if assigned:
        return job
    kernel32.CloseHandle(ctypes.c_void_p(job))
    return None


def find_program(program: str) -> str:
    """Return what to start for the first part of a command line.

    Windows: the system itself finds ``gcloud.exe``, but not ``gcloud.cmd``, for ``gcloud``.

    Returns:
        The path of the file on Windows, if there is one; else ``program`` itself.
    """
    if not WINDOWS:
        return program
    from shutil import which

    return which(program) or program


def unsafe_for_batch(argv: Sequence[str]) -> int | None:
    """Look for an argument that cmd.exe would interpret, for a command line that starts a batch file.

    Windows runs ``.cmd`` and ``.bat`` with cmd.exe, which takes ``a&calc`` for two commands.

    Args:
        argv: The path that `find_program` returned, and the arguments.

    Returns:
        The index of the first such part; None if there is none, or if the file is not a batch file.
    """
    # Windows drops dots and spaces from the end of a file's name.
    if not WINDOWS or not argv[0].rstrip(". ").lower().endswith((".cmd", ".bat")):
        return None
    return next((index for index, part in enumerate(argv) if re.search(_BATCH_SYNTAX, part)), None)


def open_to_read(path: str) -> int:
    """Open a file so that others may rewrite, replace or remove it meanwhile.

    Windows: open() shares a file neither for removing nor for replacing, and its error does not
    tell a sharing violation from a lack of permission; see `is_sharing_violation`.

    Returns:
        A descriptor, not inherited by programs. On POSIX it does not block.

    Raises:
        OSError: The file cannot be opened.
        ValueError: The path has a character that no path can have.
    """
    if not WINDOWS:
        return os.open(path, _OPEN_FLAGS)
    if "\0" in path:  # where ctypes would end the path
        raise ValueError("embedded null character")
    ctypes, flags = import_module("ctypes"), os.O_RDONLY | getattr(os, "O_BINARY", 0)
    # _winapi.CreateFile() of Python 3.10 calls CreateFileA with UTF-8, so a file in C:\Users\Jürgen is not found.
    create = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
    create.restype = ctypes.c_void_p
    handle: int = create(path, _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, 0, None)
    if handle == ctypes.c_void_p(_INVALID_HANDLE).value:
        raise ctypes.WinError(ctypes.get_last_error())
    try:
        descriptor: int = import_module("msvcrt").open_osfhandle(handle, flags | getattr(os, "O_NOINHERIT", 0))
    except OSError:  # too many descriptors
        import_module("_winapi").CloseHandle(handle)
        raise
    return descriptor


def is_sharing_violation(error: OSError) -> bool:
    """Return whether another program has a file open in a way that excludes this one, for the moment."""
    return getattr(error, "winerror", None) in _SHARING_VIOLATIONS


def is_invalid_name(error: OSError) -> bool:
    """Return whether a path has a character, such as a quote, that no file's name can have on Windows."""
    return getattr(error, "winerror", None) == _INVALID_NAME


def is_device_path(path: str) -> bool:
    r"""Return whether a path is in Windows' namespace of devices and named pipes, as ``\\.\pipe\key`` is.

    Asking the system about such a path connects to the pipe.
    """
    return WINDOWS and re.match(_DEVICE_PATH, path.replace("/", "\\")) is not None


def expand(path: str) -> str:
    """Expand ``~`` and ``$VAR`` in a path, and ``%VAR%`` on Windows, as os.path does."""
    if "~" not in path and "$" not in path and not (WINDOWS and "%" in path):
        return path
    paths = import_module("ntpath" if WINDOWS else "posixpath")
    expanded: str = paths.expandvars(paths.expanduser(path))
    return expanded


def unset_variable(path: str) -> str:
    """Return the sign of a variable that `expand` left in a path because it is not set; blank if there is none.

    Returns:
        "$", or on Windows "%" for ``%APPDATA%``.
    """
    if "$" in path:
        return "$"
    return "%" if WINDOWS and re.search(r"%\w+%", path) else ""


def looks_like_path(text: str) -> bool:
    """Return whether a text can only be a path, and not a key that was given in its place.

    Always False on POSIX: base64 may begin with a slash and have others in it.
    """
    return WINDOWS and (re.match(_WINDOWS_PATH, text) is not None or is_device_path(text))


def colour(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that takes escape codes, and have a Windows console take them."""
    if stream is None or not stream.isatty():
        return False
    if not WINDOWS:
        return True
    try:
        handle = _os_handle(stream)
    except OSError:  # what stands in for a terminal, as in IDLE, has no descriptor
        return False
    ctypes = import_module("ctypes")
    kernel32, console, mode = ctypes.WinDLL("kernel32"), ctypes.c_void_p(handle), ctypes.c_ulong()
    # Fails for a terminal that is no console, such as the device NUL.
    if not kernel32.GetConsoleMode(console, ctypes.byref(mode)):
        return False
    return bool(mode.value & _ESCAPE_CODES or kernel32.SetConsoleMode(console, mode.value | _ESCAPE_CODES))


def split_command_line(text: str) -> list[str]:
    """Split a command line into the program and its arguments, as the shell or Windows does.

    Raises:
        ValueError: A quote is not closed; Windows closes it at the end.
    """
    if not WINDOWS:
        import shlex

        return shlex.split(text)
    text = text.strip()
    if not text:  # for which Windows returns the path of this process
        return []
    ctypes = import_module("ctypes")
    split, count = ctypes.WinDLL("shell32").CommandLineToArgvW, ctypes.c_int()
    split.restype = ctypes.POINTER(ctypes.c_wchar_p)
    parts = split(text, ctypes.byref(count))
    words: list[str] = parts[: count.value]
    ctypes.WinDLL("kernel32").LocalFree(parts)
    return words


def quote_for_shell(word: str) -> str:
    """Quote a word of a command line that is to be pasted, if it needs that: for a POSIX shell, or for Windows' two.

    Neither cmd nor PowerShell takes the other's quotes for everything, but no path there holds a double quote.
    """
    if not WINDOWS:
        import shlex

        return shlex.quote(word)
    return word if re.fullmatch(r"(?a)[\w+=:./\\-]+", word) else f'"{word}"'


def error_text(error: OSError) -> str:
    """Return the system's words for an error, or the name of its class if it has no number.

    Not the exception's own text, which may hold a path or what a server said. Windows:
    os.strerror() knows no Winsock number.
    """
    number: int | None = getattr(error, "winerror", None) or error.errno
    if number is None:
        return type(error).__name__
    if WINDOWS and (number != error.errno or number >= _FIRST_WINSOCK_ERROR):
        text: str = import_module("ctypes").FormatError(number)
        return text.strip().rstrip(".")
    return os.strerror(number)


def is_closed_pipe(error: OSError) -> bool:
    """Return whether a write failed because the reader of the pipe has closed it.

    Windows' C library has no error for a closed pipe, and reports an invalid argument instead (bpo-35754).
    """
    from errno import EINVAL

    return isinstance(error, BrokenPipeError) or (WINDOWS and error.errno == EINVAL)


def _os_handle(stream: io.FileIO | TextIO) -> int:
    """The Windows handle of a stream."""
    handle: int = import_module("msvcrt").get_osfhandle(stream.fileno())
    return handle
