"""README.md and README.zh-CN.md: their examples run, their transcripts are real, their links lead somewhere."""

from __future__ import annotations

import configparser
import getpass
import logging
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import requests_mock
import urllib3.util.connection
import yaml
from requests.utils import DEFAULT_CA_BUNDLE_PATH

import requests_bearer_env
from requests_bearer_env import BearerEnvAuth, command, errors
from requests_bearer_env.__main__ import main
from requests_bearer_env.demo.app import _ROUTES, WORDS, TextGenerationWebUI
from requests_bearer_env.demo.server import Reply, Request, Server
from requests_bearer_env.demo.steps import run as run_demo
from tests.helpers import KEY, Proxy, Serve, keyed, make_program

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (ENGLISH, CHINESE)}

BASH = shutil.which("bash")


def needs_bash(test: Callable[..., None]) -> Callable[..., None]:
    """Skip a test where bash is missing."""
    for mark in (pytest.mark.posix("bash"), pytest.mark.skipif(BASH is None, reason="bash is missing")):
        test = mark(test)
    return test


ADMIN_KEY, TUTORIAL_KEY = "admin-key", "sk-0123456789abcdef"


class Block(NamedTuple):
    """A code block: the heading above it, its language, its text."""

    heading: str
    language: str
    code: str


def blocks(name: str, language: str = r"\w*") -> list[Block]:
    """The code blocks of a file, perhaps of one language only."""
    found: list[Block] = []
    heading = ""
    for title, kind, code in re.findall(r"^(#+ [^\n]*)$|^```(\w*)\n(.*?)^```$", TEXTS[name], re.DOTALL | re.MULTILINE):
        if title:
            heading = title.lstrip("# ")
        elif re.fullmatch(language, kind):
            found.append(Block(heading, kind, code))
    return found


def section(title: str, name: str = ENGLISH) -> str:
    """The text of a section with its subsections."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXTS[name], re.DOTALL | re.MULTILINE)
    return str(text)


def prose(name: str) -> str:
    """The text without its code blocks."""
    return re.sub(r"^```.*?^```$", "", TEXTS[name], flags=re.DOTALL | re.MULTILINE)


def headings(name: str) -> list[str]:
    """The headings."""
    return re.findall(r"^##+ (.*)$", prose(name), re.MULTILINE)


def anchor(heading: str) -> str:
    """The fragment that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# --- both files


def test_both_files_have_the_same_code() -> None:
    """A reader of either file types the same."""
    english, chinese = ([block[1:] for block in blocks(name)] for name in (ENGLISH, CHINESE))
    assert english == chinese


def test_the_files_link_to_each_other_at_the_top() -> None:
    """The first line offers the other language."""
    assert f"]({CHINESE})" in TEXTS[ENGLISH].splitlines()[0]
    assert f"]({ENGLISH})" in TEXTS[CHINESE].splitlines()[0]


@pytest.mark.parametrize("name", TEXTS)
def test_links_within_a_file_lead_to_headings(name: str) -> None:
    """The table of contents is complete, and no link is dead."""
    anchors = {anchor(heading) for heading in headings(name)}
    links = set(re.findall(r"\]\(#([^)]+)\)", prose(name)))
    assert links <= anchors
    assert anchors - links == set()


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_to_a_file_leads_to_one(name: str) -> None:
    """Each linked file exists; a test of the wheel runs beside copies of these files."""
    for path in re.findall(r"\]\((?!https?:|#)([^)]+)\)", prose(name)):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("name", TEXTS)
def test_every_public_name_is_mentioned(name: str) -> None:
    """Each public name is in the text as code: ``name`` in backticks, or a call of it."""
    text = TEXTS[name]
    missing = [public for public in requests_bearer_env.__all__ if not re.search(rf"\b{public}\(|`{public}\b", text)]
    assert missing == []


@pytest.mark.parametrize(("name", "title"), [(ENGLISH, "Errors"), (CHINESE, "错误")])
def test_every_error_is_explained(name: str, title: str) -> None:
    """The table has all of the leaves of the tree."""
    leaves = {error.__name__ for error in errors.BearerAuthError.__subclasses__()}
    assert set(re.findall(r"^\| `(\w+)` \|", section(title, name), re.MULTILINE)) == leaves


@pytest.mark.parametrize("name", TEXTS)
def test_the_first_code_comes_early(name: str) -> None:
    """The first code is within 20 lines, so that a reader sees what the package does."""
    assert TEXTS[name].splitlines().index("```python") < 20


def test_the_wheel_has_the_version() -> None:
    """The name of the file that is to be installed is the one that is built."""
    (version,) = re.findall(r"requests_bearer_env-(.*?)-py3", TEXTS[ENGLISH])
    assert version == requests_bearer_env.__version__


# --- Python

LOCAL = "http://127.0.0.1:5000/v1"
STORY = "".join(WORDS)

#: By a text that stands in one block only: the requests with their keys, and what is printed.
EXPECTED: dict[str, tuple[list[str], str]] = {
    "# sends": ([f"POST https://tgw.example/v1/completions {KEY}"], ""),
    "API_KEY = ": ([f"POST {LOCAL}/chat/completions {TUTORIAL_KEY}"], f"{STORY}\n"),
    'allow_http=["127.0.0.1"])\nurl = ': ([f"POST {LOCAL}/chat/completions {KEY}"], f"{STORY}\n"),
    "models = session.get": ([f"GET https://tgw.example/v1/models {KEY}"], ""),
    "iter_lines": ([f"POST {LOCAL}/completions {KEY}"], STORY),
    "tgw-cert.pem": ([f"GET https://tgw.local:5000/v1/models {KEY}"], ""),
    "https://api.github.com/": (
        [
            f"GET https://api.openai.com/v1/models {KEY}",
            f"GET {LOCAL}/models {KEY}",
            "GET https://pypi.org/simple/ None",
        ],
        "",
    ),
    "in diagnose(": (
        [f"GET {LOCAL}/models {KEY}", f"GET {LOCAL}/models None"],
        (
            f"ok    key      environment variable TGW_API_KEY: {len(KEY)} characters, ending in {KEY[-4:]}  \n"
            f"ok    header   Authorization: Bearer, one space, {len(KEY)} characters of visible ASCII  \n"
            f"ok    url      {LOCAL}/models: reached by plain HTTP, which is allowed for this host  \n"
            "ok    request  GET answered 200 OK with the key and 401 Unauthorized without it: "
            "the server accepts the key  \n"
            "ok    verdict  the server accepts the key  \n"
        ),
    ),
    "TGW_ADMIN_KEY": (
        [f"GET {LOCAL}/internal/model/list {ADMIN_KEY}", f"GET {LOCAL}/internal/model/info {KEY}"],
        "['demo-7b']\ndemo-7b\n",
    ),
    "NO_SUCH_KEY": (
        [],
        (
            "no key found because NO_SUCH_KEY is not set in this process's environment\n"
            "set it before the program starts, or set NO_SUCH_KEY_FILE to the path of a file with the key\n"
        ),
    ),
}


class Servers(requests_mock.Mocker):
    """Every server at once: all answer as text-generation-webui does, which checks the keys."""

    def __init__(self) -> None:
        super().__init__()
        #: Method, URL and key of each request.
        self.sent: list[str] = []
        self.register_uri(requests_mock.ANY, requests_mock.ANY, content=self._answer)

    def _answer(self, request: Any, context: Any) -> bytes:
        header = request.headers.get("Authorization")
        key = header and header.removeprefix("Bearer ")
        self.sent.append(f"{request.method} {request.url} {key}")
        app = TextGenerationWebUI(key if key in {KEY, TUTORIAL_KEY} else KEY, ADMIN_KEY)
        headers: Any = {"Host": "localhost", "Authorization": header}
        reply = app(Request(request.method, request.path_url, headers, request.body or b""))
        context.status_code = reply.status
        return reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The directory of a reader who has set the keys, and a ``.env`` file."""
    monkeypatch.chdir(tmp_path)
    for name, key in {"TGW_API_KEY": KEY, "TGW_ADMIN_KEY": ADMIN_KEY, "OPENAI_API_KEY": KEY}.items():
        monkeypatch.setenv(name, key)
    (tmp_path / ".env").write_text(f"TGW_API_KEY={KEY}\n")
    (tmp_path / "example.py").touch()  # python-dotenv begins to look for .env in the script's directory
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: KEY)
    monkeypatch.setattr(socket, "create_connection", lambda *_: socket.socket())  # diagnose sees whether a port is open
    # PyIceberg is installed for tests/clients only.
    manager = types.ModuleType("pyiceberg.catalog.rest.auth")
    vars(manager)["AuthManager"] = object
    parents = map(types.ModuleType, ("pyiceberg", "pyiceberg.catalog", "pyiceberg.catalog.rest"))
    for module in (*parents, manager):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    yield tmp_path
    logging.getLogger("requests_bearer_env").setLevel(logging.NOTSET)  # an example sets it


@pytest.mark.parametrize("name", TEXTS)
def test_the_python_examples_run(
    name: str,
    reader: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """Each runs alone, because readers paste one of them, and sends and prints what it says."""
    defined: dict[str, Any] = {}
    seen: list[str] = []
    for block in blocks(name, "python"):
        sets_the_key = "load_dotenv" in block.code or "getpass" in block.code
        if sets_the_key:
            monkeypatch.delenv("TGW_API_KEY")
        with Servers() as servers:
            namespace: dict[str, Any] = {}
            exec(compile(block.code, str(reader / "example.py"), "exec"), namespace)
        defined.update(namespace)
        if sets_the_key:
            assert os.environ["TGW_API_KEY"] == KEY
        marks = [mark for mark in EXPECTED if mark in block.code]
        assert (servers.sent, capsys.readouterr().out) == (EXPECTED[marks[0]] if marks else ([], ""))
        seen += marks
    assert seen == [*EXPECTED]
    assert defined["KeyManager"]("TGW_API_KEY").auth_header() == f"Bearer {KEY}"
    api_keys = {"api": KEY, "admin": ADMIN_KEY}
    for path, route in _ROUTES.items():  # the last session is text-generation-webui's
        if path.startswith("/v1/") and route.key in api_keys:
            url = f"http://127.0.0.1:5000{path}"
            prepared = defined["session"].prepare_request(requests.Request(route.method, url))
            assert prepared.headers["Authorization"] == f"Bearer {api_keys[route.key]}"
    defined["test_models"](monkeypatch, request.getfixturevalue("requests_mock"))
    defined["test_rotation"](request.getfixturevalue("requests_mock"))


def test_recipes_with_programs_give_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """command() runs the program of the recipe with the arguments of the recipe."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    recipes = re.findall(r"command\((\[.*?\](?:, first_line=True)?)\)", TEXTS[ENGLISH])
    assert len(recipes) >= 4
    for recipe in recipes:
        provider: Any = eval(f"command({recipe})", {"command": command})
        program, *arguments = eval(recipe.removesuffix(", first_line=True"))
        make_program(tmp_path, program, "import sys; print(*sys.argv[1:], sep=',', end='')")
        assert provider() == ",".join(arguments).encode()


# --- bash, PowerShell, cmd, and what other programs read


def bash(script: str, directory: Path, typed: str = "") -> str:
    """Run a script in bash and return what it prints."""
    ran = subprocess.run(
        [str(BASH), "-euo", "pipefail", "-c", script],
        capture_output=True,
        check=False,
        cwd=directory,
        env={"HOME": str(directory), "PATH": os.environ["PATH"], "TGW_API_KEY_FILE": "", "GIT_CONFIG_GLOBAL": ""},
        input=typed,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def one(mark: str) -> str:
    """The one bash block with a text in it."""
    (code,) = (block.code for block in blocks(ENGLISH, "bash") if mark in block.code)
    return code


@needs_bash
def test_bash_can_parse_every_block() -> None:
    """Blocks that install something, or need another program, are parsed but not run."""
    for block in blocks(ENGLISH, "bash"):
        ran = subprocess.run([str(BASH), "-n", "-c", block.code], capture_output=True, check=False, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")


@needs_bash
def test_key_read_into_a_variable_is_exported(tmp_path: Path) -> None:
    """What is typed is not shown, and programs see the variable."""
    shown = bash(one("read -rs TGW_API_KEY") + "printenv TGW_API_KEY", tmp_path, f"{KEY}\n")
    assert shown == f"{KEY}\n"


@needs_bash
def test_key_read_into_a_file_is_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and directory are closed to others, the line for the profile names the file, a rotation replaces it."""
    bash(one("mkdir -p ~/.secrets"), tmp_path, f"{KEY}\n")
    path = tmp_path / ".secrets" / "tgw"
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    named = bash(one("export TGW_API_KEY_FILE") + "printenv TGW_API_KEY_FILE", tmp_path).strip()
    assert named == str(path)
    monkeypatch.setenv("TGW_API_KEY_FILE", named)
    assert BearerEnvAuth("TGW_API_KEY").credential() == f"Bearer {KEY}"
    bash(one("tgw.new"), tmp_path, "new\n")
    assert BearerEnvAuth("TGW_API_KEY").credential() == "Bearer new"
    assert (path.stat().st_mode & 0o777, os.listdir(path.parent)) == (0o600, ["tgw"])


@needs_bash
@pytest.mark.skipif(shutil.which("git") is None, reason="runs git")
def test_git_ignores_the_dotenv_file(tmp_path: Path) -> None:
    """The second command names the rule."""
    bash("git init --quiet .", tmp_path)
    assert bash(one(".gitignore"), tmp_path) == ".gitignore:1:.env\t.env\n"


#: Lines of scripts, and whether they are to be found.
LINES = {
    '"Authorization": f"Bearer {API_KEY}",': True,
    "headers['authorization'] = 'Bearer ' + key": True,
    'API_KEY = "x"': True,
    'apikey="x"': True,
    'config = {"api_key": "x"}': True,
    "os.environ['OPENAI_API_KEY'] = 'x'": True,
    'token = "hf_abcdefgh"': True,
    "key = 'sk-abcdefgh'": True,
    'TOKEN = "x"': True,
    "access_token='x'": True,
    'headers = {"X-Api-Key": key}': True,
    "session.headers.setdefault('x-api-key', key)": True,
    'params={"key": "x"}': True,
    "url = f'https://a.example/?key={key}'": True,
    'KEY = "x"': True,
    "OPENAI_KEY='x'": True,
    r'"config = {\"api_key\": \"x\"}\n",': True,
    r'"TOKEN = \"x\"\n",': True,
    r'"KEY = \"x\"\n",': True,
    "token = next(tokens)": True,
    'PASSWORD = "x"': False,
    "import requests": False,
    "requests.get(url, timeout=10)": False,
    "for key in mapping:": False,
    "sorted(pairs, key=lambda pair: pair[0])": False,
    "value = mapping['key']": False,
    'monkey = "x"': False,
    "tokens = tokenizer(text, max_tokens=16)": False,
}


@needs_bash
def test_the_search_finds_the_places(tmp_path: Path) -> None:
    """In scripts and notebooks, in any directory but those of environments, and nothing else."""
    for environment in (".venv", "venv", "lib/site-packages"):
        (tmp_path / environment).mkdir(parents=True)
        (tmp_path / environment / "module.py").write_text('API_KEY = "x"\n')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "script.py").write_text("\n".join(LINES))
    (tmp_path / "page.ipynb").write_text('"requests.get(url, headers={\\"Authorization\\": key})"\n')
    (tmp_path / "notes.txt").write_text('API_KEY = "x"\n')
    found = bash(one("grep -rnEi"), tmp_path).splitlines()
    expected = [f"./deep/script.py:{number}" for number, line in enumerate(LINES, 1) if LINES[line]]
    assert sorted(":".join(line.split(":", 2)[:2]) for line in found) == sorted([*expected, "./page.ipynb:1"])


def test_powershell_searches_for_the_same() -> None:
    """.NET's regular expressions agree with Python's on all that is in it; case is ignored by default."""
    (code,) = (block.code for block in blocks(ENGLISH, "powershell") if "Select-String" in block.code)
    (quoted,) = re.findall(r"-Pattern '(.*)'$", code, re.MULTILINE)
    pattern = re.compile(quoted.replace("''", "'"), re.IGNORECASE)
    assert {line: bool(pattern.search(line)) for line in LINES} == LINES
    (environments,) = re.findall(r"FullName -NotMatch '(.*?)' \|", code)
    folders = {"app": False, ".venv": True, "venv": True, "my_venv": False, "site-packages": True}
    for slash in "/\\":
        paths = {folder: f"C:{slash}{folder}{slash}script.py" for folder in folders}
        assert {folder: bool(re.search(environments, path)) for folder, path in paths.items()} == folders


@needs_bash
@pytest.mark.skipif(shutil.which("openssl") is None, reason="runs openssl")
def test_openssl_makes_an_accepted_certificate(tmp_path: Path) -> None:
    """The names are those of the command; here, those of this machine."""
    from ssl import PROTOCOL_TLS_SERVER, SSLContext

    bash(one("openssl req").replace("DNS:tgw.local,IP:192.168.1.20", "DNS:localhost,IP:127.0.0.1"), tmp_path)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tgw-cert.pem", tmp_path / "tgw-key.pem")
    with Server(lambda _: Reply(200), context) as server:
        assert requests.get(server.url(), verify=str(tmp_path / "tgw-cert.pem"), timeout=10).status_code == 200


@needs_bash
def test_one_file_has_public_and_own_cas(tmp_path: Path, ca: str) -> None:
    """Requests trusts only what is in the file, so the file has to have both."""
    shutil.copy(ca, tmp_path / "tgw-cert.pem")
    bash(one("certifi").replace("python", shlex.quote(sys.executable)), tmp_path)
    subjects = [
        {str(entry["subject"]) for entry in ssl.create_default_context(cafile=file).get_ca_certs()}
        for file in (DEFAULT_CA_BUNDLE_PATH, ca, str(tmp_path / "all-cas.pem"))
    ]
    assert subjects[0]
    assert subjects[1]
    assert subjects[2] == subjects[0] | subjects[1]


@pytest.mark.posix("env")
def test_check_runs_with_the_variables_of_a_unit(serve: Serve, tmp_path: Path, ca: str, proxy: Proxy) -> None:
    """The command but for sudo, with a key, a CA and a proxy of this machine; both languages have the same."""
    typed, chinese = (re.findall(r"`sudo -u app (env [^`]*) \.\.\.`", text)[0] for text in TEXTS.values())
    assert typed.split() == chinese.split()
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    for there, here in (
        ("/etc/app/tgw_api_key", str(tmp_path / "key")),
        ("/etc/app/ca.pem", ca),
        ("http://proxy.example:3128", proxy.url),
        ("/srv/app/.venv/bin/python", sys.executable),
    ):
        assert there in typed
        typed = typed.replace(there, here)
    ran = subprocess.run(
        [*shlex.split(typed), "--env", "TGW_API_KEY", serve(keyed(KEY)).url()],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "ok    verdict  the server accepts the key" in ran.stdout
    assert len(proxy.seen) == 2


@pytest.mark.parametrize("title", ["Try it", "Test it"])
def test_try_it_and_test_it_have_one_command(title: str) -> None:
    """The first block, which CI runs, is one line for bash; the next two are that command for PowerShell and cmd."""
    first, powershell, cmd = re.findall(
        r"^```(?:bash|powershell|bat)\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^```(\w+)", section(title), re.MULTILINE)[:3] == ["bash", "powershell", "bat"]
    assert first.count("\n") == 1
    windows = first.replace("python3", "python").replace(".venv/bin/python", r".venv\Scripts\python")
    assert powershell == windows.replace(" && ", "; ")
    assert cmd == windows.replace("'", '"')


@pytest.mark.windows("cmd")
def test_key_read_in_cmd_is_a_variable(tmp_path: Path) -> None:
    """A program that runs after the command has what was typed in its environment."""
    (code,) = (block.code for block in blocks(ENGLISH, "bat") if "set /p" in block.code)
    script = tmp_path / "script.bat"
    script.write_text(f'@echo off\n{code}@"{sys.executable}" -IS -c "import os; print(os.environ[\'TGW_API_KEY\'])"\n')
    ran = subprocess.run(
        ["cmd", "/d", "/c", str(script)], capture_output=True, check=False, input=f"{KEY}\n", text=True, timeout=60
    )
    assert (ran.stdout, ran.stderr) == (f"TGW_API_KEY: {KEY}\n", "")


def test_commands_for_windows_are_pinned() -> None:
    """No test runs the commands for PowerShell, and none the one for cmd elsewhere, so an edit must be deliberate."""
    shells = {language: [block.code for block in blocks(ENGLISH, language)] for language in ("powershell", "bat")}
    assert (
        "$env:TGW_API_KEY = [Net.NetworkCredential]::new('', (Read-Host 'TGW_API_KEY' -AsSecureString)).Password\n"
        in shells["powershell"]
    )
    assert "[Environment]::SetEnvironmentVariable('TGW_API_KEY', $env:TGW_API_KEY, 'User')\n" in shells["powershell"]
    assert 'set /p "TGW_API_KEY=TGW_API_KEY: "\n' in shells["bat"]


def test_compose_mounts_the_secret_it_names() -> None:
    """The path, the name of the secret and its file agree."""
    (block,) = (block for block in blocks(ENGLISH, "yaml") if block.heading == "Docker Compose")
    service, _, secrets = block.code.partition("\n\n")
    (secret,) = re.findall(r"^    secrets:\n      - (\w+)$", service, re.MULTILINE)
    assert f"\n      TGW_API_KEY_FILE: /run/secrets/{secret}\n" in service
    assert secrets == f"secrets:\n  {secret}:\n    file: ./{secret}.txt\n"


@pytest.mark.parametrize("name", TEXTS)
def test_pod_mounts_the_secret_it_names(name: str) -> None:
    """The names of the Secret, its key, the volume and the file agree, and the file can be updated."""
    (block,) = (block for block in blocks(name, "yaml") if block.heading == "Kubernetes")
    ((secret, key),) = re.findall(r"`kubectl create secret generic (\w+) --from-file=(\w+)`", TEXTS[name])
    pod = yaml.safe_load(block.code)["spec"]
    ((container,), (volume,)) = pod["containers"], pod["volumes"]
    ((variable,), (mount,)) = container["env"], container["volumeMounts"]
    assert variable == {"name": "TGW_API_KEY_FILE", "value": f"{mount['mountPath']}/{key}"}
    assert volume == {"name": mount["name"], "secret": {"secretName": secret, "defaultMode": 0o440}}
    assert set(mount) == {"name", "mountPath", "readOnly"}  # no subPath
    assert isinstance(pod["securityContext"]["fsGroup"], int)


def test_unit_names_the_credential_it_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what systemd puts in place of ``%d``, the variable names the file; without it, ``file=`` does."""
    (unit,) = (block.code for block in blocks(ENGLISH, "ini") if "[Service]" in block.code)
    parser = configparser.RawConfigParser()
    parser.read_string(unit)
    credential = parser["Service"]["LoadCredential"].partition(":")[0]
    (tmp_path / credential).write_text(KEY)
    name, _, path = parser["Service"]["Environment"].partition("=")
    monkeypatch.setenv(name, path.replace("%d", str(tmp_path)))
    assert BearerEnvAuth("TGW_API_KEY").credential() == f"Bearer {KEY}"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (file,) = set(re.findall(r'BearerEnvAuth\(file="(\$CREDENTIALS_DIRECTORY/\w+)"\)', TEXTS[ENGLISH]))
    assert BearerEnvAuth(file=file).credential() == f"Bearer {KEY}"


def test_crontab_sets_the_variable_first() -> None:
    """Five fields for the time, then the command."""
    (block,) = blocks(ENGLISH, "cron")
    variable, job = block.code.splitlines()
    assert re.fullmatch(r"TGW_API_KEY_FILE=/\S+", variable)
    assert re.fullmatch(r"(?:[\d*]+ ){5}/\S+/python /\S+\.py", job)


# --- messages


def test_auth_in_a_header_looks_as_shown() -> None:
    """An f-string has the repr of the auth, which hides the key."""
    assert f"| `Bearer {BearerEnvAuth('TGW_API_KEY')}` in the header |" in TEXTS[ENGLISH]


@pytest.mark.parametrize("name", TEXTS)
def test_error_read_as_an_answer_looks_as_shown(name: str) -> None:
    """The script as tutorials have it does not look at the status."""
    (tutorial,) = (block.code for block in blocks(name, "python") if "API_KEY = " in block.code)
    wrong = tutorial.replace(TUTORIAL_KEY, "wrong")
    with Servers(), pytest.raises(KeyError) as caught:
        exec(compile(wrong, "example.py", "exec"), {})
    assert f"| `KeyError: {caught.value}` |" in TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_errors_of_requests_look_as_shown(name: str, serve: Serve) -> None:
    """Readers search the page for the message that they see."""
    url = serve(lambda _: Reply(200, body=b"<html>"), tls=False).url()
    with pytest.raises(ValueError, match="Expecting value") as page:
        requests.get(url, timeout=10).json()
    assert f"| `{page.typename}: {str(page.value).removesuffix(' (char 0)')}` |" in TEXTS[name]
    https = url.replace("http:", "https:")
    with pytest.raises(OSError, match="bundle") as bundle:
        requests.get(https, verify="missing.pem", timeout=10)
    assert f"| `{bundle.typename}: {str(bundle.value).partition(', ')[0]}` |" in TEXTS[name]
    with pytest.raises(requests.exceptions.SSLError) as plain:
        requests.get(https, timeout=10)
    (reason,) = set(re.findall(r"\[SSL: (\w+)\]", str(plain.value)))
    assert f"`{reason}`" in section({ENGLISH: "When a request is refused", CHINESE: "请求被拒绝时"}[name], name)


# --- transcripts


def test_transcripts_fit_a_terminal() -> None:
    """No line is longer than 80 columns."""
    lines = [
        line for kind in ("text", "console") for block in blocks(ENGLISH, kind) for line in block.code.splitlines()
    ]
    assert len(lines) > 40
    assert [line for line in lines if len(line) > 80] == []


def test_demo_prints_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the ports differ; ``[...]`` marks an omission."""
    run_demo()
    printed = re.sub(r":\d{5}\b", ":PORT", capsys.readouterr().out)
    (block,) = blocks(ENGLISH, "text")
    for part in re.sub(r":\d{5}\b", ":PORT", block.code).split("[...]\n"):
        assert f"\n{part.strip()}\n" in printed


#: The keys of the two runs that are shown: the right one, and one that was pasted with the scheme.
RIGHT, WRONG = f"{'k' * 39}P6X4", f"Bearer {'k' * 21}cdef"


@pytest.mark.parametrize(("number", "key", "status"), [(0, RIGHT, 0), (1, WRONG, 1)])
def test_check_prints_what_the_readme_shows(
    number: int,
    key: str,
    status: int,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Line by line, on a terminal of 80 columns; the port is text-generation-webui's."""
    server = serve(TextGenerationWebUI(RIGHT), tls=False)
    connect = socket.create_connection

    def to_the_server(address: Any, *arguments: Any, **options: Any) -> socket.socket:
        assert address == ("127.0.0.1", 5000)
        return connect(("127.0.0.1", server.server_port))

    monkeypatch.setattr(socket, "create_connection", to_the_server)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", to_the_server)
    monkeypatch.setenv("TGW_API_KEY", key)
    monkeypatch.setenv("COLUMNS", "80")
    typed, _, shown = blocks(ENGLISH, "console")[number].code.replace("\\\n", "").partition("\n")
    program, _, *arguments = shlex.split(typed.removeprefix("$ "))
    assert (program, arguments.pop(0)) == ("python", "requests_bearer_env")
    assert main(arguments) == status
    assert capsys.readouterr().out == shown
