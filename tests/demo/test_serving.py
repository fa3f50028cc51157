"""``demo --serve``: what it prints, that every printed command works, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

import pytest
import requests

from requests_bearer_env.__main__ import main
from requests_bearer_env.demo import serving
from requests_bearer_env.demo.serving import CMD, POSIX, POWERSHELL, Shell, Site

Capture = pytest.CaptureFixture[str]

#: A site that is described and not run.
MADE_UP = Site(
    http="http://127.0.0.1:5000",
    https="https://localhost:5001",
    api_key="api-key",
    admin_key="admin-key",
    ca="/tmp/o'neill/ca.pem",
    directory="/opt/my venv/bin",
    python="python3",
)

TEXT = """\
A stand-in for text-generation-webui is up; its model is made up.
  http://127.0.0.1:5000: plain HTTP, as text-generation-webui listens by default
  https://localhost:5001: the same with TLS; the certificate of its CA is in
    /tmp/o'neill/ca.pem
Ctrl-C ends the demo and removes that file.

Paste this into another terminal (a POSIX shell):

  export PATH='/opt/my venv/bin':"$PATH"
  export TGW_API_KEY=api-key
  export TGW_ADMIN_KEY=admin-key
  export REQUESTS_CA_BUNDLE='/tmp/o'"'"'neill/ca.pem'

Then try:

  # Is the key right? Plain HTTP is allowed to this one host.
  python3 -m requests_bearer_env check --allow-http 127.0.0.1 --env TGW_API_KEY \\
      http://127.0.0.1:5000/v1/models

  # The same over HTTPS: requests reads REQUESTS_CA_BUNDLE.
  python3 -m requests_bearer_env check --env TGW_API_KEY \\
      https://localhost:5001/v1/models

  # The list of models takes the admin key; with the API key this fails.
  python3 -m requests_bearer_env check --env TGW_ADMIN_KEY \\
      https://localhost:5001/v1/internal/model/list

  # curl. The key is in its command line, which other processes can read.
  curl -H "Authorization: Bearer $TGW_API_KEY" \\
      http://127.0.0.1:5000/v1/models

  # HTTPie, if it is installed beside requests_bearer_env. No key is shown.
  python3 -m httpie -A bearer-env-local -a TGW_API_KEY \\
      http://127.0.0.1:5000/v1/models

Or in a script of your own:

  import requests
  from requests_bearer_env import BearerEnvAuth

  url = "https://localhost:5001/v1/completions"
  auth = BearerEnvAuth("TGW_API_KEY")
  print(requests.post(url, json={"prompt": "Once"}, auth=auth).text)"""

SETTINGS = {
    POWERSHELL: """\
$env:PATH = '/opt/my venv/bin' + ';' + $env:PATH
$env:TGW_API_KEY = 'api-key'
$env:TGW_ADMIN_KEY = 'admin-key'
$env:REQUESTS_CA_BUNDLE = '/tmp/o''neill/ca.pem'""",
    CMD: """\
set "PATH=/opt/my venv/bin;%PATH%"
set "TGW_API_KEY=api-key"
set "TGW_ADMIN_KEY=admin-key"
set "REQUESTS_CA_BUNDLE=/tmp/o'neill/ca.pem\"""",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Servers that are up for all the commands."""
    with serving.running() as site:
        yield site


@pytest.fixture
def _interrupted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as soon as the demo waits for it."""

    def interrupt(_: float) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)


def typed(site: Site, command: str) -> subprocess.CompletedProcess[str]:
    """What comes of pasting the settings and a command into a shell."""
    lines = f"{serving.settings(site, POSIX)}\n{command}\n"
    return subprocess.run(["sh"], input=lines, capture_output=True, check=False, text=True, timeout=60)


def run_check(site: Site, command: str, patch: pytest.MonkeyPatch) -> int:
    """The exit status of a check: a shell reads the settings and the command, and this process runs it.

    Starting Python takes a third of a second.
    """
    variables = ["TGW_API_KEY", "TGW_ADMIN_KEY", "REQUESTS_CA_BUNDLE"]
    values = " ".join(f'"${name}"' for name in variables)
    done = typed(site, f"set -- {command}\nprintf '%s\\0' {values} \"$@\"")
    shown = done.stdout.split("\0")[:-1]
    for name, value in zip(variables, shown, strict=False):
        patch.setenv(name, value)
    words = shown[len(variables) :]
    assert words[:3] == [site.python, "-m", "requests_bearer_env"]
    return main(words[3:])


def command_with(site: Site, words: str) -> str:
    """The one printed command that has these words."""
    [command] = [command for _, command in serving.commands(site, POSIX) if words in command]
    return command


def free_ports() -> int:
    """The first of two neighbouring ports that are free."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


# What is printed


def test_a_posix_shell_gets_all_of_it() -> None:
    """The whole text, with quotes where a path needs them."""
    assert serving.describe(MADE_UP, (POSIX,)) == TEXT


@pytest.mark.parametrize("shell", [POWERSHELL, CMD], ids=["powershell", "cmd"])
def test_shells_of_windows_get_their_spelling(shell: Shell) -> None:
    """Variables are set and used as that shell does it."""
    assert serving.settings(MADE_UP, shell) == SETTINGS[shell]
    commands = "\n".join(command for _, command in serving.commands(MADE_UP, shell))
    value, end = {POWERSHELL: ("$env:TGW_API_KEY", "`"), CMD: ("%TGW_API_KEY%", "^")}[shell]
    assert f'curl -H "Authorization: Bearer {value}" {end}\n    http' in commands


def test_two_shells_get_a_block_each() -> None:
    """Windows has two shells; both blocks have the same script."""
    text = serving.describe(MADE_UP, (POWERSHELL, CMD))
    assert text.count("Paste this into another terminal (PowerShell):") == 1
    assert text.count("Paste this into another terminal (cmd):") == 1
    assert text.count("Or in a script of your own:") == 1


# What is printed works

needs_sh = pytest.mark.posix("a POSIX shell")


@needs_sh
@pytest.mark.parametrize("words", ["--allow-http", "localhost", "TGW_ADMIN_KEY"])
def test_each_check_accepts_the_key(words: str, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The printed commands check over HTTP, over HTTPS with the demo's CA, and with the admin key."""
    words = site.https + "/v1/models" if words == "localhost" else words
    assert run_check(site, command_with(site, words), monkeypatch) == 0
    out, err = capsys.readouterr()
    assert "FAIL" not in out
    assert err == ""


@needs_sh
def test_the_api_key_fails_where_admin_is_needed(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The comment above that command says that it fails with the API key."""
    command = command_with(site, "TGW_ADMIN_KEY").replace("TGW_ADMIN_KEY", "TGW_API_KEY")
    assert run_check(site, command, monkeypatch) == 1
    assert "401 Unauthorized" in capsys.readouterr().out


@needs_sh
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_lists_the_models(site: Site) -> None:
    """The printed command takes the key from the variable."""
    assert '"id":"demo-7b"' in typed(site, command_with(site, "curl")).stdout


@needs_sh
@pytest.mark.skipif(
    "bearer-env-local" not in {entry.name for entry in entry_points(group="httpie.plugins.auth.v1")},
    reason="the plugin for plain HTTP is not installed",
)
def test_httpie_lists_the_models(site: Site) -> None:
    """The printed command has the name of the variable, and no key."""
    pytest.importorskip("httpie")
    done = typed(site, command_with(site, "httpie") + " --ignore-stdin")
    assert '"id":"demo-7b"' in done.stdout.replace('"id": ', '"id":')


@needs_sh
def test_the_script_completes_a_prompt(site: Site, tmp_path: Path) -> None:
    """A file with the printed lines, run in the terminal that was set up."""
    path = tmp_path / "mine.py"
    path.write_text(serving.script(site))
    done = typed(site, f"{site.python} {path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "in a land far away" in done.stdout


# How it starts and ends


@pytest.mark.usefixtures("_interrupted_at_once")
def test_ctrl_c_is_the_regular_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """It was announced, so the exit status is 0; no file is left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["demo", "--serve"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("A stand-in for text-generation-webui is up")
    assert f"another terminal ({'PowerShell' if os.name == 'nt' else 'a POSIX shell'}):" in out
    assert out.endswith("\nThe servers are down, and their files are removed.\n")
    assert err == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.posix("signals for one process")
def test_a_terminated_process_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process serves until SIGTERM, then removes its files; a pipe gets its output at once."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    words = [sys.executable, "-m", "requests_bearer_env", "demo", "--serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(20, process.kill)  # so that a missing line is an empty one
        killer.start()
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in TEXT.splitlines()]
        url, ca = lines[1].split()[0].rstrip(":"), lines[3].strip()
        assert requests.get(f"{url}/v1/models", timeout=10).status_code == 401
        assert Path(ca).exists()
        process.terminate()
        assert process.wait() == 0
        assert process.stdout.read().endswith("\nThe servers are down, and their files are removed.\n")
        killer.cancel()
    assert not Path(ca).parent.exists()


@pytest.mark.usefixtures("_interrupted_at_once")
def test_the_handler_of_sigterm_is_put_back() -> None:
    """Another program may call the command line."""
    before = signal.getsignal(signal.SIGTERM)
    assert main(["demo", "--serve"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_both_servers_take_both_keys(site: Site) -> None:
    """One server by two ways: the keys are the same."""
    for base in (site.http, site.https):
        for path, key in (("/v1/models", site.api_key), ("/v1/internal/model/list", site.admin_key)):
            headers = {"Authorization": f"Bearer {key}"}
            assert requests.get(base + path, headers=headers, verify=site.ca, timeout=10).status_code == 200


def test_port_is_for_http_and_the_next_for_https() -> None:
    """Fixed ports keep the URLs the same in every run."""
    port = free_ports()
    with serving.running(port) as site:
        assert (site.http, site.https) == (f"http://127.0.0.1:{port}", f"https://localhost:{port + 1}")


@pytest.mark.parametrize("taken", [0, 1])
@pytest.mark.usefixtures("_interrupted_at_once")
def test_a_port_that_is_taken_is_an_error(taken: int, capsys: Capture) -> None:
    """One line names the port and the option; no server stays behind."""
    port = free_ports()
    with socket.create_server(("127.0.0.1", port + taken)):
        assert main(["demo", "--serve", "--port", str(port)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"the demo failed: port {port + taken} cannot be used (")
    assert err.endswith("): choose another with --port\n")
    with serving.running(port):
        pass
