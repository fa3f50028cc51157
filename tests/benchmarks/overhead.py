"""What BearerEnvAuth costs in the path of a request, beside the shortest classes written by hand.

Run ``python -m tests.benchmarks.overhead`` (with ``--fast`` for a first look). It prints a table of
ratios, all measured in one run: only these can be compared between machines. The rows "of which"
are the parts of the row "variable", each alone: what it cannot go below. Peers that are installed
(requests-auth, requests-oauthlib, requests-oauth2client, env-http-auth) get rows, too.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyperf
import requests
from requests.auth import AuthBase, HTTPBasicAuth

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.credential import parse
from requests_bearer_env.retry import Retry
from requests_bearer_env.sources.base import EnvSource

KEY = "sk-0123456789abcdefghijklmnopqrstuvwxyzABCD"
URL = "https://api.example/v1/completions"


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
    """One of the things that authorising a request takes, and nothing else."""

    def __init__(self, step: Callable[[requests.PreparedRequest], object]) -> None:
        self.step = step

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Do it."""
        self.step(r)
        return r


def look_up_file_variable(r: requests.PreparedRequest) -> object:
    """Whether the key is in a file: a variable that is not set, which os.environ answers by an exception."""
    return os.getenv("TGW_API_KEY_FILE")


def look_up_variable(r: requests.PreparedRequest) -> object:
    """The key."""
    return os.getenv("TGW_API_KEY", "")


def set_header(r: requests.PreparedRequest) -> None:
    """The header, into a dict that takes its name in any case."""
    r.headers["Authorization"] = KEY


def set_hook(r: requests.PreparedRequest) -> None:
    """The hook that answers a 401."""
    if r.hooks == {"response": []}:
        r.hooks = {"response": [Retry(None, r.url, None)]}


def provider() -> str:
    """Return the key."""
    return KEY


#: Name, the hand-written one it is compared with, and the most it may cost of that.
ROWS: list[tuple[str, str, float | None]] = [
    ("variable, by hand", "variable, by hand", None),
    ("HTTPBasicAuth", "variable, by hand", None),
    ("variable", "variable, by hand", 4.5),
    ("of which: nothing", "variable, by hand", None),
    ("of which: whether NAME_FILE is set", "variable, by hand", None),
    ("of which: the variable", "variable, by hand", None),
    ("of which: the check of the key", "variable, by hand", None),
    ("of which: the header", "variable, by hand", None),
    ("of which: the hook", "variable, by hand", None),
    ("variable, hosts= of one", "variable, by hand", 8),
    ("variable, hosts= of ten and a wildcard", "variable, by hand", 8),
    ("provider", "variable, by hand", None),
    ("provider, ttl=", "variable, by hand", 4.5),
    ("file, by hand", "file, by hand", None),
    ("file", "file, by hand", 1.2),
]


#: Other people's classes: module, name and arguments.
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


def peers() -> dict[str, Callable[[], AuthBase]]:
    """Those of them that are installed."""
    found: dict[str, Callable[[], AuthBase]] = {}
    for title, (module, name, arguments) in PEERS.items():
        if importlib.util.find_spec(module):
            kind: Any = getattr(importlib.import_module(module), name)
            found[title] = functools.partial(kind, *arguments)
    return found


def makers(path: str) -> dict[str, Callable[[], AuthBase]]:
    """How each row's auth is made."""
    source = EnvSource("TGW_API_KEY")
    ten = [f"host{number}.example" for number in range(10)]
    return {
        "variable, by hand": HandWrittenEnv,
        "HTTPBasicAuth": lambda: HTTPBasicAuth("user", KEY),
        "variable": lambda: BearerEnvAuth("TGW_API_KEY"),
        "of which: nothing": lambda: Step(lambda r: None),
        "of which: whether NAME_FILE is set": lambda: Step(look_up_file_variable),
        "of which: the variable": lambda: Step(look_up_variable),
        "of which: the check of the key": lambda: Step(lambda r: parse(KEY, source)),
        "of which: the header": lambda: Step(set_header),
        "of which: the hook": lambda: Step(set_hook),
        "variable, hosts= of one": lambda: BearerEnvAuth("TGW_API_KEY", hosts="api.example"),
        "variable, hosts= of ten and a wildcard": lambda: BearerEnvAuth("TGW_API_KEY", hosts=[*ten, "*.example"]),
        "provider": lambda: BearerEnvAuth(provider=provider),
        "provider, ttl=": lambda: BearerEnvAuth(provider=provider, ttl=3600),
        "file, by hand": lambda: HandWrittenFile(path),
        "file": lambda: BearerEnvAuth(file=path),
    }


def measure(loops: int, auth: AuthBase) -> float:
    """Seconds for that many calls; each time the request is as requests hands it over."""
    request = requests.Request("POST", URL, json={"prompt": "Once upon a time"}).prepare()
    bare = range(loops)
    start = pyperf.perf_counter()
    for _ in bare:
        request.hooks = {"response": []}
    empty = pyperf.perf_counter() - start
    start = pyperf.perf_counter()
    for _ in bare:
        request.hooks = {"response": []}
        auth(request)
    return max(float(pyperf.perf_counter() - start - empty), 1e-9)


def main() -> None:
    """Measure, and print the table."""
    os.environ["TGW_API_KEY"] = KEY
    runner = pyperf.Runner()
    worker = runner.parse_args().worker
    means: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "key")
        path.write_text(KEY + "\n")
        made = {**makers(str(path)), **peers()}
        rows = [*ROWS, *((name, ROWS[0][0], None) for name in peers())]
        for name, _, _ in rows:
            result = runner.bench_time_func(name, measure, made[name]())
            if result is not None and not worker:
                means[name] = result.median()
    if worker:
        return
    print("\n| what | microseconds | ratio | at most |\n| --- | ---: | ---: | ---: |")
    worst = 0
    for name, base, most in rows:
        ratio = means[name] / means[base]
        worst += most is not None and ratio > most
        print(f"| {name} | {means[name] * 1e6:.2f} | {ratio:.2f} | {most or ''} |")
    if worst:
        sys.exit(f"{worst} of them cost more than they may")


if __name__ == "__main__":
    main()
