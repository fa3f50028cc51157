"""Bearer keys for requests, from outside the code: ``requests.post(url, json=payload, auth=BearerEnvAuth())``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .auth import BearerEnvAuth
from .errors import (
    BearerAuthError,
    InsecureTransportError,
    InvalidKeyError,
    KeySourceError,
    MissingKeyError,
    UntrustedHostError,
)

if TYPE_CHECKING:
    from .mounts import MountedAuth
    from .sources.command import command

__all__ = [
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

__version__ = "0.1.0"

#: What few programs use is imported when it is used (PEP 562), and from where.
_LAZY = {"MountedAuth": ".mounts", "command": ".sources.command"}


def __getattr__(name: str) -> object:
    """Import a public name that is in `_LAZY`."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_LAZY[name], __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
