"""Auth objects for requests that send an API key as ``Authorization: Bearer <key>``.

They read the key from an environment variable, a file or a function, so that it is not in the code::

    requests.post(url, json=payload, auth=BearerEnvAuth())
"""

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

#: Public names that few programs use, and the module that each is imported from on first access (PEP 562).
_LAZY = {"MountedAuth": ".mounts", "command": ".sources.command"}


def __getattr__(name: str) -> object:
    """Import a name of `_LAZY` on first access, and store it in the module, so that this is not called again."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_LAZY[name], __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
