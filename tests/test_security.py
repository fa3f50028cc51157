"""The tests that SECURITY.md, noxfile.py and pyproject.toml name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_every_row_names_tests_that_exist() -> None:
    """Each row of the table names at least one test, and every named test exists."""
    rows = [line for line in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for row in rows[2:]:
        named = re.findall(r"`(test_\w+)`", row.split(" | ")[-1])
        assert named, row
        assert not [name for name in named if f"def {name}(" not in code], row


@pytest.mark.parametrize("name", ["noxfile.py", "pyproject.toml"])
def test_node_ids_name_tests_that_exist(name: str) -> None:
    """Pytest reports a selected test that does not exist, but ignores a deselected one."""
    named = re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", (ROOT / name).read_text(encoding="utf-8"))
    assert named
    assert not [item for item in named if f"def {item[1]}(" not in (ROOT / item[0]).read_text(encoding="utf-8")]
