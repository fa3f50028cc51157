"""What the tests share: an environment without this machine's settings, a CA, servers, a key."""

from __future__ import annotations

import ctypes
import functools
import os
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, settings

from requests_bearer_env.demo.server import Authority, Reply, Request, Server
from tests.helpers import KEY, Proxy, Serve

# No deadline, because examples are slow on a busy machine.
settings.register_profile("here", deadline=None, max_examples=30)
# For a long run: ``pytest --hypothesis-profile=long``.
settings.register_profile("long", deadline=None, max_examples=300_000, suppress_health_check=list(HealthCheck))
settings.load_profile("here")


#: Where the tests of a marker are skipped; its argument says what they need.
_WINDOWS = os.name == "nt"
_SKIPPED = {
    "posix": _WINDOWS,
    "windows": not _WINDOWS,
    "wine": _WINDOWS and hasattr(vars(ctypes)["WinDLL"]("ntdll"), "wine_get_version"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this system cannot do."""
    for name, skipped in _SKIPPED.items():
        marker = item.get_closest_marker(name)
        if skipped and marker is not None:
            pytest.skip(f"{name}: {marker.args[0]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped by marker and reason."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    counts = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    for name in _SKIPPED:
        ours = {reason: count for reason, count in sorted(counts.items()) if reason.startswith(f"{name}: ")}
        if ours:
            listed = ", ".join(f"{reason.partition(': ')[2]} {count}" for reason, count in ours.items())
            terminalreporter.line(f"{sum(ours.values())} skipped by marker {name}: {listed}")


@pytest.fixture(scope="session", autouse=True)
def _bare_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the proxies, the netrc and the keys of the machine that runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name.startswith(("BEARER_TOKEN", "TGW_")):
                patch.delenv(name)
        for name in ("CURL_CA_BUNDLE", "NETRC", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"):
            patch.delenv(name, raising=False)
        # A home that does not exist, so that no test leaves something there for another one.
        _set_home(patch, str(tmp_path_factory.getbasetemp() / "no-home"))
        yield


def _set_home(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Set the user's home, as POSIX and Windows name it."""
    monkeypatch.setenv("HOME", path)
    monkeypatch.setenv("USERPROFILE", path)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home, for a test that puts something there."""
    path = tmp_path / "home"
    path.mkdir()
    _set_home(monkeypatch, str(path))
    return path


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The authority that the servers' certificates come from."""
    return Authority()


@pytest.fixture(scope="session")
def ca(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the authority's certificate, for ``verify=``."""
    return authority.save(tmp_path_factory.mktemp("authority") / "ca.pem")


@pytest.fixture(scope="session")
def _context(authority: Authority) -> Callable[..., ssl.SSLContext]:
    """A context for the names of a certificate, made once: making a key and a certificate takes some milliseconds."""
    return functools.cache(authority.context)


@pytest.fixture
def serve(_context: Callable[..., ssl.SSLContext]) -> Iterator[Serve]:
    """Start servers that are closed after the test: ``serve(app)``, ``serve(app, tls=False)``."""
    with ExitStack() as stack:

        def start(
            app: Callable[[Request], Reply],
            *,
            tls: bool = True,
            names: tuple[str, ...] = ("localhost", "127.0.0.1"),
            not_after: datetime | None = None,
        ) -> Server:
            context = _context(*names, not_after=not_after) if tls else None
            return stack.enter_context(Server(app, context))

        yield start


@pytest.fixture
def session(ca: str) -> Iterator[requests.Session]:
    """A session that trusts the authority."""
    with requests.Session() as session:
        session.verify = ca
        yield session


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A forward proxy."""
    with Proxy() as proxy:
        yield proxy


@pytest.fixture
def key_env(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a variable that holds the key."""
    monkeypatch.setenv("TGW_API_KEY", KEY)
    return "TGW_API_KEY"
