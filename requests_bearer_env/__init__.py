"""Bearer keys for requests, from outside the code: ``requests.post(url, json=payload, auth=BearerEnvAuth())``."""

from .auth import BearerEnvAuth
from .errors import (
    BearerAuthError,
    InsecureTransportError,
    InvalidKeyError,
    KeySourceError,
    MissingKeyError,
    UntrustedHostError,
)
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
