"""Explains why no answer came, without an exception's own words, which may show a URL or a password."""

from __future__ import annotations

import re
import socket
import ssl
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from typing import TYPE_CHECKING

from requests import exceptions

from requests_bearer_env import platforms
from requests_bearer_env.cleaning import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator

#: For the numbers of OpenSSL's certificate errors (X509_V_ERR_*): the problem and the remedy.
_CERTIFICATES = {
    9: ("the server's certificate is not valid yet", "see whether this machine's clock is slow"),
    10: (
        "the server's certificate has expired",
        "have it renewed; if it was, see whether this machine's clock is fast",
    ),
    18: (
        "the server's certificate is self-signed, so nothing proves whose it is",
        "get that certificate from the server's owner and name its file in REQUESTS_CA_BUNDLE",
    ),
    19: (
        "the server's certificate comes from a private CA that requests does not trust",
        (
            "name the file of that CA's certificate in REQUESTS_CA_BUNDLE; "
            "if the server's own certificate is from a public CA, a proxy replaces it"
        ),
    ),
    62: ("the server's certificate is for another host name", "use the name that it is for, or correct the URL"),
    64: ("the server's certificate is not for that address", "use the host name that it is for"),
}
_UNKNOWN_ISSUER = (
    "the server's certificate comes from an issuer that requests does not trust",
    "name the file of a private CA in REQUESTS_CA_BUNDLE; with a public CA, have the server send the whole chain",
)
_CERTIFICATES.update({20: _UNKNOWN_ISSUER, 21: _UNKNOWN_ISSUER})

#: The remedy for the same problems if the environment already names a file of trusted CAs.
_ADD_ISSUER = (
    "add the CA's certificate there; with a public CA, unset the variable, or have the server send the whole chain"
)
_WITH_BUNDLE = {
    18: (
        "get that certificate from the server's owner, put it and the CAs that are trusted now into one file, "
        "and name that file in REQUESTS_CA_BUNDLE"
    ),
    19: "add that CA's certificate there; if the server's own certificate is from a public CA, a proxy replaces it",
    20: _ADD_ISSUER,
    21: _ADD_ISSUER,
}

#: The numbers of the errors for a certificate that is not for the host in the URL.
HOST_MISMATCH = frozenset({62, 64})

#: The numbers of the errors that no change to the trusted CAs can correct: the certificate has expired, is not valid
#: yet, or is not for the host.
_OTHER_DEFECTS = HOST_MISMATCH | {9, 10}

#: The reasons that OpenSSL gives when a handshake fails because the port does not speak TLS.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})

#: For classes of exceptions: the problem and the remedy. The first item that matches the exception or one of its
#: causes is used, so the more specific ones come first.
_EXPLANATIONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str], ...] = (
    (
        exceptions.ProxyError,
        "the proxy does not let the request through",
        "see the proxy's log, or connect directly: name the host in NO_PROXY",
    ),
    (exceptions.InvalidProxyURL, "the proxy's address cannot be used", "correct the proxy settings of the environment"),
    (
        exceptions.InvalidSchema,  # raised for the proxy's URL, because the request's URL was checked before
        "the environment names a proxy of a kind that requests cannot use",
        "for SOCKS: pip install 'requests[socks]'; or connect directly: name the host in NO_PROXY",
    ),
    (
        (socket.gaierror, UnicodeError),
        "the host name cannot be resolved",
        "correct the name, or see whether DNS works and the VPN is up",
    ),
    (ConnectionRefusedError, "nothing listens on that port", "correct the port, or start the server"),
    (
        (TimeoutError, exceptions.Timeout),
        "there was no answer within {seconds:g} s",
        "try again with a longer timeout; see whether a firewall blocks the connection",
    ),
    (
        (RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError),
        "the server closed the connection without an answer",
        "look at the server's log; see whether the port speaks https",
    ),
    (
        (ssl.SSLError, exceptions.SSLError),
        "the TLS handshake failed",
        "see whether the port speaks https, and which TLS versions and client certificates the server wants",
    ),
    (BadStatusLine, "the port answers, but not with HTTP", "correct the port; see whether it speaks http or https"),
    (HTTPException, "the answer is not valid HTTP", "look at the server's log, or at the proxy in front of it"),
)

_NO_TLS = (
    "the port answers, but not with TLS",
    "correct the port; if the server does not speak TLS, use http:// and {allow_http}",
)
_DEAD_PROXY = (
    "the proxy cannot be reached",
    "correct the proxy settings of the environment, or start the proxy; or name the host in NO_PROXY",
)

_TUNNEL = re.compile(r"Tunnel connection failed: ([1-5][0-9]{2})", re.ASCII)


def explain_failure(error: BaseException, seconds: float, bundle: str = "") -> tuple[str, str]:
    """Return why no answer came, and what to do.

    Args:
        error: The exception that requests or a socket raised.
        seconds: The time limit, which the problem names if it was exceeded.
        bundle: The variable that names the trusted CAs, with its value; blank if none does.

    Returns:
        The problem, and the remedy, which may have fields of `requests_bearer_env.errors.Wording`.
    """
    errors = list(_all_causes(error))
    for cause in errors:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _explain_certificate(cause, bundle)
    if any(isinstance(cause, ssl.SSLError) and getattr(cause, "reason", "") in _NOT_TLS for cause in errors):
        return _NO_TLS
    tunnel = next(filter(None, (_TUNNEL.search(str(cause)) for cause in errors)), None)
    if tunnel is not None and tunnel[1] == "407":
        return (
            "the proxy asks for credentials of its own (407)",
            "put them into the proxy's URL, in the setting that the check proxy names",
        )
    refused = any(isinstance(cause, (ConnectionRefusedError, socket.gaierror)) for cause in errors)
    if refused and any(isinstance(cause, exceptions.ProxyError) for cause in errors):
        return _DEAD_PROXY
    for kinds, detail, remedy in _EXPLANATIONS:
        if any(isinstance(cause, kinds) for cause in errors):
            return detail.format(seconds=seconds), remedy
    numbered = next((cause for cause in errors if isinstance(cause, OSError) and cause.errno), None)
    reason = type(error).__name__ if numbered is None else platforms.error_text(numbered)
    return f"the request failed ({reason})", "see whether this machine reaches the host at all"


def _explain_certificate(error: ssl.SSLCertVerificationError, bundle: str) -> tuple[str, str]:
    """Return what is wrong with a certificate, in OpenSSL's words if this package has none, and what to do."""
    code = error.verify_code
    detail, remedy = _CERTIFICATES.get(code) or (
        f"the server's certificate is refused: {sanitize(str(error.verify_message))} (OpenSSL)",
        "have it issued anew without that defect; Python 3.13 and newer verify certificates more strictly",
    )
    if not bundle or code in _OTHER_DEFECTS:
        return detail, remedy
    return f"{detail}; {bundle} is used instead of requests' own public CAs", _WITH_BUNDLE.get(code, remedy)


def _all_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all exceptions that it wraps.

    requests and urllib3 wrap an exception as its cause, its context, its ``reason`` or one of its arguments.
    """
    waiting: list[object] = [error]
    seen: list[object] = []
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and not any(cause is one for one in seen):
            seen.append(cause)
            yield cause
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
