"""The public surface."""

import re
from pathlib import Path

import requests_bearer_env


def test_what_is_exported_is_sorted_and_there() -> None:
    """``__all__`` is sorted, and each name in it exists."""
    assert requests_bearer_env.__all__ == sorted(requests_bearer_env.__all__)
    assert all(hasattr(requests_bearer_env, name) for name in requests_bearer_env.__all__)


def test_the_changelog_knows_the_version() -> None:
    """Its first entry is that of this version."""
    text = (Path(__file__).parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^## \[(.*?)\]", text, re.MULTILINE)
    assert first == requests_bearer_env.__version__
