"""A provider that runs a program."""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, KeySourceError, MissingKeyError, command
from requests_bearer_env.sources.provider import ProviderError
from tests.helpers import KEY, authorized


def python(code: str, *arguments: str) -> list[str]:
    """A command line that runs some Python."""
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def refusal(argv: list[str], timeout: float = 30) -> str:
    """The message of the error that a request fails with."""
    with pytest.raises(KeySourceError) as caught:
        authorized(BearerEnvAuth(provider=command(argv, timeout=timeout)))
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_what_it_prints_is_the_key() -> None:
    """Its standard output is the key."""
    assert authorized(BearerEnvAuth(provider=command(python("print('abc')")))) == "Bearer abc"


def test_no_shell_is_used() -> None:
    """An argument is an argument, whatever is in it."""
    auth = BearerEnvAuth(provider=command(python("import sys; print(sys.argv[1])", "$HOME;`id`")))
    assert authorized(auth) == "Bearer $HOME;`id`"


def test_a_path_is_an_argument(tmp_path: Path) -> None:
    """Arguments are str or PathLike."""
    (tmp_path / "key").write_text(KEY)
    assert authorized(BearerEnvAuth(provider=command(["cat", tmp_path / "key"]))) == f"Bearer {KEY}"


def test_nothing_printed_is_no_key() -> None:
    """As with every provider."""
    with pytest.raises(MissingKeyError, match="provider command true returned nothing"):
        authorized(BearerEnvAuth(provider=command(["true"])))


def test_a_failure_names_the_program_and_its_status() -> None:
    """It shows neither arguments nor output, which may hold the key."""
    message = refusal(["/bin/sh", "-c", f"echo {KEY}; echo {KEY} >&2; exit 3"])
    assert message == "command sh failed with exit status 3; run it by hand to see why"


def test_a_signal_is_named() -> None:
    """A program that is killed has no exit status."""
    assert refusal(["sh", "-c", "kill -9 $$"]) == "command sh was ended by signal 9; run it by hand to see why"


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_program_that_is_not_there_is_named(program: str) -> None:
    """The reason is the system's."""
    assert refusal([program, KEY]) == (
        f"command {Path(program).name} cannot be started: No such file or directory; "
        "check that it is installed and on the PATH"
    )


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """At the end of its time it is killed, and nothing is left of it."""
    pid = tmp_path / "pid"
    assert refusal(["sh", "-c", f"echo $$ > {pid}; exec sleep 60"], timeout=0.3) == (
        "command sh did not finish within 0.3 s; run it by hand to see why"
    )
    assert subprocess.run(["ps", "-p", pid.read_text().strip()], capture_output=True, check=False).returncode == 1


def test_one_that_closes_its_output_and_goes_on_is_ended() -> None:
    """The time is the program's, not its output's."""
    assert "did not finish within 0.3 s" in refusal(["sh", "-c", "exec >&-; exec sleep 60"], timeout=0.3)


def test_a_grandchild_that_holds_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """The program has ended, and what it printed is the key; neither a thread nor a descriptor is left."""
    pid = tmp_path / "pid"
    before = len(os.listdir("/dev/fd")), threading.active_count()
    try:
        assert command(["sh", "-c", f"sleep 60 & echo $! > {pid}; echo abc"])() == b"abc\n"
        assert (len(os.listdir("/dev/fd")), threading.active_count()) == before
    finally:
        subprocess.run(["kill", pid.read_text().strip()], check=True)


def test_without_an_exit_status_nothing_is_believed() -> None:
    """Where SIGCHLD is ignored, every program seems to succeed."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert refusal(["sh", "-c", "echo error; exit 3"]) == (
            "command sh has no exit status that can be seen, for this process ignores SIGCHLD; "
            "run it by hand to see why"
        )
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("program", [f"echo {KEY}", KEY, "k" * 21, "a b"])
def test_what_is_no_programs_name_is_not_shown(program: str) -> None:
    """A command line in one part, or the key in its place, is a mistake."""
    message = refusal([program])
    assert message.startswith("command (not shown, as it is no program's name) cannot be started: No such file")
    assert program not in message


def test_a_long_name_is_shown_if_there_is_such_a_program(tmp_path: Path) -> None:
    """Then it is no key."""
    path = tmp_path / "the-password-manager-of-a-company"
    path.write_text("#!/bin/sh\nexit 3\n")
    assert "command (not shown" in refusal([str(path)])
    path.chmod(0o755)
    assert refusal([str(path)]).startswith(f"command {path.name} failed with exit status 3")


def test_a_short_name_is_shown_whether_or_not_there_is_such_a_program() -> None:
    """Or nobody could see what is misspelled."""
    assert refusal(["k" * 20]).startswith(f"command {'k' * 20} cannot be started")


def test_an_argument_that_the_system_cannot_write_is_a_failure() -> None:
    """Python's own error would hold it."""
    assert "cannot be started: UnicodeEncodeError" in refusal(["echo", "\ud800"])


def test_endless_output_is_not_read_to_its_end() -> None:
    """After 16 KiB the program is ended."""
    assert refusal(["yes"]) == "command yes printed more than 16384 bytes; run it by hand to see why"


def test_the_limit_holds_for_pieces() -> None:
    """What comes after the first 16 KiB is seen."""
    words = ["sh", "-c", "head -c 16384 /dev/zero; echo more"]
    assert "printed more than 16384 bytes" in refusal(words)


def test_time_that_passes_unseen_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may sleep between two instructions; no wait is then without end."""
    times = count(step=0.2)
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    assert "did not finish within 0.3 s" in refusal(["sleep", "60"], timeout=0.3)


def test_output_that_comes_late_is_waited_for() -> None:
    """A password manager may ask a server first."""
    assert command(["sh", "-c", "sleep 0.2; echo abc"])() == b"abc\n"


def test_what_is_printed_at_the_very_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost where the program prints and ends just as somebody looks whether it has ended."""
    real = subprocess.Popen[bytes].poll

    def poll(process: subprocess.Popen[bytes]) -> int | None:
        process.wait()
        return real(process)

    monkeypatch.setattr("subprocess.Popen.poll", poll)
    assert command(["sh", "-c", "sleep 0.2; echo abc"])() == b"abc\n"


def test_half_of_what_it_prints_is_not_the_key_if_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process may be held up for so long that the program has ended well by the time it is looked at."""
    processes: list[subprocess.Popen[Any]] = []
    popen = subprocess.Popen
    times = count()

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        processes.append(popen(*arguments, **options))
        return processes[-1]

    def clock() -> float:
        if next(times) < 2:
            return 0
        processes[0].wait()
        return 100

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("time.monotonic", clock)
    assert "did not finish within 30 s" in refusal(["sh", "-c", "echo half; sleep 0.2; echo rest"])
    assert processes[0].returncode == 0


def test_a_second_is_time_enough_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left of the time is used."""
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    assert command(["echo", "abc"], timeout=1)() == b"abc\n"


def test_it_reads_nothing_from_the_terminal() -> None:
    """A program that asks a question gets no answer instead of hanging, or of taking what was typed for others."""
    reading, writing = os.pipe()
    kept = os.dup(0)
    os.write(writing, b"typed")
    os.dup2(reading, 0)
    try:
        assert authorized(BearerEnvAuth(provider=command(["sh", "-c", "cat; echo abc"], timeout=10))) == "Bearer abc"
    finally:
        os.dup2(kept, 0)
        for descriptor in (reading, writing, kept):
            os.close(descriptor)


def test_16_kib_are_not_too_much() -> None:
    """As with a file."""
    assert len(command(["head", "-c", "16384", "/dev/zero"])()) == 16384


def test_the_default_timeout_is_30_seconds() -> None:
    """And the largest one is what a thread can wait."""
    assert command(["op"]) == command(["op"], timeout=30)
    assert command(["op"], timeout=threading.TIMEOUT_MAX) != command(["op"])


def test_its_standard_error_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """Who can say what a program prints there."""
    authorized(BearerEnvAuth(provider=command(["sh", "-c", f"echo {KEY} >&2; echo abc"])))
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it runs leaves nothing behind."""
    processes: list[subprocess.Popen[Any]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        processes.append(popen(*arguments, **options))
        return processes[-1]

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr("select.poll", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        command(["sleep", "60"])()
    assert processes[0].returncode == -9
    shown = [repr(frame.f_locals) for frame, _ in traceback.walk_tb(caught.tb)]
    assert any("'output': <output>" in text for text in shown), "what was printed until then hides itself"


def test_a_failure_outside_of_a_request_is_a_provider_error() -> None:
    """Called by hand it says the same."""
    with pytest.raises(ProviderError, match="command false failed with exit status 1"):
        command(["false"])()


def test_no_frame_shows_the_arguments() -> None:
    """Somebody who calls it by hand, as the message advises, may have locals printed."""
    with pytest.raises(ProviderError) as caught:
        command(["sh", "-c", "exit 3", KEY[:11]])()
    shown = [repr(value) for frame in caught.traceback[1:] for value in frame.locals.values()]
    assert any("command sh" in value for value in shown)
    assert not any(KEY[:11] in value for value in shown)


def test_arguments_are_not_shown() -> None:
    """Only the program is."""
    auth = BearerEnvAuth(provider=command(["/usr/bin/echo", KEY]))
    assert repr(auth) == "BearerEnvAuth(<provider command echo>)"
    assert repr(command(["/usr/bin/echo", KEY])) == "<command echo>"


def test_equal_commands_are_equal() -> None:
    """By arguments and timeout; so are the auth objects, and copies through a pickle."""
    one, same, other = command(["op", "read"]), command(("op", "read")), command(["op", "read"], timeout=10)
    assert one == same
    assert hash(one) == hash(same) != hash(other)
    assert one != other
    assert one != "op"
    assert pickle.loads(pickle.dumps(one)) == one
    assert (
        BearerEnvAuth(provider=one, ttl=5)
        == BearerEnvAuth(provider=same, ttl=5)
        != BearerEnvAuth(provider=other, ttl=5)
    )


@pytest.mark.parametrize("argv", ["op read", b"op", [b"op"], [5], 5])
def test_a_command_is_a_list_of_str(argv: Any) -> None:
    """A string would need a shell."""
    with pytest.raises(TypeError):
        command(argv)


@pytest.mark.parametrize("argv", [[], [""], ["a\0b"]])
def test_a_command_has_a_program(argv: list[str]) -> None:
    """Nothing, or what no system can start, is refused when it is made."""
    with pytest.raises(ValueError, match="the command has no program, or a NULL in it"):
        command(argv)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (0, ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        (1e300, ValueError),
        ("5", TypeError),
        (True, TypeError),
        (None, TypeError),
    ],
)
def test_a_timeout_is_positive_and_finite(timeout: Any, error: type[Exception]) -> None:
    """Every program has an end."""
    with pytest.raises(error, match="timeout= is"):
        command(["op"], timeout=timeout)
