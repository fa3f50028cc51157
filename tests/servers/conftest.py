"""Starts servers once per module, and prints what they answered when all tests are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.servers.support import Files, Site, Start, Table, free_port, running

pytest.register_assert_rewrite("tests.servers.contract")

_TABLE = pytest.StashKey[Table]()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The certificates of this run."""
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def ca(files: Files) -> str:
    """What the fixture ``session`` trusts: the authority of this run."""
    return files.ca


@pytest.fixture(scope="module")
def start(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start servers that are stopped after the module: ``start(lambda port: [...])``."""
    with ExitStack() as stack:

        def begin(
            arguments: Callable[[int], Sequence[str]], *, tls: bool = True, patience: float = 60, **variables: str
        ) -> Site:
            port = free_port()
            site = Site(f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}", files.ca)
            directory = tmp_path_factory.mktemp("server")
            return stack.enter_context(running(arguments(port), site, directory, variables, patience))

        yield begin


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the table."""
    config.stash[_TABLE] = {}


@pytest.fixture
def table(pytestconfig: pytest.Config) -> Table:
    """What was seen of each server with each key, for the table at the end."""
    return pytestconfig.stash[_TABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table in Markdown."""
    table = config.stash[_TABLE]
    if not table:
        return
    terminalreporter.section("each server with each key")
    header = ("server", "key", "status of GET", "line of check", "exit status")
    rows = [(*names, row.status, row.line, row.exit_status) for names, row in table.items()]
    for cells in (header, ("---",) * len(header), *rows):
        terminalreporter.write_line(f"| {' | '.join(cells)} |")
