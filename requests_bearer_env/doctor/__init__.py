"""The doctor finds out why a request with a bearer key is refused, and returns the result as data.

`diagnose` checks the key, its file, the environment and, given a URL, the server. The command ``check``
prints what `diagnose` returns. The code that authorises requests also reads the keys and checks the
URLs here, so the report describes what a request does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from requests_bearer_env.errors import PYTHON

from .examination import examine
from .report import Check, Status

if TYPE_CHECKING:
    from requests_bearer_env.auth import BearerEnvAuth
    from requests_bearer_env.mounts import MountedAuth

__all__ = ["Check", "Status", "diagnose"]


def diagnose(
    auth: BearerEnvAuth | MountedAuth,
    url: str | None = None,
    *,
    method: str = "GET",
    timeout: float = 10,
    max_age: float = 90,
) -> list[Check]:
    """Check a key and, given a URL, how a server answers a request with it.

    The key's sources are read as for a request; with a URL a provider without ``ttl=`` is therefore
    called twice, and once more after a refusal. If the key may be sent to the URL, the request is sent
    with the key and, for GET and HEAD, once more without it, because only a difference between the two
    answers shows that the server reads the key. No redirect is followed, and at most 2 KiB of a body are
    read. The proxies and the CA bundle of the environment apply as they do to ``requests.get``. The netrc
    file is only checked.

    Of the key, the result shows only its length and, if it has 20 characters or more, the last 4; of a JWT
    also its dates, permissions and audience. Text from a server or a JWT is truncated and reduced
    to one line of visible ASCII, and pieces of the key in it are replaced.

    Args:
        auth: The auth that the requests are made with. If it is a `MountedAuth`, the auth that it mounts for
            the URL is checked.
        url: The URL of the requests. Without it, only what needs no network is checked.
        method: The request's method. The request is really sent, without a body.
        timeout: Seconds that all use of the network may take together.
        max_age: Days after which a key in a file should have been rotated.

    Returns:
        The checks, in the order ``key``, ``header``, ``file``, ``jwt``, ``url``, ``request``,
        ``clock``, ``netrc``, ``proxy``, ``verdict``. A check that does not apply is absent. ``verdict`` is
        always the last, and its status is the most severe of all.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: ``method`` is not a word of letters, or ``timeout`` or ``max_age`` is not positive or is too
            large.

    RFC 7519 section 4.1 defines the claims of a JWT, RFC 6750 section 3 a server's challenge.
    """
    return list(examine(auth, url, method=method, timeout=timeout, max_age=max_age, wording=PYTHON))
