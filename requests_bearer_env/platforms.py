"""The differences between POSIX and Windows, one function for each.

Each function reads `WINDOWS` when it is called, so that tests can run both branches on either system. A
module or function that only one system has is imported where it is used. So importing this module is cheap,
and works if Python lacks ``fork``, ``waitid``, ``SIGCHLD`` or ``O_NONBLOCK``.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import io
    from collections.abc import Generator, Sequence
    from subprocess import Popen
    from typing import TextIO

#: Whether this is Windows; everything else is POSIX.
WINDOWS = os.name == "nt"

#: Windows: ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION.
_SHARING_VIOLATIONS = (32, 33)

#: Windows: ERROR_INVALID_NAME, for quotes and other characters that the name of a file cannot have.
_INVALID_NAME = 123

#: Windows: the first error number of Winsock. os.strerror() has no text for those.
_FIRST_WINSOCK_ERROR = 10_000

#: Windows: arguments of CreateFile: access mode, share mode, and to open only a file that exists.
_GENERIC_READ, _SHARE_ALL, _OPEN_EXISTING = 0x8000_0000, 0x7, 3

#: Windows: the handle that CreateFile returns when it fails.
_INVALID_HANDLE = -1

#: Windows: PROCESS_TERMINATE and PROCESS_SET_QUOTA, the rights that AssignProcessToJobObject needs.
_JOB_ACCESS = 0x0101

#: Windows: ENABLE_VIRTUAL_TERMINAL_PROCESSING, the mode in which a console interprets escape codes.
_ESCAPE_CODES = 0x0004

#: POSIX: O_NONBLOCK, because opening a named pipe blocks until it has a writer; O_NOCTTY, because a
#: terminal would become the controlling terminal of this process.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

#: Windows: a path with a drive, a backslash or a variable, such as ``%APPDATA%/key``. No key looks like that.
_WINDOWS_PATH = r"(?s)[A-Za-z]:/|%[A-Z_]+%/|.*\\"

#: Windows: ``\\.\``, ``\\?\pipe\`` and ``\\server\pipe\``, with either kind of slash.
_DEVICE_PATH = r"(?i)\\\\(\.\\|[^\\]+\\pipe\\)"

#: Windows: what cmd.exe interprets in the arguments of a batch file, even in quotes.
_BATCH_SYNTAX = r'[&|<>^%!"\x00-\x08\x0a-\x1f]'

#: Seconds to wait for a killed program to end. A program that is blocked by a dead file server does not end.
_KILL_PATIENCE = 1.0


def open_pipe() -> tuple[io.FileIO, int]:
    """Open a pipe for the output of a program.

    Returns:
        The reading end, for `read_available`, and the descriptor of the writing end, for the program. The
        caller closes both, the descriptor as soon as the program has started.
    """
    from io import FileIO

    reader, writer = os.pipe()
    if not WINDOWS:
        os.set_blocking(reader, False)
    return FileIO(reader), writer


def read_available(pipe: io.FileIO, size: int = 16 * 1024) -> bytes | None:
    """Read what a pipe of `open_pipe` has now, without blocking.

    Args:
        pipe: The reading end.
        size: The maximum number of bytes.

    Returns:
        The bytes; b"" if all writers have closed the pipe, None if the pipe is empty.

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
    # Not os.read(), because eventlet replaces it by a function that blocks.
    return pipe.read(size)


def exit_status(process: Popen[bytes]) -> int | None:
    """Return the exit status of a program that has ended, without blocking.

    POSIX: Popen.poll() cannot be used, because it returns 0 if the status is lost.

    Returns:
        The exit status, or on POSIX the negative number of the signal that ended the program; None while
        the program runs.

    Raises:
        ChildProcessError: The status is lost, because this process ignores SIGCHLD or because another part
            of it has waited for the program.
    """
    if WINDOWS:
        return process.poll()
    if process.returncode is None:
        try:
            pid, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            if process.returncode is None:  # gevent's event loop may have set it since
                raise
        else:
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


def start_options() -> dict[str, Any]:
    """Return the arguments of Popen for a program that `process_group` may have to kill.

    POSIX: they make the program the leader of a session. Windows: they prevent it from opening a console window if
    this process has no console. If this process has no standard error, that of the program is discarded.
    """
    from subprocess import DEVNULL

    options: dict[str, Any] = {}
    # mypy does not know that sys.stderr is None under pythonw.exe.
    if getattr(sys, "stderr", None) is None:
        options["stderr"] = DEVNULL
    if not WINDOWS:
        options["start_new_session"] = True
    elif not import_module("ctypes").WinDLL("kernel32").GetConsoleCP():
        options["creationflags"] = import_module("subprocess").CREATE_NO_WINDOW
    return options


@contextmanager
def process_group(process: Popen[bytes]) -> Generator[None]:
    """Kill a program and its child processes on exit, unless the program has ended by then.

    They are a session on POSIX, and a job on Windows. Child processes of a program that has ended go on.

    Args:
        process: The program, which has just been started with the `start_options`.
    """
    job = _job_of(process.pid) if WINDOWS else None
    try:
        try:
            yield
        finally:
            # After the program has been waited for, the system may give its process ID to another program.
            if process.returncode is None:
                _end(process, job)
    finally:
        if job is not None:
            import_module("_winapi").CloseHandle(job)


def _end(process: Popen[bytes], job: int | None) -> None:
    """Kill a program and its child processes; a process that now runs as another user, as sudo does, is left."""
    from subprocess import TimeoutExpired

    with suppress(PermissionError, TimeoutExpired):
        if WINDOWS:
            if job is None or not _end_job(job):
                process.kill()
        else:
            from signal import SIGKILL

            try:
                os.killpg(process.pid, SIGKILL)
            except OSError:  # the group does not exist, or has ended (macOS)
                process.kill()
        process.wait(_KILL_PATIENCE)


def _end_job(job: int) -> bool:
    ctypes = import_module("ctypes")
    return bool(ctypes.WinDLL("kernel32").TerminateJobObject(ctypes.c_void_p(job), 1))


def _job_of(pid: int) -> int | None:
    """Create a Windows job for a program, and return its handle; None if the system refuses."""
    ctypes, winapi = import_module("ctypes"), import_module("_winapi")
    kernel32 = ctypes.WinDLL("kernel32")
    try:
        process: int = winapi.OpenProcess(_JOB_ACCESS, False, pid)
    except OSError:  # the program has ended
        return None
    job: int = kernel32.CreateJobObjectW(None, None)
    assigned = kernel32.AssignProcessToJobObject(ctypes.c_void_p(job), ctypes.c_void_p(process))
    winapi.CloseHandle(process)
    if assigned:
        return job
    kernel32.CloseHandle(ctypes.c_void_p(job))
    return None


def find_program(program: str) -> str:
    """Return the program to start for the first part of a command.

    Windows: CreateProcess finds ``gcloud.exe`` for ``gcloud``, but not ``gcloud.cmd``.

    Returns:
        The path of the program on Windows, if it is found; otherwise ``program`` itself.
    """
    if not WINDOWS:
        return program
    from shutil import which

    return which(program) or program


def unsafe_for_batch(argv: Sequence[str]) -> int | None:
    """Return the index of a part that cmd.exe would interpret, if a command starts a batch file.

    Windows runs ``.cmd`` and ``.bat`` files with cmd.exe, which reads ``a&calc`` as two commands.

    Args:
        argv: The path that `find_program` returned, and the arguments.

    Returns:
        The index of the first such part; None if there is none, or if the program is not a batch file.
    """
    # Windows ignores dots and spaces at the end of a file's name.
    if not WINDOWS or not argv[0].rstrip(". ").lower().endswith((".cmd", ".bat")):
        return None
    return next((index for index, part in enumerate(argv) if re.search(_BATCH_SYNTAX, part)), None)


def open_to_read(path: str) -> int:
    """Open a file so that other programs can rewrite, replace or remove it at the same time.

    Windows: a file opened by open() cannot be removed or replaced, and the error of open() does not
    distinguish a sharing violation from missing permission; see `is_sharing_violation`.

    Returns:
        A descriptor that child processes do not inherit. On POSIX it does not block.

    Raises:
        OSError: The file cannot be opened.
        ValueError: The path has a character that is not valid in paths.
    """
    if not WINDOWS:
        return os.open(path, _OPEN_FLAGS)
    if "\0" in path:  # ctypes would truncate the path there
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
    except OSError:  # the process has too many open files
        import_module("_winapi").CloseHandle(handle)
        raise
    return descriptor


def is_sharing_violation(error: OSError) -> bool:
    """Return whether opening a file failed because another program has it open without sharing it."""
    return getattr(error, "winerror", None) in _SHARING_VIOLATIONS


def is_invalid_name(error: OSError) -> bool:
    """Return whether opening a file failed because Windows does not allow a character of its path, such as a quote."""
    return getattr(error, "winerror", None) == _INVALID_NAME


def is_device_path(path: str) -> bool:
    r"""Return whether a path is in Windows' namespace of devices and named pipes, as ``\\.\pipe\key`` is.

    Even os.stat() connects to such a pipe.
    """
    return WINDOWS and re.match(_DEVICE_PATH, path.replace("/", "\\")) is not None


def expand(path: str) -> str:
    """Expand ``~`` and ``$VAR`` in a path, and ``%VAR%`` on Windows, as os.path does."""
    if "~" not in path and "$" not in path and not (WINDOWS and "%" in path):
        return path
    paths = import_module("ntpath" if WINDOWS else "posixpath")
    expanded: str = paths.expandvars(paths.expanduser(path))
    return expanded


def variable_sign(path: str) -> str:
    """Return the character that marks a variable in a path; blank if there is none.

    After `expand`, only unset variables are left.

    Returns:
        "$", or on Windows "%" for a variable such as ``%APPDATA%``.
    """
    if "$" in path:
        return "$"
    return "%" if WINDOWS and re.search(r"%\w+%", path) else ""


def looks_like_path(text: str) -> bool:
    """Return whether a text is certainly a path, not a key that was passed by mistake.

    Always False on POSIX, because a key in base64 may have slashes, even as its first character.
    """
    return WINDOWS and (re.match(_WINDOWS_PATH, text) is not None or is_device_path(text))


def enable_colour(stream: TextIO | None) -> bool:
    """Make a Windows console interpret escape codes, and return whether a stream is a terminal that does so."""
    if stream is None or not stream.isatty():
        return False
    if not WINDOWS:
        return True
    try:
        handle = _os_handle(stream)
    except OSError:  # a stream without a descriptor, as in IDLE
        return False
    ctypes = import_module("ctypes")
    kernel32, console, mode = ctypes.WinDLL("kernel32"), ctypes.c_void_p(handle), ctypes.c_ulong()
    # isatty() is true for NUL, too, which is not a console.
    if not kernel32.GetConsoleMode(console, ctypes.byref(mode)):
        return False
    return bool(mode.value & _ESCAPE_CODES or kernel32.SetConsoleMode(console, mode.value | _ESCAPE_CODES))


def split_command_line(text: str) -> list[str]:
    """Split a command line into the program and its arguments, as a POSIX shell or Windows does.

    Raises:
        ValueError: A quote is not closed. On Windows, such a quote extends to the end.
    """
    if not WINDOWS:
        import shlex

        return shlex.split(text)
    text = text.strip()
    if not text:  # CommandLineToArgvW returns the path of this process for a blank text
        return []
    ctypes = import_module("ctypes")
    split, count = ctypes.WinDLL("shell32").CommandLineToArgvW, ctypes.c_int()
    split.restype = ctypes.POINTER(ctypes.c_wchar_p)
    parts = split(text, ctypes.byref(count))
    words: list[str] = parts[: count.value]
    ctypes.WinDLL("kernel32").LocalFree(parts)
    return words


def quote_for_shell(word: str) -> str | None:
    """Quote a word of a command line to paste, if it needs quotes: for a POSIX shell, or for both shells of Windows.

    Returns:
        The word; None if it has a character that cmd or PowerShell interprets even in double quotes, as in
        ``$(calc)`` and ``%PATH%``.
    """
    if not WINDOWS:
        import shlex

        return shlex.quote(word)
    if re.fullmatch(r"(?a)[\w+=:./\\-]+", word):
        return word
    return None if re.search(r'["$`%!]|\\$', word) or not word.isprintable() else f'"{word}"'


def python_for_shell() -> str:
    """Return this Python as the first word of a command line to paste.

    Returns:
        Its path, quoted if it needs that; "python" if the path is not known. Also "python" for a path that needs
        quotes on Windows, because PowerShell treats a quoted first word as a string.
    """
    quoted = quote_for_shell(sys.executable) if sys.executable else None
    return "python" if quoted is None or (WINDOWS and quoted.startswith('"')) else quoted


def error_text(error: OSError) -> str:
    """Return the system's text for an error, or the name of the exception's class if it has no number.

    The exception's own text is not used, because it may hold a path or text from a server. Windows:
    os.strerror() has no text for the numbers of Winsock.
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
    """Return the Windows handle of a stream."""
    handle: int = import_module("msvcrt").get_osfhandle(stream.fileno())
    return handle
