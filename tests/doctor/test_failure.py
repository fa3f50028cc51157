"""Sentences for requests without an answer; the integration tests provoke some of these failures on loopback."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

import pytest
from requests import exceptions

from requests_bearer_env import platforms
from requests_bearer_env.doctor.failure import explain_failure

SECRET = "hunter2"


def wrapped(cause: BaseException) -> BaseException:
    """Return the exception that requests raises for a cause, which is two levels below it."""
    try:
        try:
            raise cause
        except type(cause) as error:
            raise OSError(SECRET) from error
    except OSError as error:
        return exceptions.ConnectionError(error)


def unverified(code: int, message: str = SECRET) -> ssl.SSLCertVerificationError:
    """Return what Python raises for a certificate that OpenSSL does not accept."""
    error = ssl.SSLCertVerificationError(1, SECRET)
    error.verify_code, error.verify_message = code, message
    return error


def tls(reason: str) -> ssl.SSLError:
    """Return what Python raises for a handshake that fails."""
    error = ssl.SSLError(1, SECRET)
    error.reason = reason
    return error


HANG_UP = (
    "the server closed the connection without an answer",
    "look at the server's log; see whether the port speaks https",
)
LATE = (
    "there was no answer within 2.5 s",
    "try again with a longer timeout; see whether a firewall blocks the connection",
)
HANDSHAKE = (
    "the TLS handshake failed",
    "see whether the port speaks https, and which TLS versions and client certificates the server wants",
)
NO_TLS = (
    "the port answers, but not with TLS",
    "correct the port; if the server does not speak TLS, use http:// and {allow_http}",
)
NO_NAME = ("the host name cannot be resolved", "correct the name, or see whether DNS works and the VPN is up")
UNKNOWN = (
    "the server's certificate comes from an issuer that requests does not trust",
    "name the file of a private CA in REQUESTS_CA_BUNDLE; with a public CA, have the server send the whole chain",
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.ProxyError(SECRET),
         ("the proxy does not let the request through",
          "see the proxy's log, or connect directly: name the host in NO_PROXY")),
        (exceptions.InvalidProxyURL(SECRET),
         ("the proxy's address cannot be used", "correct the proxy settings of the environment")),
        (exceptions.InvalidSchema(SECRET),
         ("the environment names a proxy of a kind that requests cannot use",
          "for SOCKS: pip install 'requests[socks]'; or connect directly: name the host in NO_PROXY")),
        (socket.gaierror(socket.EAI_NONAME, SECRET), NO_NAME),
        (UnicodeError(SECRET), NO_NAME),
        (ConnectionRefusedError(SECRET), ("nothing listens on that port", "correct the port, or start the server")),
        (TimeoutError(SECRET), LATE),
        (exceptions.ReadTimeout(SECRET), LATE),
        (http.client.RemoteDisconnected(SECRET), HANG_UP),
        (ConnectionResetError(SECRET), HANG_UP),
        (BrokenPipeError(SECRET), HANG_UP),
        (ConnectionAbortedError(SECRET), HANG_UP),
        (ssl.SSLError(SECRET), HANDSHAKE),
        (exceptions.SSLError(SECRET), HANDSHAKE),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), HANDSHAKE),
        (tls("WRONG_VERSION_NUMBER"), NO_TLS),
        (tls("RECORD_LAYER_FAILURE"), NO_TLS),
        (http.client.BadStatusLine(SECRET),
         ("the port answers, but not with HTTP", "correct the port; see whether it speaks http or https")),
        (http.client.LineTooLong(SECRET),
         ("the answer is not valid HTTP", "look at the server's log, or at the proxy in front of it")),
        (unverified(9), ("the server's certificate is not valid yet", "see whether this machine's clock is slow")),
        (unverified(10),
         ("the server's certificate has expired",
          "have it renewed; if it was, see whether this machine's clock is fast")),
        (unverified(18),
         ("the server's certificate is self-signed, so nothing proves whose it is",
          "get that certificate from the server's owner and name its file in REQUESTS_CA_BUNDLE")),
        (unverified(19),
         ("the server's certificate comes from a private CA that requests does not trust",
          ("name the file of that CA's certificate in REQUESTS_CA_BUNDLE; "
           "if the server's own certificate is from a public CA, a proxy replaces it"))),
        (unverified(20), UNKNOWN),
        (unverified(21), UNKNOWN),
        (unverified(62),
         ("the server's certificate is for another host name", "use the name that it is for, or correct the URL")),
        (unverified(64), ("the server's certificate is not for that address", "use the host name that it is for")),
        (unverified(85, "Missing Authority Key Identifier"),
         ("the server's certificate is refused: Missing Authority Key Identifier (OpenSSL)",
          "have it issued anew without that defect; Python 3.13 and newer verify certificates more strictly")),
        (OSError(errno.EIO, SECRET),
         ("the request failed (Input/output error)", "see whether this machine reaches the host at all")),
    ],
)  # fmt: skip
def test_each_failure_has_a_sentence(error: BaseException, words: tuple[str, str]) -> None:
    """A failure is explained at any depth of the exception chain."""
    for raised in (error, wrapped(error), exceptions.ConnectionError(Exception("a", error))):
        assert explain_failure(raised, 2.5) == words


BUNDLE = "REQUESTS_CA_BUNDLE=/etc/ca.pem"
ADD_ISSUER = (
    "add the CA's certificate there; with a public CA, unset the variable, or have the server send the whole chain"
)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (
            18,
            (
                "get that certificate from the server's owner, put it and the CAs that are trusted now into one file, "
                "and name that file in REQUESTS_CA_BUNDLE"
            ),
        ),
        (
            19,
            "add that CA's certificate there; if the server's own certificate is from a public CA, a proxy replaces it",
        ),
        (20, ADD_ISSUER),
        (21, ADD_ISSUER),
        (85, "have it issued anew without that defect; Python 3.13 and newer verify certificates more strictly"),
    ],
)
def test_file_of_cas_is_named_where_it_counts(code: int, remedy: str) -> None:
    """Requests trusts the CAs in that file alone, so the CA may be missing there."""
    detail = explain_failure(unverified(code), 1)[0]
    told = f"{detail}; {BUNDLE} is used instead of requests' own public CAs", remedy
    assert explain_failure(unverified(code), 1, BUNDLE) == told


@pytest.mark.parametrize("code", [9, 10, 62, 64])
def test_other_defects_do_not_name_the_bundle(code: int) -> None:
    """No other CA would make the certificate valid now, or for this host."""
    assert explain_failure(unverified(code), 1, BUNDLE) == explain_failure(unverified(code), 1)


def test_number_of_windows_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """os.strerror() knows no Winsock error number, so the platform explains it."""
    monkeypatch.setattr(platforms, "error_text", lambda error: f"words for {error.errno}")
    assert explain_failure(OSError(10051, SECRET), 1)[0] == "the request failed (words for 10051)"


def test_unknown_failure_shows_its_type_alone() -> None:
    """The message of an unknown exception may hold a secret."""
    detail, remedy = explain_failure(RuntimeError(SECRET), 1)
    assert detail == "the request failed (RuntimeError)"
    assert remedy == "see whether this machine reaches the host at all"


def test_certificate_error_precedes_its_wrapper() -> None:
    """The SSLError of requests says less than the certificate error inside it."""
    assert explain_failure(exceptions.SSLError(unverified(10)), 1)[0] == "the server's certificate has expired"


def test_proxy_error_precedes_its_cause() -> None:
    """A refused connection to the proxy must not be reported as one to the server."""
    assert explain_failure(exceptions.ProxyError(ConnectionRefusedError()), 1) == (
        "the proxy cannot be reached",
        "correct the proxy settings of the environment, or start the proxy; or name the host in NO_PROXY",
    )


def test_reason_of_a_pool_is_followed() -> None:
    """urllib3 keeps the cause in the attribute ``reason``."""

    class PoolError(Exception):
        reason = ConnectionRefusedError()

    assert explain_failure(PoolError(), 1)[0] == "nothing listens on that port"


def test_proxy_that_answers_407_has_a_remedy() -> None:
    """The proxy asks for credentials when the tunnel is opened."""
    error = exceptions.ProxyError(OSError("Tunnel connection failed: 407 Proxy Authentication Required"))
    assert explain_failure(error, 1) == (
        "the proxy asks for credentials of its own (407)",
        "put them into the proxy's URL, in the setting that the check proxy names",
    )
    error = exceptions.ProxyError(OSError("Tunnel connection failed: 503 Not now"))
    assert explain_failure(error, 1)[0] == "the proxy does not let the request through"


def test_every_branch_of_a_chain_is_followed() -> None:
    """A failure behind a context is found as one behind a cause is."""
    for deep in ("__cause__", "__context__"):
        top, cause, context = ValueError(), ValueError(), ValueError()
        top.__cause__, top.__context__ = cause, context
        setattr(getattr(top, deep), deep, ConnectionRefusedError())
        assert explain_failure(top, 1)[0] == "nothing listens on that port"


def test_a_cycle_of_causes_ends() -> None:
    """Each exception of a cycle is examined once."""
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert explain_failure(first, 1)[0] == "the request failed (ValueError)"
