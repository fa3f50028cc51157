"""A provider that runs a program."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, InvalidKeyError, KeySourceError, MissingKeyError, command, platforms
from requests_bearer_env.sources.provider import ProviderError
from tests.helpers import KEY, assert_hidden, authorized, frames_of, lowest_free_descriptor, make_program, python

#: What messages call a program that is run with `python`.
PYTHON = f"command {Path(sys.executable).name}"

#: The exit status of a program that was killed.
KILLED = 1 if os.name == "nt" else -9

SLEEP = "import time; time.sleep(60)"

#: Writes into a file as long as it runs.
BEAT = "import sys, time\nwhile True:\n    open(sys.argv[1], 'a').write('x'); time.sleep(0.02)"

LOST = (
    f"{PYTHON} has an exit status that cannot be known, "
    "because this process ignores SIGCHLD or another part of it waits for child processes: "
    "reset SIGCHLD to signal.SIG_DFL, and let nothing but subprocess wait for child processes"
)


#: Prints after a pause.
LATE = python("import time; time.sleep(0.1); print('abc')")


def refusal(argv: list[str], timeout: float = 30) -> str:
    """The message of the error that a request fails with."""
    with pytest.raises(KeySourceError) as caught:
        authorized(BearerEnvAuth(provider=command(argv, timeout=timeout)))
    assert caught.value.__cause__ is None
    return str(caught.value)


def is_growing(path: Path) -> bool:
    """Whether a program that beats into a file is still running."""
    time.sleep(0.1)  # a beat of a program that was just killed may be under way
    before = path.stat().st_size
    time.sleep(0.3)
    return path.stat().st_size > before


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[Any]]:
    """The processes that are started during a test."""
    started: list[subprocess.Popen[Any]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


@pytest.fixture
def handle_sigchld() -> Iterator[Callable[[Any], object]]:
    """Set a handler of SIGCHLD until the test ends."""
    before = signal.getsignal(signal.SIGCHLD)
    yield lambda handler: signal.signal(signal.SIGCHLD, handler)
    signal.signal(signal.SIGCHLD, before)


class TestOutput:
    """The program's standard output is the key."""

    def test_what_it_prints_is_the_key(self) -> None:
        """Its line break is trimmed as with every provider."""
        assert authorized(BearerEnvAuth(provider=command(python("print('abc')")))) == "Bearer abc"

    def test_nothing_printed_is_not_a_key(self) -> None:
        """A program that succeeds and prints nothing has no key."""
        with pytest.raises(MissingKeyError, match=f"provider {PYTHON} returned no key"):
            authorized(BearerEnvAuth(provider=command(python(""))))

    @pytest.mark.parametrize("printed", [b"abc\nnotes\n", b"abc\r\nnotes: x", b"Bearer abc\n\nnotes", b"abc"])
    def test_the_first_line_alone_may_be_the_key(self, printed: bytes) -> None:
        """The password manager ``pass`` keeps notes below the key."""
        auth = BearerEnvAuth(provider=command(python(f"import os; os.write(1, {printed!r})"), first_line=True))
        assert authorized(auth) == "Bearer abc"

    def test_by_default_all_lines_are_the_key(self) -> None:
        """Without first_line=True, a second line is refused and not dropped."""
        with pytest.raises(InvalidKeyError, match="store only the key, on one line"):
            authorized(BearerEnvAuth(provider=command(python("print('abc'); print('notes')"))))

    def test_a_blank_first_line_is_not_a_key(self) -> None:
        """The key is not looked for below the first line."""
        with pytest.raises(MissingKeyError):
            authorized(BearerEnvAuth(provider=command(python("print(); print('abc')"), first_line=True)))

    def test_its_standard_error_passes_through(self, capfd: pytest.CaptureFixture[str]) -> None:
        """There the program says that the user is not signed in, for example."""
        auth = BearerEnvAuth(provider=command(python("import sys; sys.stderr.write('sign in first'); print('abc')")))
        assert authorized(auth) == "Bearer abc"
        assert capfd.readouterr() == ("", "sign in first")

    def test_output_that_comes_late_is_waited_for(self) -> None:
        """A password manager may ask a server first."""
        assert command(LATE)().strip() == b"abc"

    def test_output_at_the_very_end_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is lost if the program prints and ends between two looks at it."""
        real = platforms.exit_status

        def exit_status(process: subprocess.Popen[bytes]) -> int | None:
            while (status := real(process)) is None:
                time.sleep(0.01)
            return status

        monkeypatch.setattr(platforms, "exit_status", exit_status)
        assert command(LATE)().strip() == b"abc"

    def test_a_program_may_take_all_of_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The program is killed at the end of the timeout, not some time before."""
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        def exit_status(process: subprocess.Popen[bytes]) -> int | None:
            return process.wait() if now[0] > 9.9 else None

        clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
        monkeypatch.setattr("requests_bearer_env.sources.command.time", clock)
        monkeypatch.setattr(platforms, "exit_status", exit_status)
        assert command(python("print('abc')"), timeout=10)().strip() == b"abc"

    def test_16_kib_are_not_too_much(self) -> None:
        """The limit is that of a file."""
        assert command(python("print('k' * 16384, end='')"))() == b"k" * 16384

    def test_the_limit_holds_for_pieces(self) -> None:
        """What comes after the first 16 KiB is seen."""
        assert "printed more than 16384 bytes" in refusal(
            python("import time; print('k' * 16384, end='', flush=True); time.sleep(0.1); print('x')")
        )

    def test_endless_output_is_not_read_to_its_end(self, processes: list[subprocess.Popen[Any]]) -> None:
        """The program is killed after 16 KiB."""
        assert "printed more than 16384 bytes" in refusal(python("while True: print('y')"))
        assert processes[0].returncode == KILLED

    def test_output_cut_by_the_deadline_is_not_a_key(
        self, monkeypatch: pytest.MonkeyPatch, processes: list[subprocess.Popen[Any]]
    ) -> None:
        """This process may be held up until the program has ended; what it read before may be half of the key."""
        times = count()

        def clock() -> float:
            if next(times) < 2:
                return 0
            processes[0].wait()
            return 100

        monkeypatch.setattr("time.monotonic", clock)
        assert "did not finish within 30 s" in refusal(
            python("import time; print('half', flush=True); time.sleep(0.1); print('rest')")
        )
        assert processes[0].returncode == 0


class TestStart:
    """How the program is started."""

    def test_no_shell_is_used(self) -> None:
        """An argument reaches the program unaltered."""
        auth = BearerEnvAuth(provider=command(python("import sys; print(sys.argv[1])", "$HOME;`id`")))
        assert authorized(auth) == "Bearer $HOME;`id`"

    def test_a_path_is_an_argument(self, tmp_path: Path) -> None:
        """Arguments are str or PathLike."""
        (tmp_path / "key").write_text(KEY)
        argv: list[str | Path] = [*python("import sys; print(open(sys.argv[1]).read())"), tmp_path / "key"]
        assert authorized(BearerEnvAuth(provider=command(argv))) == f"Bearer {KEY}"

    def test_its_standard_input_is_empty(self) -> None:
        """A program that asks a question gets no answer, and takes nothing that was typed for this process."""
        reading, writing = os.pipe()
        kept = os.dup(0)
        os.write(writing, b"typed")
        os.dup2(reading, 0)
        try:
            argv = python("import sys; print(sys.stdin.read() + 'abc')")
            assert command(argv, timeout=10)().strip() == b"abc"
        finally:
            os.dup2(kept, 0)
            for descriptor in (reading, writing, kept):
                os.close(descriptor)

    def test_it_works_without_poll(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither Windows nor eventlet has ``select.poll``."""
        for name in ("poll", "epoll"):
            monkeypatch.delattr(select, name, raising=False)
        assert command(LATE)().strip() == b"abc"

    @pytest.mark.posix("limits of resources")
    def test_it_works_with_many_descriptors(self) -> None:
        """``select.select`` accepts no descriptor above 1023."""
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
        try:
            assert max(opened) > 1023
            assert command(LATE)().strip() == b"abc"
        finally:
            for descriptor in opened:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    @pytest.mark.posix("arguments in bytes")
    def test_an_argument_that_cannot_be_encoded_fails(self) -> None:
        """Python's own error would hold the argument."""
        message = refusal(["echo", f"{KEY}\ud800"])
        assert message.startswith("command echo cannot be started (UnicodeEncodeError): ")

    def test_a_program_is_found_on_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also if it is a batch file, as gcloud is on Windows."""
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        make_program(tmp_path, "opx", "import sys; print('abc', *sys.argv[1:], sep='-')")
        assert authorized(BearerEnvAuth(provider=command(["opx", "read", "x"]))) == "Bearer abc-read-x"

    def test_what_cmd_would_interpret_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message has the number of the part, and not the part."""
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        make_program(tmp_path, "opx", "print('abc')")
        if os.name != "nt":
            monkeypatch.setattr(platforms, "unsafe_for_batch", lambda argv: [KEY in part for part in argv].index(True))
        message = refusal(["opx", "read", f"a&{KEY}"])
        assert message.startswith("command opx is a batch file, and part 3 of the command has a character that cmd.exe")
        assert_hidden(message)


class TestEnd:
    """How the program ends."""

    def test_a_timeout_kills_the_program(self, processes: list[subprocess.Popen[Any]]) -> None:
        """The time is the program's, also if it has closed its output."""
        assert "did not finish within 0.3 s" in refusal(python(f"import os; os.close(1); {SLEEP}"), timeout=0.3)
        assert processes[0].returncode == KILLED

    def test_a_timeout_kills_the_process_group(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A script that waits for another program leaves no process behind."""
        path = tmp_path / "beats"
        times = count()

        def clock() -> float:
            if not next(times):
                return 0
            until = time.perf_counter() + 30
            while not path.exists() and time.perf_counter() < until:
                time.sleep(0.01)
            return 100

        monkeypatch.setattr("time.monotonic", clock)
        parent = "import subprocess, sys; print(subprocess.run(sys.argv[1:]))"
        assert "did not finish within 5 s" in refusal(python(parent, *python(BEAT, str(path))), timeout=5)
        assert not is_growing(path)

    def test_a_pause_past_the_deadline_is_harmless(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``time.sleep`` accepts no negative number of seconds."""
        times = count(step=0.2)
        monkeypatch.setattr("time.monotonic", lambda: next(times))
        assert "did not finish within 0.3 s" in refusal(python(SLEEP), timeout=0.3)

    def test_a_grandchild_with_the_pipe_costs_nothing(self, tmp_path: Path) -> None:
        """The program has ended, so its output is the key; no descriptor, thread or waiting is spent on the rest."""
        path = tmp_path / "beats"
        path.touch()
        beats = f"import time\nfor _ in range(200):\n    open({str(path)!r}, 'a').write('x'); time.sleep(0.02)"
        parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); print('abc')"
        before = lowest_free_descriptor(), threading.active_count()
        assert command(python(parent, *python(beats)))().strip() == b"abc"
        assert (lowest_free_descriptor(), threading.active_count()) == before
        assert path.stat().st_size < 200, "it was not waited for"
        until = time.perf_counter() + 30
        while not path.stat().st_size and time.perf_counter() < until:
            time.sleep(0.01)
        assert path.stat().st_size, "it was left alone"

    @pytest.mark.parametrize(
        "argv",
        [
            python(""),
            python("raise SystemExit(1)"),
            ["no-such-program"],
            python("while True: print('y')"),
            python(SLEEP),
        ],
    )
    def test_no_descriptor_is_left_open(self, argv: list[str]) -> None:
        """The pipe is closed after a success and after every failure."""
        before = lowest_free_descriptor()
        with pytest.raises((KeySourceError, MissingKeyError)):
            authorized(BearerEnvAuth(provider=command(argv, timeout=0.5)))
        assert lowest_free_descriptor() == before

    @pytest.mark.posix("SIGCHLD")
    def test_an_ignored_sigchld_hides_the_exit_status(self, handle_sigchld: Callable[[Any], object]) -> None:
        """While SIGCHLD is ignored the system keeps no exit status, so no output is believed."""
        handle_sigchld(signal.SIG_IGN)
        assert refusal(python("print('not-signed-in'); raise SystemExit(3)")) == LOST

    @pytest.mark.posix("SIGCHLD")
    def test_a_handler_may_take_the_exit_status(
        self, handle_sigchld: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A handler of SIGCHLD that waits for every child takes the program's status, so no output is believed."""
        taken: list[int] = []
        sleep = time.sleep

        def reap(number: int, frame: object) -> None:
            taken.append(os.waitpid(-1, os.WNOHANG)[1])

        def sleep_until_taken(seconds: float) -> None:
            until = time.perf_counter() + 30
            while not taken and time.perf_counter() < until:
                sleep(0.01)

        handle_sigchld(reap)
        monkeypatch.setattr("time.sleep", sleep_until_taken)
        code = "import time; print('not-signed-in'); time.sleep(0.1); raise SystemExit(3)"
        assert refusal(python(code)) == LOST
        assert os.waitstatus_to_exitcode(taken[0]) == 3

    def test_an_interrupt_kills_the_program(
        self, monkeypatch: pytest.MonkeyPatch, processes: list[subprocess.Popen[Any]]
    ) -> None:
        """Ctrl-C leaves no process behind, and what was printed until then hides itself."""
        with monkeypatch.context() as interrupted:

            def interrupt(seconds: float) -> None:
                interrupted.undo()
                raise KeyboardInterrupt

            interrupted.setattr("time.sleep", interrupt)
            with pytest.raises(KeyboardInterrupt) as caught:
                command(python(SLEEP))()
        assert processes[0].returncode == KILLED
        assert any("'output': <_io.BytesIO object at" in repr(frame.f_locals) for frame in frames_of(caught.value))


class TestSecrecy:
    """Neither arguments nor output are shown."""

    @pytest.mark.parametrize(
        "argv",
        [
            python("import sys; print(sys.argv[1]); raise SystemExit(3)", KEY),
            python("import os, sys; print(sys.argv[1], flush=True); os.abort()", KEY),
            python(f"import sys; print(sys.argv[1], flush=True); {SLEEP}", KEY),
            python("import sys\nwhile True: print(sys.argv[1])", KEY),
            ["no-such-program", KEY],
            pytest.param(["echo", f"{KEY}\ud800"], marks=pytest.mark.posix("arguments in bytes")),
            python("import sys; print(sys.argv[1], sys.argv[1])", KEY),
        ],
    )
    def test_a_failure_shows_no_argument_or_output(self, argv: list[str]) -> None:
        """Message, exceptions and frames show the program's name alone."""
        auth = BearerEnvAuth(provider=command(argv, timeout=0.3))
        with pytest.raises((KeySourceError, InvalidKeyError)) as caught:
            authorized(auth)
        shown = repr(auth) + str(caught.value) + repr(caught.value) + repr(vars(caught.value))
        assert KEY[5:20] not in shown + repr([frame.f_locals for frame in frames_of(caught.value)])
        assert caught.value.__cause__ is caught.value.__context__ is None

    @pytest.mark.parametrize("argv", [python("raise SystemExit(3)", KEY[:11]), ["no-such-program", KEY[:11]]])
    def test_a_direct_call_shows_neither(self, argv: list[str]) -> None:
        """A user who calls it directly gets the same problem and remedy, and may have locals printed."""
        with pytest.raises(ProviderError) as caught:
            command(argv)()
        problem, remedy = caught.value.args
        assert problem.startswith(f"command {Path(argv[0]).name} ")
        shown = repr([frame.f_locals for frame in frames_of(caught.value)])
        assert f"command {Path(argv[0]).name}" in shown
        assert KEY[:11] not in shown + problem + remedy

    @pytest.mark.parametrize("program", [f"echo {KEY}", KEY, "k" * 21, "a b", f"/usr/bin/{KEY[3:]}"])
    def test_what_is_not_a_program_is_not_shown(self, program: str) -> None:
        """A command line in one part, or the key in its place, is a mistake."""
        message = refusal([program])
        assert message.startswith("command (not shown because it may hold a key) cannot be started (")
        assert program not in message
        assert repr(command([program])) == "<command (not shown because it may hold a key)>"

    def test_a_long_name_of_a_program_is_shown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """If there is such a program, its name is no key."""
        name = "the-password-manager-of-a-company"
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        assert "command (not shown" in refusal([name])
        make_program(tmp_path, name, "raise SystemExit(3)")
        assert refusal([name]).startswith(f"command {name} failed with exit status 3")

    def test_a_short_name_is_shown(self) -> None:
        """Otherwise the reader of the message could not see what is misspelled."""
        assert refusal(["k" * 20]).startswith(f"command {'k' * 20} cannot be started")

    def test_its_repr_shows_the_program_alone(self) -> None:
        """No argument is in the repr of the command or of the auth."""
        auth = BearerEnvAuth(provider=command(["/usr/bin/echo", KEY]))
        assert repr(auth) == "BearerEnvAuth(provider=command echo)"
        assert repr(command(["/usr/bin/echo", KEY])) == "<command echo>"


def test_equal_arguments_make_equal_commands() -> None:
    """Commands are equal by argv, timeout and first_line; so are auth objects, and copies through a pickle."""
    one, same = command(["op", "read"]), command(("op", "read"), timeout=30, first_line=False)
    others = [
        command(["op"]),
        command(["op", "read"], timeout=10),
        command(["op", "read"], timeout=threading.TIMEOUT_MAX),
        command(["op", "read"], first_line=True),
    ]
    assert one == same
    assert one != object()
    assert BearerEnvAuth(provider=one, ttl=5) == BearerEnvAuth(provider=same, ttl=5)
    assert len({one, same, *others}) == 5
    for each in (one, *others):
        assert pickle.loads(pickle.dumps(each)) == each


def test_a_batch_file_gets_no_syntax_of_cmd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows runs it with cmd.exe, which would take ``a&calc`` for two commands; nothing is started."""
    monkeypatch.setattr("requests_bearer_env.platforms.WINDOWS", True)
    monkeypatch.setattr("requests_bearer_env.platforms.find_program", lambda program: f"{program}.cmd")
    monkeypatch.setattr("subprocess.Popen", lambda *arguments, **options: pytest.fail("started"))
    with pytest.raises(ProviderError) as caught:
        command(["gcloud", "secrets", "a&calc"])()
    assert caught.value.args == (
        "command gcloud is a batch file, and part 3 of the command has a character that cmd.exe would interpret",
        "call the program that the batch file calls",
    )
