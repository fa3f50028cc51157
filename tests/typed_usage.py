"""Uses of the public surface that both type checkers must accept; never run, only checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import requests

from requests_bearer_env import BearerAuthError, BearerEnvAuth, MountedAuth, command
from requests_bearer_env.doctor import Check, diagnose

if TYPE_CHECKING:
    from requests.auth import AuthBase


def provider() -> str | None:
    """Return a key as str, or None."""
    return "key"


def bytes_provider() -> bytes:
    """Return a key as bytes."""
    return b"key"


auths: list[AuthBase] = [
    BearerEnvAuth(),
    BearerEnvAuth("NAME"),
    BearerEnvAuth(file="~/key"),
    BearerEnvAuth(file=Path("key")),
    BearerEnvAuth(provider=provider, ttl=60),
    BearerEnvAuth(provider=bytes_provider, ttl=0.5),
    BearerEnvAuth(provider=command(["op", "read", Path("x")], timeout=5)),
    BearerEnvAuth(provider=command(["pass", "tgw"], first_line=True)),
    BearerEnvAuth("NAME", hosts="api.example", allow_http={"localhost"}, refresh_on=[401, 403]),
    BearerEnvAuth("NAME", refresh_on=403),
]

mounted: AuthBase = MountedAuth({"https://api.example/": auths[0], "https://b.example/": BearerEnvAuth()})
checks: list[Check] = diagnose(BearerEnvAuth(), "https://api.example/", method="POST", timeout=5, max_age=30)
details: list[str] = [f"{check.status} {check.name} {check.detail} {check.remedy}" for check in checks]


def use(auth: BearerEnvAuth) -> int:
    """Pass an auth to a session and to a call."""
    try:
        with requests.Session() as session:
            session.auth = auth
            return requests.get("https://api.example/", auth=auth, timeout=5).status_code
    except BearerAuthError as error:
        return len(error.problem + error.remedy) if error.request is None else -1
