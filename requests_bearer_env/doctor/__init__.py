"""The doctor: why a request with a bearer key is refused, as data.

`diagnose` looks at the key, at what is around it and, given a URL, at the server; the command
``check`` prints what it returns. The classes that authorise requests do the work here as well, so
that what is reported is what a request does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    """Check a key and, given a URL, what a server says to it.

    The key's sources are read as for a request; with a URL a provider without ``ttl=`` is therefore
    called twice, and once more after a refusal. If the destination is in order, the request is sent
    with the key and, for GET and HEAD, once more without it, because only the difference of the two
    answers is evidence. No redirect is followed, and at most 2 KiB of a body are read. The
    environment's proxies, CA bundle and netrc count as they do for ``requests.get``.

    Nothing in the result holds the key, except for its length and, if it has 20 characters or more, the
    last 4. Text of a server or a JWT is truncated, reduced to one line of visible ASCII, and shown
    without what it repeats of the key.

    Args:
        auth: What the requests are made with. Of a `MountedAuth`, what is mounted for the URL is checked.
        url: Where they go. Without it, only what needs no network is checked.
        method: The request's method. The request is really sent, without a body.
        timeout: Seconds that all of the network's part may take.
        max_age: Days after which a key in a file should have been rotated.

    Returns:
        The checks, in the order ``key``, ``header``, ``file``, ``jwt``, ``url``, ``request``,
        ``clock``, ``netrc``, ``proxy``, ``verdict``. One that does not apply is absent; ``verdict`` is
        always the last, and its status is the most severe of all.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: ``method`` is not a word, or ``timeout`` or ``max_age`` is not positive or is too large.

    The JWT's claims are those of RFC 7519 section 4.1, a server's challenge that of RFC 6750 section 3.
    """
    return list(examine(auth, url, method=method, timeout=timeout, max_age=max_age))
