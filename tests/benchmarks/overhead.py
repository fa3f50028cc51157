"""What BearerEnvAuth adds to the preparation of a request, compared with other classes.

Run ``python -m tests.benchmarks.overhead``. Every row is measured in the same run, in turns, and is shown
as a percentage of what `requests.Session.prepare_request` takes without an auth: only ratios can be compared
between machines. The rows "of which" are the parts of the row "variable", each alone. Peers that are
installed (requests-auth, requests-oauthlib, requests-oauth2client, env-http-auth) get rows, too. The exit
status is 1 if a row costs more than it may.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.credential import parse
from requests_bearer_env.retry import Retry

KEY = "sk-0123456789abcdefghijklmnopqrstuvwxyzABCD"
URL = "https://api.example/v1/completions"

#: How many times each row is measured, in turns, and with how many calls.
ROUNDS, CALLS = 100, 500


class HandWrittenEnv(AuthBase):
    """The shortest class that reads a variable."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        r.headers["Authorization"] = f"Bearer {os.environ['TGW_API_KEY']}"
        return r


class HandWrittenFile(AuthBase):
    """The shortest class that reads a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        with open(self.path) as file:
            r.headers["Authorization"] = f"Bearer {file.read().strip()}"
        return r


class Step(AuthBase):
    """One step of authorising a request, and nothing else."""

    def __init__(self, step: Callable[[requests.PreparedRequest], object]) -> None:
        self.step = step

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Perform the step."""
        self.step(r)
        return r


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        auth: What is measured.
        base: The row it is compared with; "prepare" is the preparation of a request without auth.
        most: The most it may cost, as a ratio to the base; None if there is no limit.
    """

    auth: AuthBase
    base: str = "prepare"
    most: float | None = None


#: Classes of other packages: module, name and arguments.
PEERS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "requests-auth": ("requests_auth", "HeaderApiKey", (f"Bearer {KEY}", "Authorization")),
    "requests-oauthlib": (
        "requests_oauthlib",
        "OAuth2",
        ("client", None, {"access_token": KEY, "token_type": "Bearer"}),
    ),
    "requests-oauth2client": ("requests_oauth2client", "BearerToken", (KEY,)),
    "env-http-auth": ("env_http_auth", "HTTPEnvAuth", ()),
}


def rows(path: str) -> dict[str, Row]:
    """Return the rows by name; ``path`` is a file with the key."""
    ten = [f"host{number}.example" for number in range(10)]
    auth = BearerEnvAuth("TGW_API_KEY")
    credential = auth.credential()
    peers = {
        title: Row(getattr(importlib.import_module(module), name)(*arguments))
        for title, (module, name, arguments) in PEERS.items()
        if importlib.util.find_spec(module)
    }
    return {
        "variable": Row(auth, "requests-oauthlib", 1.0) if "requests-oauthlib" in peers else Row(auth, "prepare", 0.04),
        "variable, of a request": Row(auth, "prepare", 0.04),
        "of which: where it may go": Row(Step(lambda r: auth.destination.check(r.url))),
        "of which: whether NAME_FILE is set": Row(Step(lambda r: os.getenv("TGW_API_KEY_FILE"))),
        "of which: the variable": Row(Step(lambda r: os.getenv("TGW_API_KEY", ""))),
        "of which: the check of the key": Row(Step(lambda r: parse(KEY, ""))),
        "of which: the hook": Row(Step(lambda r: Retry(auth, auth, r.url, credential, None))),
        "variable, hosts= of one": Row(BearerEnvAuth("TGW_API_KEY", hosts="api.example"), "prepare", 0.05),
        "variable, hosts= of ten and a wildcard": Row(BearerEnvAuth("TGW_API_KEY", hosts=[*ten, "*.example"])),
        "provider": Row(BearerEnvAuth(provider=lambda: KEY)),
        "provider, ttl=": Row(BearerEnvAuth(provider=lambda: KEY, ttl=3600), "prepare", 0.015),
        "file": Row(BearerEnvAuth(file=path), "file, by hand", 0.8),
        "MountedAuth of one": Row(MountedAuth({"https://api.example/": auth})),
        "variable, by hand": Row(HandWrittenEnv()),
        "file, by hand": Row(HandWrittenFile(path)),
        "HTTPBasicAuth": Row(HTTPBasicAuth("user", KEY)),
        **peers,
    }


def call(auth: AuthBase, request: requests.PreparedRequest) -> None:
    """Authorise a request whose hooks are as requests leaves them."""
    request.hooks = {"response": []}
    auth(request)


def best(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the least seconds for a call of each, measured in turns so that a disturbance affects all of them."""
    least = dict.fromkeys(works, float("inf"))
    gc.disable()
    for _ in range(ROUNDS):
        for name, work in works.items():
            work()  # fills the processor's caches, which the work before it has used
            start = time.perf_counter()
            for _ in range(CALLS):
                work()
            least[name] = min(least[name], (time.perf_counter() - start) / CALLS)
    gc.enable()
    return least


def main() -> None:
    """Measure, and print the table."""
    os.environ["TGW_API_KEY"] = KEY
    request = requests.Request("POST", URL, json={"prompt": "Once upon a time"})
    with tempfile.TemporaryDirectory() as folder, requests.Session() as session:
        session.trust_env = False
        path = Path(folder, "key")
        path.write_text(KEY + "\n")
        table = rows(str(path))
        prepared = request.prepare()
        works: dict[str, Callable[[], object]] = {
            "prepare": lambda: session.prepare_request(request),
            "nothing": functools.partial(call, Step(lambda r: None), prepared),
        }
        for name, row in table.items():
            works[name] = functools.partial(call, row.auth, prepared)
        seconds = best(works)
    cost = {name: seconds[name] - seconds["nothing"] for name in works} | {"prepare": seconds["prepare"]}
    print(f"prepare_request without auth: {seconds['prepare'] * 1e6:.1f} microseconds")
    print("\n| what | % of it | compared with | ratio | at most |\n| --- | ---: | --- | ---: | ---: |")
    worst = 0
    for name, (_, base, most) in table.items():
        ratio = cost[name] / cost[base]
        worst += most is not None and ratio > most
        limit = "" if most is None else f"{most:.3f}"
        print(f"| {name} | {100 * cost[name] / cost['prepare']:.2f} | {base} | {ratio:.3f} | {limit} |")
    if worst:
        sys.exit(f"{worst} of them cost more than they may")


if __name__ == "__main__":
    main()
