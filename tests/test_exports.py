"""The public surface, name by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import requests_bearer_env
from requests_bearer_env import BearerAuthError, BearerEnvAuth, MountedAuth, command, doctor

NAMES = [
    "BearerAuthError",
    "BearerEnvAuth",
    "InsecureTransportError",
    "InvalidKeyError",
    "KeySourceError",
    "MissingKeyError",
    "MountedAuth",
    "UntrustedHostError",
    "command",
]


def test_public_names_are_pinned() -> None:
    """``__all__`` is sorted, and each of its names exists."""
    assert requests_bearer_env.__all__ == sorted(NAMES)
    assert all(hasattr(requests_bearer_env, name) for name in NAMES)


def test_a_lazy_name_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """``dir()`` lists a lazy name before it is imported; the first access imports it and stores it in the module."""
    monkeypatch.delattr(requests_bearer_env, "command")
    assert set(requests_bearer_env.__all__) <= set(dir(requests_bearer_env))
    assert requests_bearer_env.command is command
    assert vars(requests_bearer_env)["command"] is command
    with pytest.raises(AttributeError, match=r"^module 'requests_bearer_env' has no attribute 'nothing'$"):
        _ = requests_bearer_env.nothing


def test_the_doctors_public_names_are_pinned() -> None:
    """The module exports `diagnose`, and the types of what it returns."""
    assert doctor.__all__ == ["Check", "Status", "diagnose"]


@pytest.mark.parametrize(
    ("called", "signature"),
    [
        (
            BearerEnvAuth,
            "(env=None, *, file=None, provider=None, ttl=None, hosts=None, allow_http=(), refresh_on=(401,))",
        ),
        (MountedAuth, "(mounts)"),
        (command, "(argv, *, timeout=30, first_line=False)"),
        (doctor.diagnose, "(auth, url=None, *, method='GET', timeout=10, max_age=90)"),
    ],
)
def test_signatures_are_pinned(called: Callable[..., object], signature: str) -> None:
    """A public function keeps the names, the order and the defaults of its parameters."""
    parameters = inspect.signature(called).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    assert str(inspect.Signature(bare)) == signature


def test_public_attributes_are_pinned() -> None:
    """Users rely on these attributes, and so do the package's own modules."""
    own = {name for name in dir(BearerEnvAuth()) if not name.startswith("_")}
    assert own == {"auth_for", "credential", "destination", "refresh_on", "sources"}
    raised = {name for name in dir(BearerAuthError("p")) if not name.startswith("_")} - set(dir(OSError()))
    assert raised == {"copy", "problem", "remedy", "request", "response"}


def test_the_changelog_knows_the_version() -> None:
    """The newest section of the changelog has the version of the package."""
    text = (Path(__file__).parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^## \[(.*?)\]", text, re.MULTILINE)
    assert first == requests_bearer_env.__version__
