"""Why no answer came, in a plain sentence of ours instead of an exception's."""

from __future__ import annotations

import os
import re
import socket
import ssl
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from typing import TYPE_CHECKING

from requests import exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What OpenSSL finds wrong with a certificate (its X509_V_ERR_ numbers), and what to do.
_CERTIFICATES = {
    9: ("the server's certificate is not valid yet", "see whether this machine's clock is slow"),
    10: (
        "the server's certificate has expired",
        "have it renewed; if it was, see whether this machine's clock is fast",
    ),
    62: ("the server's certificate is for another host name", "use the name that it is for, or correct the URL"),
    64: ("the server's certificate is not for that address", "use the host name that it is for"),
}
_UNKNOWN_ISSUER = (
    "the server's certificate cannot be verified: it does not come from an authority that requests trusts",
    "if the server has a CA of its own, name its file in REQUESTS_CA_BUNDLE; if it has not, somebody is in between",
)

#: The first line that fits one of the exceptions is the one; what is more telling comes first.
_SENTENCES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str], ...] = (
    (
        exceptions.ProxyError,
        "the proxy does not let the request through",
        "look at the proxy, or connect without: NO_PROXY",
    ),
    (exceptions.InvalidProxyURL, "the proxy's address cannot be used", "correct the proxy settings of the environment"),
    (
        exceptions.InvalidSchema,  # of the proxy, for the URL's has been looked at
        "the environment names a proxy of a kind that requests cannot use",
        "for SOCKS: pip install 'requests[socks]'; or connect without: NO_PROXY",
    ),
    (
        (socket.gaierror, UnicodeError),
        "the host's name is not known",
        "correct it, or see whether DNS or a VPN is missing",
    ),
    (ConnectionRefusedError, "nothing listens on that port", "correct the port, or start the server"),
    (
        (TimeoutError, exceptions.Timeout),
        "",
        "try again, or with a longer timeout; see whether a firewall is in the way",
    ),
    (
        (RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError),
        "the server closed the connection without an answer",
        "look into the server's log; see whether the port speaks https",
    ),
    (
        (ssl.SSLError, exceptions.SSLError),
        "no TLS connection comes about",
        "see whether the port speaks https; a server that speaks http alone needs http:// and allow_http=",
    ),
    (BadStatusLine, "what answers does not speak HTTP", "correct the port; see whether it speaks http or https"),
    (HTTPException, "the answer is not proper HTTP", "look into the server's log, or at the proxy before it"),
)

_TUNNEL = re.compile(r"Tunnel connection failed: ([1-5][0-9]{2})", re.ASCII)


def explain(error: BaseException, seconds: float) -> tuple[str, str]:
    """Say what went wrong, and what to do.

    Args:
        error: What requests, or a socket, raised.
        seconds: How long was waited, if it was too long.
    """
    errors = list(_causes(error))
    for cause in errors:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _CERTIFICATES.get(cause.verify_code, _UNKNOWN_ISSUER)
    tunnel = next(filter(None, (_TUNNEL.search(str(cause)) for cause in errors)), None)
    if tunnel is not None and tunnel[1] == "407":
        return "the proxy wants credentials of its own (407)", "put them into the URL of the proxy, in HTTPS_PROXY"
    for kinds, detail, remedy in _SENTENCES:
        if any(isinstance(cause, kinds) for cause in errors):
            return detail or f"there was no answer within {seconds:g} s", remedy
    number = next((cause.errno for cause in errors if isinstance(cause, OSError) and cause.errno), None)
    reason = os.strerror(number) if number else type(error).__name__
    return f"the request failed ({reason})", "see whether this machine reaches the host at all"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it was made of: requests and urllib3 wrap them in one another in many ways."""
    waiting: list[object] = [error]
    seen: list[object] = []
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and not any(cause is one for one in seen):
            seen.append(cause)
            yield cause
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
