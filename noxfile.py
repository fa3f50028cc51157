"""The suite on every supported Python and requests: ``nox``. CI runs ``nox -s types`` and ``nox -t ci servers-ci``.

A Python that the machine does not have is reported as skipped, which is not passed.
"""

from __future__ import annotations

import json
import os
import shutil
from glob import glob
from pathlib import Path

import nox
from nox.command import CommandFailed

# pyenv's shims find only the selected Pythons, so the directory of each installed one is put on the PATH.
_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
os.environ["PATH"] = os.pathsep.join([*map(str, sorted(_PYENV.glob("3.*/bin"))), os.environ["PATH"]])

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "niquests"]  # the others take longer or need other programs: name them with -s

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14", "3.15"]

#: Each with the newest urllib3 that it admits; the last one is whatever is newest.
REQUESTS = ["2.20.0", "2.25.1", "2.28.2", "2.31.0", "2.32.5", "2.33.1", "newest"]

#: The oldest, one in the middle and the newest, on the Python of their time.
CI = {("3.10", "2.20.0"), ("3.11", "2.31.0"), ("3.13", "newest")}

#: The suite's requirements, without the libraries of test_httpie.py and test_libraries.py.
TOOLS = ["hypothesis", "pytest", "pytest-xdist", "python-dotenv", "PyYAML", "requests-mock", "trustme"]

#: Clients built on requests, for tests/clients.
CLIENTS = ["dlt", "gql[requests]", "opensearch-py", "pyiceberg", "python-gitlab", "zeep"]

#: The code that makes the standard library use greenlets. It must run before other imports, because a module
#: that was imported earlier may keep functions that block.
GREENLETS = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}

#: What to install for each module in tests/servers.
SERVERS = {
    "fastapi": ["fastapi", "uvicorn"],
    "datasette": ["datasette", "datasette-auth-tokens"],
    "drf": ["djangorestframework"],
    "jupyter": ["jupyter_server"],
    "fastmcp": ["fastmcp"],
    "litellm": ["litellm[proxy]"],
}

#: The servers that CI can afford: each takes about a minute to install and to test.
LIGHT_SERVERS = {"fastapi", "datasette", "drf"}

#: The property tests of the three parsers: credential, host pattern, mount prefix.
PROPERTIES = [
    "tests/test_credential.py::test_visible_ascii_is_never_altered",
    "tests/test_credential.py::test_what_is_sent_is_a_well_formed_header",
    "tests/test_destination.py::test_an_exact_pattern_names_one_host",
    "tests/test_destination.py::test_a_wildcard_names_subdomains_only",
    "tests/test_destination.py::test_the_origin_is_what_requests_connects_to",
    "tests/test_prefix.py::test_a_match_holds_in_every_reading",
]

#: Warnings of old urllib3 releases on newer Pythons, which this package cannot prevent.
OLD_URLLIB3 = [
    "ignore:_SixMetaPathImporter:ImportWarning",
    "ignore:ssl.:DeprecationWarning",
    "ignore:datetime.datetime.utc:DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
]


def _possible(python: str, requests: str) -> bool:
    """Whether that release imports at all: urllib3 1.24 needs a module that Python 3.12 has removed."""
    return requests != "2.20.0" or python in {"3.10", "3.11"}


@nox.session
@nox.parametrize(
    ("python", "requests"),
    [
        nox.param(python, requests, tags=["ci"] if (python, requests) in CI else [])
        for python in PYTHONS
        for requests in REQUESTS
        if _possible(python, requests)
    ],
)
def tests(session: nox.Session, requests: str) -> None:
    """Run the suite; test_httpie.py and test_libraries.py need current libraries, and so the newest requests."""
    if requests == "newest":
        session.install("--upgrade", ".[test]", "requests")
        options: list[str] = []
    else:
        session.install(".", *TOOLS, f"requests=={requests}")
        options = [option for warning in OLD_URLLIB3 for option in ("-W", warning)]
        options += [f"--ignore=tests/integration/test_{name}.py" for name in ("httpie", "libraries")]
    session.run("python", "-m", "pip", "list", "--format=freeze")
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *options, *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Check the installed package as a user's type checker sees it: every public name needs an annotation."""
    session.install(".", "pyright[nodejs]")
    command = ["pyright", "--verifytypes", "requests_bearer_env", "--ignoreexternal", "--outputjson"]
    # In the checkout, pyright would check its folder instead of the installed package.
    with session.chdir(session.create_tmp()):
        report = session.run(*command, success_codes=[0, 1], silent=True)
    symbols = json.loads(report)["typeCompleteness"]["symbols"]
    session.log(f"{len(symbols)} symbols")
    if len(symbols) < 100:
        session.error("pyright has seen too few names: is the package installed?")
    unknown = [symbol["name"] for symbol in symbols if symbol["isExported"] and not symbol["isTypeKnown"]]
    # HTTPie has no types, so what derives from its class has none.
    unknown = [name for name in unknown if ".httpie." not in name]
    if unknown:
        session.error(f"these names need a type: {', '.join(unknown)}")


@nox.session(tags=["ci"])
def niquests(session: nox.Session) -> None:
    """Run the tests with niquests, whose urllib3-future takes the place of urllib3."""
    session.install(".", *TOOLS, "niquests")
    session.run("python", "-m", "pytest", "-q", "tests/environments/niquests_session.py", *session.posargs)


@nox.session
@nox.parametrize("release", [nox.param("3.13", id="3.13", tags=["ci"]), nox.param("3.10", id="3.10")])
def windows(session: nox.Session, release: str) -> None:
    """Run the suite, the demo and ``check`` on python.org's Python for Windows, under Wine.

    Everything is set up from nothing, from Debian's packages and PyPI.
    """
    problem = _why_no_wine(session)
    if problem:
        session.skip(f"the suite was not run on Windows' Python: {problem}")
    home, wheels = f"{session.create_tmp()}/windows", f"{session.create_tmp()}/wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={wheels}", ".")
    [wheel] = map(str, Path(wheels).glob("*.whl"))
    wine = ["python", "tests/environments/wine.py"]
    session.run(*wine, "install", release, home, wheel)
    options = ["-n", "auto", "-o", "faulthandler_timeout=300"]
    session.run(*wine, "run", home, "-m", "pytest", "-q", *options, *session.posargs)
    session.run(*wine, "run", home, "-m", "requests_bearer_env", "demo")
    session.run(*wine, "run", home, "-c", _CHECK)


#: Runs ``check`` with a key in the environment.
_CHECK = """
import os, subprocess, sys
os.environ["BEARER_TOKEN"] = "abc-0123456789-abcdef"
sys.exit(subprocess.call([sys.executable, "-m", "requests_bearer_env", "check"]))
"""


def _why_no_wine(session: nox.Session) -> str | None:
    """Install Wine if it is missing; say why if that cannot be done."""
    if shutil.which("wine"):
        return None
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return "Wine is missing, and only root can install it, from Debian's packages"
    try:
        session.run("apt-get", "update", "-qq", external=True, silent=True)
        packages = ["--no-install-recommends", "wine", "wine64"]
        session.run("apt-get", "install", "-qq", *packages, external=True, silent=True)
    except CommandFailed:
        return "apt-get cannot install Wine"
    return None


@nox.session
def distributed(session: nox.Session) -> None:
    """Run the tests with several processes: a Dask cluster on loopback, joblib and multiprocessing; 20 to 75 s."""
    session.install(".", *TOOLS, "distributed", "joblib")
    session.run("python", "-m", "pip", "list", "--format=freeze")
    session.run("python", "-m", "pytest", "-q", "tests/environments/distributed_session.py", *session.posargs)


def _run_greenlets(session: nox.Session, library: str) -> None:
    """Run pytest in a program that a library has patched."""
    session.install(".", *TOOLS, library)
    session.run("python", "-m", "pip", "list", "--format=freeze")
    program = f"{GREENLETS[library]}; import sys, pytest; sys.exit(pytest.main())"
    session.run("python", "-c", program, "-q", f"tests/environments/{library}_session.py", *session.posargs)


@nox.session
def gevent(session: nox.Session) -> None:
    """Run the tests under gevent, whose greenlets take the place of threads; 6 s of tests, 40 s in all."""
    _run_greenlets(session, "gevent")


@nox.session
def eventlet(session: nox.Session) -> None:
    """Run the tests under eventlet, as under gevent; 8 s of tests, 48 s in all."""
    _run_greenlets(session, "eventlet")


def _run_where_found(session: nox.Session, names: list[str], what: str) -> None:
    """Run the suite with the first interpreter that pyenv or the PATH has, or say that there is none."""
    path = os.pathsep.join([*map(str, sorted(_PYENV.glob("*/bin"))), os.environ["PATH"]])
    interpreter = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    if interpreter is None:
        session.skip(f"no {what} was found ({', '.join(names)})")
    environment = os.path.join(session.create_tmp(), "venv")
    session.run(interpreter, "-m", "venv", "--clear", environment, external=True)
    python = shutil.which("python", path=os.pathsep.join([f"{environment}/bin", f"{environment}/Scripts"]))
    session.run(python, "-m", "pip", "install", "--quiet", ".", *TOOLS, external=True)
    session.run(python, "-VV", external=True)
    ignored = [f"--ignore=tests/integration/test_{name}.py" for name in ("httpie", "libraries")]
    session.run(python, "-m", "pytest", "-q", *ignored, *session.posargs, external=True)


@nox.session(venv_backend="none")
def pypy(session: nox.Session) -> None:
    """Run the suite on PyPy, if it is found, without test_httpie.py and test_libraries.py."""
    _run_where_found(session, ["pypy3.11", "pypy3.10"], "PyPy of Python 3.10 or newer")


@nox.session(venv_backend="none")
def freethreaded(session: nox.Session) -> None:
    """Run the suite on a CPython without the global interpreter lock, if one is found, as on PyPy."""
    _run_where_found(session, ["python3.14t", "python3.13t"], "free-threaded CPython")


@nox.session
@nox.parametrize(
    "server", [nox.param(name, id=name, tags=["servers-ci"] if name in LIGHT_SERVERS else []) for name in SERVERS]
)
def servers(session: nox.Session, server: str) -> None:
    """Run the newest release of a server on loopback, and see what it answers to a right key, a wrong one and none.

    The run ends with a table in Markdown. ``nox -s "servers(jupyter)"`` runs one server alone.
    """
    session.install(".", *TOOLS, *SERVERS[server])
    session.run("python", "-m", "pip", "list", "--format=freeze")
    session.run("python", "-m", "pytest", "-q", f"tests/servers/{server}_server.py", *session.posargs)


@nox.session
def clients(session: nox.Session) -> None:
    """Run the tests of API clients built on requests, which are too many for the suite's environment."""
    session.install(".", *TOOLS, *CLIENTS)
    session.run("python", "-m", "pip", "list", "--format=freeze")
    session.run("python", "-m", "pytest", "-q", *sorted(glob("tests/clients/*_client.py")), *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Break every function but the demo's, line by line, see that a test fails, and list the mutants that survive.

    mutmut changes nothing outside functions, such as regular expressions. ``mutants/`` is removed first, because
    mutmut caches there which tests cover which function.
    """
    shutil.rmtree("mutants", ignore_errors=True)
    session.install("-e", ".[test]", "mutmut>=3.8")
    session.run("mutmut", "run", *session.posargs)
    session.run("mutmut", "results")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run the property tests at length: 300,000 inputs each."""
    session.install(".", *TOOLS)
    session.run("python", "-m", "pytest", "-q", "--hypothesis-profile=long", *(session.posargs or PROPERTIES))
