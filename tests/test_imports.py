"""What importing the package brings along, and in which direction its modules import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import requests_bearer_env

PACKAGE = Path(requests_bearer_env.__file__).parent

#: The layers, lowest first: a module imports only from its own layer, or from layers before it in this list.
LAYERS = (
    "errors",
    "challenge",
    "mistakes",
    "platforms",
    "credential",
    "destination",
    "cleaning",
    "sources",
    "replay",
    "advice",
    "retry",
    "auth",
    "prefix",
    "mounts",
    "doctor",
    "demo",
    "httpie",
    "__init__",
    "__main__",
)


def module_name(path: Path) -> str:
    """The name of a module in the package: ``doctor.report``, or ``doctor`` for its ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name: str) -> set[str]:
    """The modules of the package that a module imports anywhere, for type checkers, too."""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        elif (node.module or "").split(".")[0] == "requests_bearer_env":
            base = (node.module or "").split(".")[1:]
        else:
            continue
        dotted = ".".join(filter(None, base)).removeprefix("__init__").removeprefix(".")
        names = {f"{dotted}.{alias.name}".removeprefix(".") for alias in node.names}
        modules = {candidate for candidate in names if candidate in MODULES}
        found |= modules or {dotted or "__init__"}
    return found - {name}


def test_every_module_has_a_layer() -> None:
    """A new module has its place in the list, and no name in the list is stale."""
    assert {name.split(".")[0] for name in MODULES} == set(LAYERS)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_no_higher_layer(name: str) -> None:
    """Imports go one way, those for type checkers included."""
    layer = LAYERS.index(name.split(".", maxsplit=1)[0])
    assert {other for other in imported(name) if LAYERS.index(other.split(".")[0]) > layer} == set()


def test_no_modules_import_each_other() -> None:
    """No circle exists within a layer either."""
    left = {name: {other for other in imported(name) if other in MODULES} for name in MODULES}
    while done := [name for name, needed in left.items() if not needed & set(left)]:
        for name in done:
            del left[name]
    assert left == {}


def test_imports_are_seen() -> None:
    """Without this, the tests above would pass if `imported` found nothing."""
    assert {"errors", "sources", "retry"} <= imported("auth")
    assert "sources.base" in imported("sources.env")
    assert "mounts" in imported("__init__")


#: Prints a line for each import: what it loads on top of those before it.
LOADED = """\
import sys
for code in sys.argv[1:]:
    before = set(sys.modules)
    exec(code)
    print(*set(sys.modules) - before)
"""


def loaded_by(*imports: str) -> list[set[str]]:
    """The modules that each import loads, one after the other in a new process."""
    words = [sys.executable, "-c", LOADED, *imports]
    result = subprocess.run(words, capture_output=True, check=True, text=True)
    return [set(line.split()) for line in result.stdout.splitlines()]


def test_import_loads_only_what_a_request_needs() -> None:
    """Importing the package loads what a request needs; the doctor and others are loaded when they are used."""
    names = "from requests_bearer_env import MountedAuth, command"
    _, loaded, by_name = loaded_by("import requests", "import requests_bearer_env", names)
    layers = ("__main__", "advice", "cleaning", "demo", "doctor", "httpie", "mistakes", "mounts", "prefix")
    late = *layers, "sources.cache", "sources.command"
    assert set(late) <= MODULES.keys()
    assert not {f"requests_bearer_env.{name}" for name in late} & loaded
    assert not {"argparse", "ctypes", "subprocess", "trustme", "http.server", "unicodedata"} & loaded
    assert {"requests_bearer_env.mounts", "requests_bearer_env.sources.command"} <= by_name
