"""The README: its examples run, its commands are the ones that CI runs, its size is kept."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import requests_mock

from tests.helpers import KEY, make_program

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    """The text of a section."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    return str(text)


def test_the_examples_run(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """One after the other, as a reader would type them; every source in them gives the key."""
    for program in ("op", "keyring", "gcloud"):
        make_program(tmp_path, program, f"print({KEY!r})")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TGW_API_KEY", KEY)
    monkeypatch.setenv("TGW_ADMIN_KEY", "admin")
    namespace: dict[str, Any] = {}
    with requests_mock.Mocker() as mock:
        mock.register_uri(requests_mock.ANY, requests_mock.ANY, json={"object": "list"})
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), namespace)
    assert [sent.headers["Authorization"] for sent in mock.request_history] == [f"Bearer {KEY}"] * 3
    namespace["test_models"](monkeypatch, request.getfixturevalue("requests_mock"))
    assert namespace["response"].json() == namespace["models"] == {"object": "list"}


@pytest.mark.parametrize("program", ["op", "keyring", "gcloud"])
def test_the_recipes_with_programs_give_the_key(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program of that name, with those arguments, is what is run."""
    (line,) = re.findall(rf'command\((\["{program}".*?\])', README)
    make_program(tmp_path, program, "import sys; print(*sys.argv[1:], sep=',', end='')")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    from requests_bearer_env import command

    argv: list[str] = eval(line)
    assert command(argv)() == ",".join(argv[1:]).encode()


@pytest.mark.parametrize("title", ["Try it", "Test it"])
def test_try_it_and_test_it_have_one_command_each(title: str) -> None:
    """One block with one line, to be copied as it is."""
    (block,) = re.findall(r"```console\n(.*?)```", section(title), re.DOTALL)
    assert section(title).count("```") == 2
    assert block.count("\n") == 1


def test_the_first_code_comes_early() -> None:
    """Within 20 lines; and the whole has about 150."""
    lines = README.splitlines()
    assert lines.index("```python") < 20
    assert len(lines) <= 165


def test_every_error_is_explained() -> None:
    """The table has all of the leaves of the tree."""
    from requests_bearer_env import errors

    leaves = {error.__name__ for error in errors.BearerAuthError.__subclasses__()}
    assert set(re.findall(r"^\| `(\w+)` \|", section("Errors"), re.MULTILINE)) == leaves
