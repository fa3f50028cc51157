"""Tests of programs whose threads are greenlets; the modules about gevent and eventlet inherit them."""

from __future__ import annotations

import io
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from requests.adapters import HTTPAdapter

from requests_bearer_env import BearerEnvAuth, KeySourceError, command
from requests_bearer_env.demo.server import Reply, Request, Server
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, Serve, Vault, authorizations, authorized, keyed, statuses

#: Seconds after which a test that hangs fails.
PATIENCE = 30

GREENLETS = 200
PROGRAMS = 20

#: Python warns of the thread in which gevent resolves names; eventlet warns of every fork.
FORKS = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning",
    "ignore:Using fork\\(\\) is a bad idea:DeprecationWarning",
)


class Gate:
    """A provider whose first call waits until the test opens the gate; the next ones return another key."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls > 1:
            return OTHER_KEY
        self.reached.set()
        assert self.opened.wait(PATIENCE)
        return KEY


class Crowd:
    """Blocks greenlets until a given number of them has arrived."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._complete = threading.Event()

    def arrive(self) -> None:
        """Count one more."""
        self._missing -= 1
        if self._missing == 0:
            self._complete.set()

    def wait(self) -> None:
        """Return when all have arrived."""
        assert self._complete.wait(PATIENCE)


class Leash:
    """A named pipe that ends when the programs that write to it have ended."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "leash")
        os.mkfifo(self.path)
        self._file = io.FileIO(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))

    def command(self, timeout: float) -> Callable[[], bytes]:
        """A provider whose program starts another one, which says ``begun`` and never ends."""
        script = '(echo begun; exec sleep 600) >"$0" & wait'
        return command(["sh", "-c", script, self.path], timeout=timeout)

    def wait(self, what: Callable[[bytes | None], bool]) -> None:
        """Read until ``what`` accepts a piece: bytes, b"" when no program is left, None if there is nothing to read."""
        deadline = time.monotonic() + PATIENCE
        # Eventlet replaces os.read() with a function that waits for data.
        while not what(self._file.read()):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def close(self) -> None:
        """Close the reading end."""
        self._file.close()


class GreenletContract(ABC):
    """Tests of a library that replaces threads with greenlets, and blocking calls with ones that switch greenlets."""

    #: The library, whose name the module of the patched classes begins with.
    library: ClassVar[str]

    @abstractmethod
    def spawn(self, function: Callable[[], Any]) -> Any:
        """Start a greenlet."""

    @abstractmethod
    def wait(self, greenlet: Any) -> Any:
        """Return what a greenlet returned, or raise what it raised, or fail after `PATIENCE`."""

    @abstractmethod
    def kill(self, greenlet: Any) -> None:
        """Raise the library's own exception in a greenlet."""

    @pytest.fixture
    def leash(self, tmp_path: Path) -> Any:
        """A `Leash`."""
        leash = Leash(tmp_path)
        yield leash
        leash.close()

    def test_blocking_calls_are_patched(self) -> None:
        """If they were not patched, the tests below would test threads."""
        for patched in (socket.socket, ssl.SSLContext, subprocess.Popen, time.sleep, type(threading.Lock())):
            assert patched.__module__.startswith(self.library)

    def test_200_refused_at_once_ask_once(self, serve: Serve, ca: str) -> None:
        """The first refused greenlet calls the provider, which returns after all others were refused, too."""
        arrived, refused = Crowd(GREENLETS), Crowd(GREENLETS)

        def app(request: Request) -> Reply:
            if request.headers["Authorization"] == OLD:
                arrived.arrive()
                arrived.wait()
                return Reply(401)
            return Reply(200)

        calls = 0

        def provider() -> str:
            nonlocal calls
            calls += 1
            if calls == 1:
                return KEY
            refused.wait()
            return OTHER_KEY

        class Adapter(HTTPAdapter):
            """Counts refusals before any hook sees them."""

            def send(self, *arguments: Any, **options: Any) -> requests.Response:
                """Send a request."""
                response = super().send(*arguments, **options)
                if response.status_code == 401:
                    refused.arrive()
                return response

        def request() -> list[int]:
            with requests.Session() as session:
                session.mount("https://", Adapter())
                return statuses(session.get(server.url(), auth=auth, verify=ca, timeout=PATIENCE))

        server = listening(serve(app))
        auth = BearerEnvAuth(provider=provider, ttl=3600)
        greenlets = [self.spawn(request) for _ in range(GREENLETS)]
        assert [self.wait(greenlet) for greenlet in greenlets] == [[401, 200]] * GREENLETS
        assert calls == 2
        assert sorted(map(str, authorizations(server))) == sorted([OLD, NEW] * GREENLETS)

    def test_200_wait_for_one_call(self) -> None:
        """One greenlet calls the provider, and the others share the outcome."""
        gate = Gate()
        auth = BearerEnvAuth(provider=gate, ttl=3600)
        started = Crowd(GREENLETS)

        def ask() -> str:
            started.arrive()
            return authorized(auth)

        greenlets = [self.spawn(ask) for _ in range(GREENLETS)]
        started.wait()
        gate.opened.set()
        assert {self.wait(greenlet) for greenlet in greenlets} == {OLD}
        assert gate.calls == 1

    def test_killed_while_asking_another_asks(self) -> None:
        """A kill of the greenlet that calls the provider is no outcome for those that wait."""
        gate = Gate()
        auth = BearerEnvAuth(provider=gate, ttl=3600)
        asking = self.spawn(lambda: authorized(auth))
        assert gate.reached.wait(PATIENCE)
        started = Crowd(1)

        def ask() -> str:
            started.arrive()
            return authorized(auth)

        waiting = self.spawn(ask)
        started.wait()
        self.kill(asking)
        assert self.wait(waiting) == NEW
        assert gate.calls == 2

    @pytest.mark.parametrize("ttl", [None, 3600])
    def test_rotated_key_is_sent_once_more(self, serve: Serve, ca: str, ttl: float | None) -> None:
        """The retry goes over TLS, and has the body of the first request."""
        server = serve(keyed(OTHER_KEY))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=ttl)
        response = self.wait(self.spawn(lambda: requests.post(server.url(), b"body", auth=auth, verify=ca)))
        assert statuses(response) == [401, 200]
        assert authorizations(server) == [OLD, NEW]
        assert [request.body for request in server.seen] == [b"body"] * 2

    def test_rotated_file_counts_at_once(self, serve: Serve, ca: str, tmp_path: Path) -> None:
        """The file is read before a request, and between a refusal and the retry."""
        path = tmp_path / "key"
        path.write_text(KEY)
        auth = BearerEnvAuth(file=path)
        assert authorized(auth) == OLD
        replies = [Reply(401), Reply(200)]

        def app(request: Request) -> Reply:
            path.write_text(OTHER_KEY)
            return replies.pop(0)

        server = serve(app)
        assert statuses(requests.get(server.url(), auth=auth, verify=ca)) == [401, 200]
        assert authorizations(server) == [OLD, NEW]

    @pytest.mark.parametrize("before", ["removed", "blank"])
    def test_file_is_back_after_a_pause(self, tmp_path: Path, before: str) -> None:
        """During the pauses between two readings, the greenlet runs that writes the file."""
        path = tmp_path / "key"
        if before == "blank":
            path.touch()
        writing = self.spawn(lambda: path.write_text(KEY))
        assert authorized(BearerEnvAuth(file=path)) == OLD
        self.wait(writing)

    @FORKS
    def test_forked_child_asks_itself(self) -> None:
        """The child does not wait for the greenlet that calls the provider in the parent."""
        gate = Gate()
        auth = BearerEnvAuth(provider=gate, ttl=3600)
        asking = self.spawn(lambda: authorized(auth))
        assert gate.reached.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            signal.alarm(PATIENCE)
            status = 2
            try:
                status = 0 if authorized(auth) == NEW else 1
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        gate.opened.set()
        assert self.wait(asking) == OLD

    @FORKS
    def test_forked_child_runs_a_program(self) -> None:
        """The library watches child processes in the parent only."""
        child = os.fork()
        if child == 0:
            signal.alarm(PATIENCE)
            status = 2
            try:
                status = 0 if command(["echo", "abc"])() == b"abc\n" else 1
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0

    def test_printed_key_is_sent(self, serve: Serve, ca: str) -> None:
        """The patched calls return a program's output unaltered."""
        server = serve(keyed(KEY))
        auth = BearerEnvAuth(provider=command([sys.executable, "-ISc", f"print({KEY!r})"]))
        assert requests.get(server.url(), auth=auth, verify=ca).status_code == 200

    @pytest.mark.parametrize(
        ("script", "problem"),
        [
            ("exit 3", "command sh failed with exit status 3: run it by hand to see why"),
            ("kill -9 $$", "command sh was ended by signal 9: run it by hand to see why"),
            ("yes", "command sh printed more than 16384 bytes: run it by hand to see why"),
        ],
    )
    def test_failed_program_raises(self, script: str, problem: str) -> None:
        """The exit status is known, although the library itself waits for child processes."""
        with pytest.raises(KeySourceError) as caught:
            authorized(BearerEnvAuth(provider=command(["sh", "-c", script])))
        assert str(caught.value) == problem

    def test_time_out_ends_the_process_group(self, leash: Leash) -> None:
        """The programs that the program has started end, too."""
        with pytest.raises(KeySourceError, match="command sh did not finish within 2 s"):
            authorized(BearerEnvAuth(provider=leash.command(timeout=2)))
        leash.wait(lambda piece: piece == b"begun\n")
        leash.wait(lambda piece: piece == b"")

    def test_killed_greenlet_ends_its_program(self, leash: Leash) -> None:
        """A time-out around the request leaves no program running."""
        greenlet = self.spawn(leash.command(timeout=600))
        leash.wait(lambda piece: piece == b"begun\n")
        self.kill(greenlet)
        leash.wait(lambda piece: piece == b"")

    def test_others_go_on_while_a_program_runs(self, tmp_path: Path) -> None:
        """The program ends only after another greenlet has run."""
        go = tmp_path / "go"
        script = 'until test -e "$0"; do sleep 0.01; done; echo abc'
        running = self.spawn(command(["sh", "-c", script, str(go)], timeout=PATIENCE))
        self.wait(self.spawn(go.touch))
        assert self.wait(running) == b"abc\n"

    def test_20_programs_run_at_once(self, tmp_path: Path) -> None:
        """Each program ends only after all have started, and each greenlet gets its program's output."""
        script = 'touch "$1"; until test "$(ls | wc -l)" -eq "$2"; do sleep 0.05; done; echo "$1"'

        def provider(number: int) -> Callable[[], bytes]:
            arguments = ["sh", "-c", f'cd "$0"; {script}', str(tmp_path / "started"), str(number), str(PROGRAMS)]
            return command(arguments, timeout=PATIENCE)

        (tmp_path / "started").mkdir()
        greenlets = [self.spawn(provider(number)) for number in range(PROGRAMS)]
        assert [self.wait(greenlet) for greenlet in greenlets] == [b"%d\n" % number for number in range(PROGRAMS)]


def listening(server: Server) -> Server:
    """Let a server's queue hold all connections at once; with a queue of 5, retries would take seconds."""
    server.socket.listen(GREENLETS)
    return server
