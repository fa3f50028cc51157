"""What the processes of a distributed program import: an auth at module level, and the tasks.

Functions of an importable module are pickled by name. Those of the test module would be too, but
the workers cannot import it without pytest's own changes to it.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import requests

from requests_bearer_env import BearerEnvAuth

#: The variable with the key.
VARIABLE = "TGW_API_KEY"

#: The variable with a directory that gets a file for each call of the provider.
CALLS = "TGW_CALLS"


def vault() -> str | None:
    """Return the key, and record the call in a file whose name begins with the number of the process."""
    Path(os.environ[CALLS], f"{os.getpid()}-{uuid.uuid4()}").touch()
    return os.environ.get(VARIABLE)


def calls() -> list[int]:
    """Return the process numbers of the provider's calls so far."""
    return sorted(int(path.name.partition("-")[0]) for path in Path(os.environ[CALLS]).iterdir())


#: Each process makes this object once, when it imports the module.
AUTH = BearerEnvAuth(provider=vault, ttl=3600)


def fetch(url: str, ca: str, auth: BearerEnvAuth, number: int = 0) -> int:
    """Send a request with an auth that is passed as an argument; return the number of this process."""
    response = requests.get(url, params={"task": number}, auth=auth, verify=ca, timeout=30)
    response.raise_for_status()
    return os.getpid()


def fetch_with_module_auth(url: str, ca: str, number: int = 0) -> int:
    """Send a request with the auth of this module; return the number of this process."""
    return fetch(url, ca, AUTH, number)


def set_key(key: str | None) -> None:
    """Set the variable in this process, or remove it."""
    os.environ.pop(VARIABLE, None)
    if key is not None:
        os.environ[VARIABLE] = key
