"""A long run: many threads that share auth objects, a key that is rotated all the time, a provider that fails.

Run ``python -m tests.benchmarks.soak --requests 100000``. The server is a process of its own, on
loopback, over TLS. It accepts the current key and the one before, and makes a new one every 50 ms, which
it stores in three files: by rename, in place, and by remove and create. A provider reads the first file,
fails for a tenth of its calls, and its key is cached for a second. No request may fail, no key may be sent
that never was valid, and memory and file descriptors must not grow. The figures are printed as a table.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import multiprocessing
import os
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests

from requests_bearer_env import BearerEnvAuth, KeySourceError
from requests_bearer_env.demo.server import Authority, Reply, Request, Server

#: Seconds between rotations.
INTERVAL = 0.05


class Figures(NamedTuple):
    """What a run has measured."""

    seconds: float
    rotations: int
    outcomes: Counter[str]
    retries: int
    wrong: int
    memory: list[int]
    descriptors: list[int]

    def problems(self) -> list[str]:
        """List the figures that are not as they must be."""
        found: list[str] = []
        if set(self.outcomes) - {"200"}:
            found.append(f"lost requests: {dict(self.outcomes)}")
        if self.wrong:
            found.append(f"{self.wrong} requests with a key that never was valid")
        if self.memory[-1] > self.memory[0] * 1.1 + 4096:
            found.append(f"memory grew from {self.memory[0]} to {self.memory[-1]} KiB")
        if self.descriptors[-1] > self.descriptors[0] + 2:
            found.append(f"descriptors grew from {self.descriptors[0]} to {self.descriptors[-1]}")
        return found


def insist(change: Callable[[], object]) -> None:
    """Change a file, and retry while Windows refuses that because a reader has the file open."""
    while True:
        with contextlib.suppress(PermissionError):
            change()
            return
        time.sleep(0.001)


def serve(folder: str, channel: Any, interval: float) -> None:
    """Serve and rotate the key until told to stop, in a process of its own."""
    directory = Path(folder)
    authority = Authority()
    authority.save(directory / "ca.pem")
    accepted = ["", ""]
    known: set[str] = set()
    wrong = 0

    def app(request: Request) -> Reply:
        nonlocal wrong
        key = str(request.headers.get("Authorization")).removeprefix("Bearer ")
        wrong += key not in known
        return Reply(200 if key in accepted else 401)

    def rotate() -> None:
        key = secrets.token_urlsafe(24)
        known.add(key)
        accepted[:] = [key, accepted[0]]
        (directory / "new").write_text(key)
        insist(lambda: os.replace(directory / "new", directory / "renamed"))
        insist(lambda: (directory / "rewritten").write_text(key))
        insist(lambda: (directory / "recreated").unlink(missing_ok=True))
        insist(lambda: (directory / "recreated").write_text(key))

    rotate()
    rotations = 1
    with Server(app, authority.context("localhost")) as server:
        channel.send(server.url())
        while not channel.poll(interval):
            rotate()
            rotations += 1
            server.seen.clear()
        channel.send((rotations, wrong))
        channel.recv()


def auths(directory: Path) -> list[BearerEnvAuth]:
    """Make the auth objects that all threads share."""

    def vault() -> str:
        if random.random() < 0.1:
            raise OSError("the vault is sealed")
        return (directory / "renamed").read_text()

    return [
        BearerEnvAuth(file=directory / "renamed"),
        BearerEnvAuth(file=directory / "rewritten", hosts="localhost"),
        BearerEnvAuth(file=directory / "recreated"),
        BearerEnvAuth(provider=vault, ttl=1),
    ]


def call(session: requests.Session, url: str, auth: BearerEnvAuth, retries: list[int]) -> str:
    """Send one request, again while the provider fails; return its outcome."""
    while True:
        try:
            response = session.get(url, auth=auth, timeout=30)
        except KeySourceError:
            continue
        except requests.RequestException as error:
            return type(error).__name__
        if response.history:
            retries.append(1)
        # The provider may have failed after the refusal, which the log says.
        if response.status_code == 401 and "provider" in repr(auth.sources):
            continue
        return str(response.status_code)


def memory() -> int:
    """Return the resident memory in KiB; 0 on systems other than Linux, which have no /proc."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def open_descriptors() -> int:
    """Return the number of open file descriptors; 0 on systems other than Linux."""
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


def run(total: int, threads: int, interval: float = INTERVAL, *, patience: float = 0) -> Figures:
    """Send a number of requests from a number of threads, and more until one was sent twice or patience ends."""
    spawn = multiprocessing.get_context("spawn")
    outcomes: Counter[str] = Counter()
    retries: list[int] = []
    sizes: list[int] = []
    descriptors: list[int] = []
    lock = threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        connection, remote = spawn.Pipe()
        process = spawn.Process(target=serve, args=(folder, remote, interval))
        process.start()
        remote.close()  # otherwise recv() would not notice that the process has ended
        url = connection.recv()
        shared = auths(Path(folder))

        def work(number: int) -> None:
            with requests.Session() as session:
                session.trust_env = False
                session.verify = str(Path(folder, "ca.pem"))
                for count in itertools.count():
                    if count >= total // threads and (retries or time.perf_counter() - start > patience):
                        break
                    outcome = call(session, url, shared[(number + count) % len(shared)], retries)
                    with lock:
                        outcomes[outcome] += 1
                        if outcomes.total() % max(1, total // 10) == 0:
                            sizes.append(memory())
                            descriptors.append(open_descriptors())

        start = time.perf_counter()
        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - start
        connection.send("stop")
        rotations, wrong = connection.recv()
        connection.send("thanks")
        process.join()
        connection.close()
    # Pools and caches are filled in the first tenth, and threads end in the last one.
    return Figures(
        seconds, rotations, outcomes, len(retries), wrong, sizes[1:-1] or sizes, descriptors[1:-1] or descriptors
    )


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=64)
    options = parser.parse_args()
    logging.getLogger("requests_bearer_env").addHandler(logging.NullHandler())
    figures = run(options.requests, options.threads)
    print("| what | figure |\n| --- | ---: |")
    print(f"| requests | {figures.outcomes.total()} |")
    print(f"| threads | {options.threads} |")
    print(f"| seconds | {figures.seconds:.0f} |")
    print(f"| rotations | {figures.rotations} |")
    print(f"| outcomes | {dict(figures.outcomes)} |")
    print(f"| sent once more after a 401 | {figures.retries} |")
    print(f"| wrong keys sent | {figures.wrong} |")
    print(f"| memory, KiB | {figures.memory[0]} to {figures.memory[-1]} |")
    print(f"| descriptors | {figures.descriptors[0]} to {figures.descriptors[-1]} |")
    if figures.problems():
        sys.exit("; ".join(figures.problems()))


if __name__ == "__main__":
    main()
