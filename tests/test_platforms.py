"""What differs by platform: this system as it is, and the other one with a fake system."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import itertools
import ntpath
import os
import posixpath
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from requests_bearer_env import platforms
from tests.helpers import python

#: Longer than any test may take, so a program that sleeps for so long has to be ended.
LONG = 20


def start(argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program as a provider does."""
    everything: dict[str, Any] = {**platforms.start_options(), **options}
    return subprocess.Popen[bytes](argv, stdin=subprocess.DEVNULL, **everything)


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return the first true value of a condition."""
    for _ in range(LONG * 100):
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("the condition has not become true")


def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a program to end, and return its exit status."""
    wait_for(lambda: platforms.exit_status(process) is not None)
    return process.returncode


def read_all(pipe: io.FileIO) -> bytes:
    """Read a pipe to its end."""
    data = b""
    while (chunk := wait_for(lambda: (platforms.read_available(pipe),))[0]) != b"":
        data += chunk or b""
    return data


@pytest.fixture
def posix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the system seem to be POSIX."""
    monkeypatch.setattr(platforms, "WINDOWS", False)


class FakeWindows:
    """The functions of Windows that the module calls, which remember what they were called with."""

    def __init__(self) -> None:
        self.assigned = self.terminated = 1
        self.closed: list[int] = []
        self.console = False
        self.console_mode: int | None = None
        self.descriptor: int | None = None
        self.descriptors: list[tuple[int, int]] = []
        self.ended: list[tuple[int | None, int]] = []
        self.freed: list[Any] = []
        self.handle = 21
        self.handles: list[int | None] = []
        self.peeked: list[int | None] = []
        self.opened: list[tuple[Any, ...]] = []
        self.job_of: list[tuple[int | None, int | None]] = []
        self.lines: list[str] = []
        self.processes: list[tuple[int, bool, int]] = []
        self.words: list[str] = []
        self.words_memory: Any = None

    # _winapi
    def PeekNamedPipe(self, handle: int, size: int) -> tuple[int, int]:  # noqa: N802
        self.handles.append(handle)
        assert size == 0, "bytes would be copied"
        available = self.peeked.pop(0)
        if available is None:
            raise BrokenPipeError
        return available, 0

    def OpenProcess(self, access: int, inherit: bool, pid: int) -> int:  # noqa: N802
        if not pid:
            raise OSError(errno.EINVAL, "gone")
        self.processes.append((access, inherit, pid))
        return 1000 + pid

    def CloseHandle(self, handle: Any) -> None:  # noqa: N802
        self.closed.append(getattr(handle, "value", handle))

    # msvcrt
    def get_osfhandle(self, descriptor: int) -> int:
        return 100 + descriptor

    def open_osfhandle(self, handle: int, flags: int) -> int:
        self.descriptors.append((handle, flags))
        if self.descriptor is None:
            raise OSError(errno.EMFILE, "too many")
        return self.descriptor

    # kernel32 and shell32
    def library(self, name: str, use_last_error: bool = False) -> SimpleNamespace:
        def create(*arguments: Any) -> int | None:
            self.opened.append((*arguments, use_last_error))
            handle: int | None = vars(create)["restype"](self.handle).value
            return handle

        def split(text: str, count: Any) -> Any:
            self.lines.append(text)
            count._obj.value = len(self.words)
            words = (ctypes.c_wchar_p * (len(self.words) + 1))(*self.words)
            self.words_memory = ctypes.cast(words, vars(split)["restype"])
            return self.words_memory

        def create_job(security: None, name: None) -> int:
            assert (security, name) == (None, None)
            return 7

        def assign(job: ctypes.c_void_p, process: ctypes.c_void_p) -> int:
            self.job_of.append((job.value, process.value))
            return self.assigned

        def terminate(job: ctypes.c_void_p, status: int) -> int:
            self.ended.append((job.value, status))
            return self.terminated

        functions: dict[str, dict[str, Any]] = {
            "kernel32": {
                "AssignProcessToJobObject": assign,
                "CloseHandle": self.CloseHandle,
                "CreateFileW": create,
                "CreateJobObjectW": create_job,
                "GetConsoleCP": lambda: 437 if self.console else 0,
                "GetConsoleMode": self.get_mode,
                "LocalFree": self.freed.append,
                "SetConsoleMode": self.set_mode,
                "TerminateJobObject": terminate,
            },
            "shell32": {"CommandLineToArgvW": split},
        }
        return SimpleNamespace(**functions[name])

    def get_mode(self, handle: Any, mode: Any) -> bool:
        self.handles.append(handle.value)
        mode._obj.value = self.console_mode or 0
        return self.console_mode is not None

    def set_mode(self, handle: Any, mode: int) -> bool:
        self.handles.append(handle.value)
        self.console_mode = mode
        return self.console


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> FakeWindows:
    """Make the system seem to be a Windows whose functions do what the test says."""
    fake = FakeWindows()
    monkeypatch.setattr(platforms, "WINDOWS", True)
    for name in ("_winapi", "msvcrt"):
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setattr(ctypes, "WinDLL", fake.library, raising=False)
    monkeypatch.setattr(ctypes, "WinError", lambda number: OSError(errno.EACCES, f"error {number}"), raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 32, raising=False)
    monkeypatch.setattr(ctypes, "FormatError", "Text of {}. \r\n".format, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x0800_0000, raising=False)
    monkeypatch.setattr(os, "O_BINARY", 0x8000, raising=False)
    monkeypatch.setattr(os, "O_NOINHERIT", 0x0080, raising=False)
    return fake


@pytest.fixture
def pipe() -> Iterator[tuple[io.FileIO, int]]:
    """A pipe of open_pipe."""
    reader, writer = platforms.open_pipe()
    with reader:
        yield reader, writer


class TestPipe:
    """open_pipe and read_available."""

    def test_an_empty_pipe_returns_none(self, pipe: tuple[io.FileIO, int]) -> None:
        """Reading does not wait for the writer; None is not the end."""
        assert platforms.read_available(pipe[0]) is None
        os.write(pipe[1], b"abc")
        assert platforms.read_available(pipe[0]) == b"abc"
        assert platforms.read_available(pipe[0]) is None
        os.close(pipe[1])

    def test_a_closed_pipe_is_read_to_its_end(self, pipe: tuple[io.FileIO, int]) -> None:
        """What was written before the writer closed the pipe is read first, then b"" is the end."""
        os.write(pipe[1], b"abc")
        os.close(pipe[1])
        assert [platforms.read_available(pipe[0]) for _ in range(3)] == [b"abc", b"", b""]

    def test_no_more_than_size_is_read(self, pipe: tuple[io.FileIO, int]) -> None:
        """The caller limits what it reads of endless output."""
        os.write(pipe[1], b"abcde")
        os.close(pipe[1])
        assert [platforms.read_available(pipe[0], 3) for _ in range(3)] == [b"abc", b"de", b""]

    def test_a_programs_output_is_read(self, pipe: tuple[io.FileIO, int]) -> None:
        """Popen accepts the descriptor as stdout, and the pipe ends when the program does."""
        process = start(python("print('x' * 100_000)"), stdout=pipe[1])
        os.close(pipe[1])
        assert read_all(pipe[0]).strip() == b"x" * 100_000
        assert ended(process) == 0

    @pytest.mark.posix("os.read")
    def test_os_read_is_not_used(self, pipe: tuple[io.FileIO, int], monkeypatch: pytest.MonkeyPatch) -> None:
        """Eventlet replaces os.read() with a function that waits for data."""
        monkeypatch.setattr("os.read", pytest.fail)
        assert platforms.read_available(pipe[0]) is None
        os.close(pipe[1])

    def test_windows_looks_before_it_reads(self, windows: FakeWindows) -> None:
        """A read would block, so only bytes that PeekNamedPipe reports are read."""
        reader, writer = platforms.open_pipe()
        os.write(writer, b"abcde")
        windows.peeked = [0, 3, 5, None]
        with reader:
            assert [platforms.read_available(reader, 4) for _ in range(4)] == [None, b"abc", b"de", b""]
            assert windows.handles == 4 * [100 + reader.fileno()]
        os.close(writer)


class TestExitStatus:
    """exit_status."""

    def test_a_running_program_has_no_status(self) -> None:
        """Asking does not wait, and a status that was returned stays known."""
        process = start(python("input(); raise SystemExit(3)"), stdout=subprocess.DEVNULL)
        process.wait()  # input() raises EOFError
        assert platforms.exit_status(process) == 1
        process = start(python(f"import time; time.sleep({LONG})"))
        with platforms.process_group(process):
            assert platforms.exit_status(process) is None

    def test_the_status_is_kept_in_popen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system is not asked twice: the process number may be another program's by then."""
        process = start(python("raise SystemExit(3)"))
        assert ended(process) == 3
        monkeypatch.setattr("os.waitpid", pytest.fail)
        assert platforms.exit_status(process) == process.returncode == 3

    @pytest.mark.posix("signals")
    def test_a_signal_is_a_negative_status(self) -> None:
        """The status is that of Popen."""
        process = start(python("import os; os.kill(os.getpid(), 9)"))
        assert ended(process) == -9

    @pytest.mark.posix("waitpid for any child")
    def test_a_lost_status_raises(self) -> None:
        """Popen.poll() would report success for a status that other code has collected."""
        process = start(python("raise SystemExit(3)"))
        os.waitpid(process.pid, 0)
        for _ in range(2):
            with pytest.raises(ChildProcessError):
                platforms.exit_status(process)
        assert process.wait() == 0

    @pytest.mark.posix("SIGCHLD")
    def test_an_ignored_sigchld_loses_the_status(self) -> None:
        """The system keeps no status if SIGCHLD is ignored."""
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            process = start(python("raise SystemExit(3)"))
            with pytest.raises(ChildProcessError):
                ended(process)
            assert process.wait() == 0
        finally:
            signal.signal(signal.SIGCHLD, before)

    def test_a_status_from_the_event_loop_counts(self, posix: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """The event loop of gevent waits for children itself, and may set the status at any moment."""
        process = SimpleNamespace(pid=1, returncode=None)

        def waitpid(pid: int, options: int) -> tuple[int, int]:
            process.returncode = 4
            raise ChildProcessError

        monkeypatch.setattr("os.waitpid", waitpid)
        monkeypatch.setattr("os.WNOHANG", 1, raising=False)
        assert platforms.exit_status(process) == 4  # type: ignore[arg-type]

    def test_windows_asks_popen(self, windows: FakeWindows) -> None:
        """On Windows the status belongs to the handle, so no other code can collect it."""
        process = SimpleNamespace(poll=iter([None, 3]).__next__)
        assert platforms.exit_status(process) is None  # type: ignore[arg-type]
        assert platforms.exit_status(process) == 3  # type: ignore[arg-type]


class TestStartOptions:
    """start_options."""

    def test_posix_starts_a_session(self, posix: None) -> None:
        """The process group of the session can be killed as a whole."""
        assert platforms.start_options() == {"start_new_session": True}

    @pytest.mark.parametrize(("console", "options"), [(True, {}), (False, {"creationflags": 0x0800_0000})])
    def test_windows_opens_no_window(self, windows: FakeWindows, console: bool, options: dict[str, Any]) -> None:
        """A program that shares a console shows its standard error there."""
        windows.console = console
        assert platforms.start_options() == options

    def test_without_stderr_it_is_discarded(self, posix: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """pythonw.exe has no stderr, and a descriptor that is not open must not be inherited."""
        monkeypatch.setattr(sys, "stderr", None)
        assert platforms.start_options() == {"start_new_session": True, "stderr": subprocess.DEVNULL}

    def test_stderr_passes_through(self) -> None:
        """A password manager reports on stderr that the user is not signed in."""
        code = (
            "import subprocess, sys; from requests_bearer_env import platforms;"
            "subprocess.run([sys.executable, '-c', 'import sys; sys.stderr.write(\"locked\")'],"
            " stdout=-3, **platforms.start_options())"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert run.stderr == b"locked"


#: Starts a program of its own, and waits for it.
PARENT = "import subprocess, sys; subprocess.run(sys.argv[1:])"

#: Starts a program of its own, and ends before it.
STARTER = "import subprocess, sys; subprocess.Popen(sys.argv[1:])"


class TestProcessGroup:
    """process_group."""

    def test_its_own_children_are_ended_too(self, pipe: tuple[io.FileIO, int]) -> None:
        """Nothing is left of a program that took too long, so its output ends."""
        child = python(f"import time; print('begin', flush=True); time.sleep({LONG}); print('end')")
        process = start(python(PARENT, *child), stdout=pipe[1])
        os.close(pipe[1])
        with platforms.process_group(process):
            assert wait_for(lambda: platforms.read_available(pipe[0])).strip() == b"begin"
        assert process.returncode not in (None, 0)
        assert read_all(pipe[0]) == b""

    def test_children_that_outlive_it_are_left(self, pipe: tuple[io.FileIO, int], tmp_path: Path) -> None:
        """A password manager may start an agent that stays; only a time-out ends it."""
        path = tmp_path / "proceed"
        child = python(f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)\nprint('end')")
        process = start(python(STARTER, *child), stdout=pipe[1])
        os.close(pipe[1])
        with platforms.process_group(process):
            assert ended(process) == 0
        path.touch()
        assert read_all(pipe[0]).strip() == b"end"

    def test_what_has_ended_is_not_killed(self) -> None:
        """What has been waited for is not killed: its number may be another program's."""
        killed = SimpleNamespace(pid=1, returncode=0, kill=pytest.fail, wait=pytest.fail)
        with platforms.process_group(killed):  # type: ignore[arg-type]
            pass

    def test_without_a_group_it_is_killed_alone(self, posix: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kernel of macOS refuses to kill a group in which only a zombie is left."""

        def killpg(pid: int, number: int) -> None:
            raise PermissionError

        monkeypatch.setattr("os.killpg", killpg, raising=False)
        monkeypatch.setattr(signal, "SIGKILL", 9, raising=False)
        process = subprocess.Popen(python(f"import time; time.sleep({LONG})"))
        with platforms.process_group(process):
            pass
        assert process.returncode not in (None, 0)

    @pytest.mark.parametrize("error", [PermissionError, subprocess.TimeoutExpired("sudo", 1)])
    def test_an_unkillable_program_is_abandoned(
        self, posix: None, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        """Waiting for it could block forever."""
        waited: list[float] = []

        def wait(timeout: float) -> None:
            waited.append(timeout)
            raise error

        monkeypatch.setattr("os.killpg", lambda pid, number: None, raising=False)
        monkeypatch.setattr(signal, "SIGKILL", 9, raising=False)
        with platforms.process_group(SimpleNamespace(pid=1, returncode=None, wait=wait)):  # type: ignore[arg-type]
            pass
        assert waited == [1.0]

    @pytest.mark.parametrize(("job", "terminated", "killed"), [(1, 1, 0), (1, 0, 1), (0, 1, 1)])
    def test_windows_ends_the_job(self, windows: FakeWindows, job: int, terminated: int, killed: int) -> None:
        """If the system refuses the job, the program alone is killed."""
        windows.assigned, windows.terminated = job, terminated
        kills: list[int] = []
        process: Any = SimpleNamespace(pid=5, returncode=None, kill=lambda: kills.append(5), wait=lambda timeout: 1)
        with platforms.process_group(process):
            pass
        assert windows.processes == [(0x0101, False, 5)]
        assert windows.job_of == [(7, 1005)]
        assert windows.ended == ([(7, 1)] if job else [])
        assert len(kills) == killed
        assert windows.closed == [1005, 7], "no handle is left"

    def test_windows_needs_no_job_after_the_end(self, windows: FakeWindows) -> None:
        """A program that has ended cannot be opened."""
        with platforms.process_group(SimpleNamespace(pid=0, returncode=1)):  # type: ignore[arg-type]
            pass
        assert windows.closed == []


class TestFindProgram:
    """find_program and unsafe_for_batch."""

    def test_posix_returns_the_name(self, posix: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Popen searches the PATH itself."""
        monkeypatch.setattr(shutil, "which", pytest.fail)
        assert platforms.find_program("gcloud") == "gcloud"

    @pytest.mark.parametrize(("found", "path"), [(r"C:\bin\gcloud.cmd", r"C:\bin\gcloud.cmd"), (None, "gcloud")])
    def test_windows_finds_batch_files(
        self, windows: FakeWindows, monkeypatch: pytest.MonkeyPatch, found: str | None, path: str
    ) -> None:
        """Popen alone adds only .exe; a program that is not found keeps its name, for the message."""
        monkeypatch.setattr(shutil, "which", {"gcloud": found}.get)
        assert platforms.find_program("gcloud") == path

    @pytest.mark.windows("batch files")
    def test_a_batch_file_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A batch file on the PATH is found by its name without the ending."""
        (tmp_path / "fakecloud.cmd").write_text("@echo %1\n")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        run = subprocess.run([platforms.find_program("fakecloud"), "abc"], capture_output=True, check=True)
        assert run.stdout.split() == [b"abc"]

    @pytest.mark.parametrize("character", '&|<>^%!"\n\r\x1a')
    def test_characters_for_cmd_are_found(self, windows: FakeWindows, character: str) -> None:
        """cmd.exe runs ``a&calc`` as two commands; the result is the index of the argument."""
        assert platforms.unsafe_for_batch([r"C:\gcloud.CMD", "auth", f"a{character}b"]) == 2

    @pytest.mark.parametrize("name", ["x.cmd", "X.BAT", "x.bat. ."])
    def test_each_batch_file_is_known(self, windows: FakeWindows, name: str) -> None:
        """The case of the ending does not matter, and Windows ignores dots and spaces after it."""
        assert platforms.unsafe_for_batch([name, "&"]) == 1
        assert platforms.unsafe_for_batch([name, "a b", "--format=value(x)", r"C:\x", "\t", "\u20ac"]) is None

    def test_a_program_takes_any_argument(self, windows: FakeWindows) -> None:
        """A program that is not a batch file gets its arguments without cmd.exe."""
        assert platforms.unsafe_for_batch(["op.exe", "a&b"]) is None

    def test_posix_has_no_batch_files(self, posix: None) -> None:
        """The ending has no meaning there."""
        assert platforms.unsafe_for_batch(["x.cmd", "a&b"]) is None


@contextlib.contextmanager
def opened(path: Path) -> Generator[int, None, None]:
    """Open a file with open_to_read, and close it in the end."""
    descriptor = platforms.open_to_read(str(path))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class TestOpenToRead:
    """open_to_read, is_sharing_violation and is_device_path."""

    def test_bytes_are_read_as_they_are(self, tmp_path: Path) -> None:
        """Line ends are not translated, and Ctrl-Z does not end the file."""
        (tmp_path / "key").write_bytes(b"a\r\nb\x1ac")
        with opened(tmp_path / "key") as descriptor:
            assert os.read(descriptor, 100) == b"a\r\nb\x1ac"
            assert not os.get_inheritable(descriptor)

    def test_an_open_file_can_be_removed(self, tmp_path: Path) -> None:
        """A reader does not block the program that rotates the key."""
        (tmp_path / "key").write_bytes(b"old")
        with opened(tmp_path / "key") as descriptor:
            (tmp_path / "key").unlink()
            assert os.read(descriptor, 100) == b"old"

    @pytest.mark.parametrize(("name", "error"), [("no", FileNotFoundError), ("a\0b", ValueError)])
    def test_a_failed_open_raises(self, tmp_path: Path, name: str, error: type[Exception]) -> None:
        """The exceptions are the same on every system."""
        with pytest.raises(error):
            platforms.open_to_read(str(tmp_path / name))

    @pytest.mark.posix("named pipes")
    def test_a_pipe_without_a_writer_opens(self, tmp_path: Path) -> None:
        """Opening does not block; the caller then sees that it is not a regular file."""
        os.mkfifo(tmp_path / "pipe")
        os.close(platforms.open_to_read(str(tmp_path / "pipe")))

    def test_windows_shares_the_file(self, windows: FakeWindows) -> None:
        """Other programs may read, write and remove the file meanwhile."""
        windows.descriptor = 5
        assert platforms.open_to_read("key") == 5
        assert windows.opened == [("key", 0x8000_0000, 7, None, 3, 0, None, True)]
        assert windows.descriptors == [(21, 0x8080)]
        assert windows.closed == []

    def test_windows_reports_a_failed_open(self, windows: FakeWindows) -> None:
        """The error number of Windows becomes an OSError."""
        windows.handle = -1
        with pytest.raises(OSError, match="error 32"):
            platforms.open_to_read("key")

    def test_windows_refuses_a_null(self, windows: FakeWindows) -> None:
        """CreateFileW would open the file whose path ends at the NUL."""
        with pytest.raises(ValueError, match="null"):
            platforms.open_to_read("key\0.txt")
        assert windows.opened == []

    def test_a_path_may_have_any_letters(self, tmp_path: Path) -> None:
        """Many paths contain a user's name, and no code page has all letters."""
        path = tmp_path / "Jürgen Ключ 鍵"
        path.write_bytes(b"abc")
        with opened(path) as descriptor:
            assert os.read(descriptor, 100) == b"abc"

    def test_windows_leaves_no_handle(self, windows: FakeWindows) -> None:
        """The handle is closed if no descriptor is left for it."""
        with pytest.raises(OSError, match="too many"):
            platforms.open_to_read("key")
        assert windows.closed == [21]

    @pytest.mark.windows("sharing modes")
    def test_an_exclusive_writer_is_a_violation(self, tmp_path: Path) -> None:
        """It is not reported as a missing permission."""
        winapi: Any = sys.modules["_winapi"]
        (tmp_path / "key").write_bytes(b"old")
        handle = winapi.CreateFile(str(tmp_path / "key"), 0x4000_0000, 0, 0, 3, 0, 0)
        try:
            with pytest.raises(PermissionError) as caught:
                platforms.open_to_read(str(tmp_path / "key"))
        finally:
            winapi.CloseHandle(handle)
        assert platforms.is_sharing_violation(caught.value)

    @pytest.mark.parametrize(("number", "violation"), [(32, True), (33, True), (5, False), (None, False)])
    def test_a_sharing_violation_is_recognised(self, number: int | None, violation: bool) -> None:
        """Error 5 is access denied; an OSError without a number is not from Windows."""
        error = OSError(errno.EACCES, "no")
        error.winerror = number  # type: ignore[attr-defined,unused-ignore]
        assert platforms.is_sharing_violation(error) is violation

    @pytest.mark.parametrize(("number", "invalid"), [(123, True), (2, False), (None, False)])
    def test_an_invalid_name_is_recognised(self, number: int | None, invalid: bool) -> None:
        """Windows reports it with another number than a missing file."""
        error = OSError(errno.EINVAL, "no")
        error.winerror = number  # type: ignore[attr-defined,unused-ignore]
        assert platforms.is_invalid_name(error) is invalid

    @pytest.mark.parametrize(
        ("path", "device"),
        [
            (r"\\.\pipe\x", True),
            ("//./pipe/x", True),
            (r"\\.\COM1", True),
            (r"\\?\pipe\x", True),
            (r"\\server\PIPE\x", True),
            (r"\\server\share\pipe\x", False),
            (r"\\?\C:\key", False),
            (r"C:\pipe\x", False),
        ],
    )
    def test_a_device_is_known_by_its_path(
        self, monkeypatch: pytest.MonkeyPatch, windows: FakeWindows, path: str, device: bool
    ) -> None:
        """A system call would connect to the pipe; POSIX has no such paths."""
        assert platforms.is_device_path(path) is device
        monkeypatch.setattr(platforms, "WINDOWS", False)
        assert platforms.is_device_path(path) is False


class TestPaths:
    """expand and looks_like_path."""

    @pytest.mark.parametrize(
        ("path", "posix", "windows"),
        [
            ("$WHERE/key", "/there/key", "/there/key"),
            ("${WHERE}/key", "/there/key", "/there/key"),
            ("%WHERE%/key", "%WHERE%/key", "/there/key"),
            ("%NOSUCH%/key", "%NOSUCH%/key", "%NOSUCH%/key"),
            ("~/key", "/home/me/key", "/profile/me/key"),
            ("key 100%", "key 100%", "key 100%"),
            ("key", "key", "key"),
        ],
    )
    @pytest.mark.parametrize("on_windows", [False, True])
    def test_a_path_is_expanded_as_by_os_path(
        self, monkeypatch: pytest.MonkeyPatch, on_windows: bool, path: str, posix: str, windows: str
    ) -> None:
        """``%VAR%`` is a variable on Windows alone, where another variable names the home directory."""
        monkeypatch.setenv("WHERE", "/there")
        monkeypatch.setenv("HOME", "/home/me")
        monkeypatch.setenv("USERPROFILE", "/profile/me")
        monkeypatch.setattr(platforms, "WINDOWS", on_windows)
        assert platforms.expand(path) == (windows if on_windows else posix)

    @pytest.mark.parametrize(
        ("path", "posix", "windows"),
        [("$NO/key", "$", "$"), ("%NO%/key", "", "%"), ("key 100%", "", ""), ("5% %/key", "", ""), ("key", "", "")],
    )
    def test_an_unset_variable_is_found(
        self, monkeypatch: pytest.MonkeyPatch, path: str, posix: str, windows: str
    ) -> None:
        """Only Windows has variables in percent signs."""
        monkeypatch.setattr(platforms, "WINDOWS", False)
        assert platforms.variable_sign(path) == posix
        monkeypatch.setattr(platforms, "WINDOWS", True)
        assert platforms.variable_sign(path) == windows

    def test_no_home_leaves_the_path(self, windows: FakeWindows, monkeypatch: pytest.MonkeyPatch) -> None:
        """A service may have no home directory; the path then does not exist."""
        for name in ("HOME", "USERPROFILE", "HOMEPATH", "HOMEDRIVE"):
            monkeypatch.delenv(name, raising=False)
        assert platforms.expand("~/key") == "~/key"

    def test_the_systems_own_rules_are_used(self) -> None:
        """The module recognises Windows as Python does."""
        assert (os.path is ntpath) is platforms.WINDOWS
        assert (os.path is posixpath) is not platforms.WINDOWS

    @pytest.mark.parametrize(
        "text", [r"C:\nokey", "c:/nokey", r"$NOSUCH\key", r"\\host\share\key", "%APPDATA%/key", "//./pipe/key"]
    )
    def test_a_windows_path_is_a_path_on_windows(
        self, windows: FakeWindows, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        """A message may show such a path, because it cannot be a key."""
        assert platforms.looks_like_path(text)
        monkeypatch.setattr(platforms, "WINDOWS", False)
        assert not platforms.looks_like_path(text)

    @pytest.mark.parametrize("text", ["/9jabc==", "sk-abc", "ab:/x", "C:x", "%2Fabc/", "a/b"])
    def test_what_may_be_a_key_is_not_a_path(self, windows: FakeWindows, text: str) -> None:
        """A base64 key may begin with a slash, and a key may contain a colon."""
        assert not platforms.looks_like_path(text)


class Terminal(io.StringIO):
    """An output that is a terminal, or is not."""

    def __init__(self, terminal: bool = True) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def fileno(self) -> int:
        return 1


class TestColour:
    """enable_colour."""

    def test_a_posix_terminal_takes_escape_codes(self, posix: None) -> None:
        """Every terminal does, except one that TERM calls dumb, which the caller checks."""
        assert platforms.enable_colour(Terminal())

    @pytest.mark.parametrize("on_windows", [False, True])
    def test_a_file_gets_no_colour(
        self, windows: FakeWindows, monkeypatch: pytest.MonkeyPatch, on_windows: bool
    ) -> None:
        """Neither does a missing stream, as under pythonw.exe."""
        monkeypatch.setattr(platforms, "WINDOWS", on_windows)
        assert not platforms.enable_colour(Terminal(terminal=False))
        assert not platforms.enable_colour(None)

    @pytest.mark.parametrize(
        ("mode", "grants", "after", "result"),
        [(7, False, 7, True), (3, True, 7, True), (3, False, 7, False), (None, True, None, False)],
        ids=["on already", "switched on", "too old", "no console"],
    )
    def test_a_windows_console_is_asked(
        self, windows: FakeWindows, mode: int | None, grants: bool, after: int | None, result: bool
    ) -> None:
        """The console's mode says whether it accepts escape codes; before Windows 10 it cannot be set."""
        windows.console_mode, windows.console = mode, grants
        assert platforms.enable_colour(Terminal()) is result
        assert windows.console_mode == after
        assert set(windows.handles) == {101}

    def test_idle_gets_no_colour(self, windows: FakeWindows) -> None:
        """IDLE's output claims to be a terminal, has no descriptor, and shows escape codes as text."""

        class Shell(io.StringIO):
            def isatty(self) -> bool:
                return True

        assert not platforms.enable_colour(Shell())


class TestSplitCommandLine:
    """split_command_line."""

    def test_posix_splits_as_its_shell_does(self, posix: None) -> None:
        """Both kinds of quotes and backslashes are interpreted."""
        assert platforms.split_command_line(r"""op read 'a b' "c d" e\ f""") == ["op", "read", "a b", "c d", "e f"]
        assert platforms.split_command_line(" ") == []
        with pytest.raises(ValueError, match="quot"):
            platforms.split_command_line("op 'read")

    def test_windows_splits_with_its_function(self, windows: FakeWindows) -> None:
        """The memory that CommandLineToArgvW allocates is freed."""
        windows.words = [r"C:\op.exe", "read x"]
        assert platforms.split_command_line(r'C:\op.exe "read x"') == windows.words
        assert windows.lines == [r'C:\op.exe "read x"']
        assert windows.freed == [windows.words_memory]

    def test_windows_splits_a_blank_line(self, windows: FakeWindows) -> None:
        """For a blank line, CommandLineToArgvW would return the path of this process."""
        windows.words = ["python.exe"]
        assert platforms.split_command_line(" \t") == []

    @pytest.mark.windows("CommandLineToArgvW")
    def test_backslashes_are_kept_by_windows(self) -> None:
        """Backslashes separate directories there."""
        line = r' "C:\Program Files\op.exe" read C:\x\ "a \"b\"" '
        assert platforms.split_command_line(line) == [r"C:\Program Files\op.exe", "read", "C:\\x\\", 'a "b"']


class TestQuoteForShell:
    """quote_for_shell."""

    @pytest.mark.parametrize(
        ("word", "on_posix", "on_windows"),
        [
            ("https://a.example:5000/v1/models", None, None),
            ("--allow-http", None, None),
            ("my key", "'my key'", '"my key"'),
            ("~/key", "'~/key'", '"~/key"'),
            ("https://a.example/a&b", "'https://a.example/a&b'", '"https://a.example/a&b"'),
            ("C:\\key", "'C:\\key'", None),
        ],
    )
    def test_a_word_is_quoted_where_it_needs_it(
        self, word: str, on_posix: str | None, on_windows: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None stands for a word that stays as it is."""
        for windows, quoted in ((False, on_posix), (True, on_windows)):
            monkeypatch.setattr(platforms, "WINDOWS", windows)
            assert platforms.quote_for_shell(word) == (quoted or word)

    @pytest.mark.parametrize(
        "word", ["%APPDATA%/key", "$(calc)", "a`b", 'a"b', "a b\\", "a!b", "a\nb", "https://a/%20"]
    )
    def test_an_unquotable_word_returns_none(self, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """No quotes protect this word in both cmd and PowerShell."""
        monkeypatch.setattr(platforms, "WINDOWS", True)
        assert platforms.quote_for_shell(word) is None

    @pytest.mark.posix("a POSIX shell")
    def test_the_shell_reads_the_word(self) -> None:
        """A POSIX shell reads the quoted word as it was."""
        word = "a $HOME `b` \"c\" 'd' \\ ;&|*~#!"
        run = subprocess.run(
            ["sh", "-c", f"printf %s {platforms.quote_for_shell(word)}"], capture_output=True, check=True, text=True
        )
        assert run.stdout == word


class TestPythonForShell:
    """python_for_shell."""

    @pytest.mark.parametrize(
        ("path", "on_posix", "on_windows"),
        [
            ("/usr/bin/python3.11", "/usr/bin/python3.11", "/usr/bin/python3.11"),
            ("C:\\venv\\python.exe", "'C:\\venv\\python.exe'", "C:\\venv\\python.exe"),
            ("/my venv/python", "'/my venv/python'", "python"),
            ("", "python", "python"),
            (None, "python", "python"),
        ],
    )
    def test_a_pasted_line_starts_this_python(
        self, path: str | None, on_posix: str, on_windows: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another one may lack the package; an embedded Python does not know its path."""
        monkeypatch.setattr(sys, "executable", path)
        for windows, word in ((False, on_posix), (True, on_windows)):
            monkeypatch.setattr(platforms, "WINDOWS", windows)
            assert platforms.python_for_shell() == word


class TestErrorText:
    """error_text."""

    @pytest.mark.parametrize("on_windows", [False, True])
    def test_the_systems_text_is_returned(
        self, windows: FakeWindows, monkeypatch: pytest.MonkeyPatch, on_windows: bool
    ) -> None:
        """The text of the exception may hold a path."""
        monkeypatch.setattr(platforms, "WINDOWS", on_windows)
        assert platforms.error_text(OSError(errno.ENOENT, "/secret")) == os.strerror(errno.ENOENT)

    @pytest.mark.parametrize(("number", "winerror"), [(10061, 10061), (10000, None), (errno.ENOENT, 3)])
    def test_windows_explains_its_own_numbers(self, windows: FakeWindows, number: int, winerror: int | None) -> None:
        """os.strerror() says "Unknown error" to a Winsock number."""
        error = OSError(number, "another text")
        error.winerror = winerror  # type: ignore[attr-defined,unused-ignore]
        assert platforms.error_text(error) == f"Text of {winerror or number}"

    def test_posix_explains_a_large_number(self, posix: None) -> None:
        """POSIX has no FormatError."""
        assert platforms.error_text(OSError(10061, "x")) == os.strerror(10061)

    def test_without_a_number_it_is_the_type(self) -> None:
        """The system has no text for an error without a number."""
        assert platforms.error_text(TimeoutError()) == "TimeoutError"

    @pytest.mark.windows("Winsock")
    def test_windows_explains_a_refused_connection(self) -> None:
        """The text is in the language of the system."""
        text = platforms.error_text(ConnectionRefusedError(10061, "x"))
        assert len(text) > len("refused")
        assert not text.startswith("Unknown")


@pytest.mark.parametrize("missing", ["O_NONBLOCK O_NOCTTY", "fork waitid waitpid WNOHANG getuid killpg set_blocking"])
def test_the_module_imports_without_posix(missing: str) -> None:
    """Some systems lack functions of POSIX; importing the module loads no large module, either."""
    code = (
        "import os, sys\n"
        f"for name in {missing.split()}:\n    vars(os).pop(name, None)\n"
        "import __future__, contextlib, io, re, importlib, typing; before = set(sys.modules)\n"
        f"exec(compile(open({platforms.__file__!r}).read(), 'platforms', 'exec'), {{'__name__': 'platforms'}})\n"
        "print(*set(sys.modules) - before)"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True, text=True)
    assert run.stdout.split() == []


def test_threads_start_programs_side_by_side() -> None:
    """No thread's program inherits the writing end of another's pipe, which would keep that pipe open."""
    outcomes: list[bytes] = []

    def run(number: int) -> None:
        reader, writer = platforms.open_pipe()
        with reader:
            process = start(python(f"print({number})"), stdout=writer)
            os.close(writer)
            outcomes.append(read_all(reader).strip())
            ended(process)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in itertools.chain(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [b"%d" % number for number in range(8)]


@pytest.mark.parametrize(
    ("error", "on_posix", "on_windows"),
    [
        (BrokenPipeError(errno.EPIPE, "x"), True, True),
        (OSError(errno.EINVAL, "x"), False, True),
        (OSError(errno.ENOSPC, "x"), False, False),
    ],
)
def test_a_closed_pipe_is_recognised(
    error: OSError, on_posix: bool, on_windows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows reports an invalid argument, which has other causes elsewhere."""
    for windows, expected in ((False, on_posix), (True, on_windows)):
        monkeypatch.setattr(platforms, "WINDOWS", windows)
        assert platforms.is_closed_pipe(error) is expected
