"""The checks ``netrc`` and ``proxy``: settings of the environment that change what is sent, or which host answers."""

from __future__ import annotations

import os
from netrc import NetrcParseError

from requests.utils import get_netrc_auth

from requests_bearer_env.cleaning import proxy_address

from .report import Check


def check_netrc(url: str) -> Check | None:
    """Check whether the netrc file has a login for the host of a URL; return None if it has none.

    The login itself is not shown.
    """
    unreadable = Check("netrc", "warn", "the netrc file cannot be read", "correct it, or set session.trust_env = False")
    if _would_block():
        return unreadable
    try:
        entry = get_netrc_auth(url, raise_errors=True)
    except (NetrcParseError, OSError, ValueError):
        return unreadable
    if entry is None:
        return None
    return Check(
        "netrc",
        "warn",
        "the netrc file has an entry for this host, which requests sends in place of the key after a redirect",
        "remove the entry, or set session.trust_env = False",
    )


def _would_block() -> bool:
    """Return whether the netrc file is not a regular file: reading a named pipe or a device may block forever.

    The requests of the doctor never read it, so only this check would block.
    """
    given = os.environ.get("NETRC")
    paths = map(os.path.expanduser, [given] if given else ["~/.netrc", "~/_netrc"])
    first = next(filter(os.path.exists, paths), None)
    return first is not None and not os.path.isfile(first)


def check_proxy(url: str, proxy: str, *, accepted: bool) -> Check:
    """Return the check that names the proxy, and the variable that sets it.

    Args:
        url: The URL of the request.
        proxy: The URL of the proxy.
        accepted: Whether the server accepted the key. If not, the answer may be the proxy's.
    """
    scheme = url.partition(":")[0].lower()
    # In the order of urllib and requests, which prefer lower case. No variable matches if the proxy comes from the
    # system settings of Windows or macOS.
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    present = set(os.environ)  # Windows' names are in capitals there, while os.environ[] takes any case
    setting = next((name for name in names if name in present and os.environ[name] == proxy), "the environment")
    detail = f"{setting} routes this URL through the proxy {proxy_address(proxy)}"
    if accepted:
        return Check("proxy", "ok", detail)
    return Check(
        "proxy", "warn", detail, "the answer may come from the proxy; to connect directly, name the host in NO_PROXY"
    )
