"""What BearerEnvAuth adds to whole requests, to the import of requests, and to calls from many threads.

Run ``python -m tests.benchmarks.whole``. All ratios are measured in one run, in turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import requests
from requests.auth import AuthBase

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Authority, Reply, Server
from tests.benchmarks.overhead import KEY, URL, HandWrittenEnv


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, measured in turns so that a disturbance affects all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(spent) for name, spent in times.items()}


def requests_on_loopback(rounds: int) -> dict[str, float]:
    """Send small requests over TLS on a connection that is kept."""
    authority = Authority()
    kinds: dict[str, AuthBase | None] = {
        "no auth": None,
        "by hand": HandWrittenEnv(),
        "variable": BearerEnvAuth("TGW_API_KEY"),
        "variable, hosts=": BearerEnvAuth("TGW_API_KEY", hosts="localhost"),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(lambda _: Reply(200), authority.context("localhost")) as server,
        requests.Session() as session,
    ):
        session.verify = authority.save(Path(folder, "ca.pem"))
        session.trust_env = False
        works = {name: _getter(session, server.url(), auth) for name, auth in kinds.items()}
        return in_turns(works, rounds)


def _getter(session: requests.Session, url: str, auth: AuthBase | None) -> Callable[[], object]:
    return lambda: session.get(url, auth=auth)


def imports(rounds: int) -> dict[str, float]:
    """Compare a Python that imports requests with one that also imports this package."""
    return in_turns({name: _importer(name) for name in ("requests", "requests, requests_bearer_env")}, rounds)


def _importer(names: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", f"import {names}"], check=True)


def among_threads(threads: int, calls: int) -> dict[str, float]:
    """Spread calls of one shared object over threads; return the seconds of a call."""
    kinds: dict[str, AuthBase] = {
        "by hand": HandWrittenEnv(),
        "variable": BearerEnvAuth("TGW_API_KEY"),
        "provider, ttl=": BearerEnvAuth(provider=lambda: KEY, ttl=3600),
    }
    works = {name: _spread(auth, threads, calls) for name, auth in kinds.items()}
    return {name: seconds / calls for name, seconds in in_turns(works, 5).items()}


def _spread(auth: AuthBase, threads: int, calls: int) -> Callable[[], None]:
    def work() -> None:
        request = requests.Request("GET", URL).prepare()
        for _ in range(calls // threads):
            request.hooks = {"response": []}
            auth(request)

    def run() -> None:
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return run


def table(title: str, figures: dict[str, float], unit: str, scale: float) -> None:
    """Print figures with their ratio to the first one."""
    base = next(iter(figures.values()))
    print(f"\n| {title} | {unit} | ratio |\n| --- | ---: | ---: |")
    for name, figure in figures.items():
        print(f"| {name} | {figure * scale:.2f} | {figure / base:.3f} |")


def main() -> None:
    """Measure, and print the tables."""
    os.environ["TGW_API_KEY"] = KEY
    table("whole request, loopback, TLS", requests_on_loopback(2000), "microseconds", 1e6)
    table("a Python that imports", imports(40), "milliseconds", 1e3)
    for threads in (1, 8, 64):
        table(f"a call, {threads} threads", among_threads(threads, 64_000), "microseconds", 1e6)


if __name__ == "__main__":
    main()
