"""Why no answer came, in words; what a loopback server can do is tried in the integration tests."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

import pytest
from requests import exceptions

from requests_bearer_env.doctor.failure import explain

SECRET = "hunter2"


def wrapped(cause: BaseException) -> BaseException:
    """An exception as requests raises it, with the cause deep inside."""
    try:
        try:
            raise cause
        except type(cause) as error:
            raise OSError(SECRET) from error
    except OSError as error:
        return exceptions.ConnectionError(error)


def unverified(code: int) -> ssl.SSLCertVerificationError:
    """What OpenSSL says of a certificate that it does not accept."""
    error = ssl.SSLCertVerificationError(1, SECRET)
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.ProxyError(SECRET), "the proxy does not let the request through"),
        (exceptions.InvalidProxyURL(SECRET), "the proxy's address cannot be used"),
        (exceptions.InvalidSchema(SECRET), "the environment names a proxy of a kind that requests cannot use"),
        (socket.gaierror(socket.EAI_NONAME, SECRET), "the host's name is not known"),
        (UnicodeError(SECRET), "the host's name is not known"),
        (ConnectionRefusedError(SECRET), "nothing listens on that port"),
        (TimeoutError(SECRET), "there was no answer within 2.5 s"),
        (exceptions.ReadTimeout(SECRET), "there was no answer within 2.5 s"),
        (http.client.RemoteDisconnected(SECRET), "the server closed the connection without an answer"),
        (ConnectionResetError(SECRET), "the server closed the connection without an answer"),
        (BrokenPipeError(SECRET), "the server closed the connection without an answer"),
        (ConnectionAbortedError(SECRET), "the server closed the connection without an answer"),
        (ssl.SSLError(SECRET), "no TLS connection comes about"),
        (exceptions.SSLError(SECRET), "no TLS connection comes about"),
        (http.client.BadStatusLine(SECRET), "what answers does not speak HTTP"),
        (http.client.LineTooLong(SECRET), "the answer is not proper HTTP"),
        (unverified(9), "the server's certificate is not valid yet"),
        (unverified(10), "the server's certificate has expired"),
        (unverified(62), "the server's certificate is for another host name"),
        (unverified(64), "the server's certificate is not for that address"),
        (
            unverified(18),
            "the server's certificate cannot be verified: it does not come from an authority that requests trusts",
        ),
        (
            OSError(errno.ENETUNREACH, SECRET),
            "the request failed (Network is unreachable)",
        ),
    ],
)
def test_each_failure_has_a_sentence(error: BaseException, words: str) -> None:
    """A failure is told in our words, with what to do, wherever in the chain it stands."""
    for raised in (error, wrapped(error), exceptions.ConnectionError(Exception("a", error))):
        detail, remedy = explain(raised, 2.5)
        assert detail == words
        assert remedy


def test_an_unknown_failure_shows_its_type_alone() -> None:
    """What nobody has thought of is told without its message."""
    detail, remedy = explain(RuntimeError(SECRET), 1)
    assert detail == "the request failed (RuntimeError)"
    assert remedy == "see whether this machine reaches the host at all"


def test_a_certificate_is_told_before_the_wrapping() -> None:
    """The SSLError of requests says less than the certificate's fault inside."""
    assert "expired" in explain(exceptions.SSLError(unverified(10)), 1)[0]


def test_a_proxy_failure_is_told_before_its_cause() -> None:
    """A refused connection to a proxy is not the server's."""
    assert "proxy" in explain(exceptions.ProxyError(ConnectionRefusedError()), 1)[0]


def test_the_reason_of_a_pool_is_followed() -> None:
    """urllib3 keeps the cause in an attribute."""

    class PoolError(Exception):
        reason = ConnectionRefusedError()

    assert explain(PoolError(), 1)[0] == "nothing listens on that port"


def test_a_proxy_that_wants_credentials_is_told_from_others() -> None:
    """A 407 at the tunnel has a remedy of its own."""
    error = exceptions.ProxyError(OSError("Tunnel connection failed: 407 Proxy Authentication Required"))
    assert explain(error, 1) == (
        "the proxy wants credentials of its own (407)",
        "put them into the URL of the proxy, in HTTPS_PROXY",
    )
    error = exceptions.ProxyError(OSError("Tunnel connection failed: 503 Not now"))
    assert explain(error, 1)[0] == "the proxy does not let the request through"


def test_every_branch_of_a_chain_is_followed() -> None:
    """What stands deep behind the context counts as what stands behind the cause."""
    for deep in ("__cause__", "__context__"):
        top, cause, context = ValueError(), ValueError(), ValueError()
        top.__cause__, top.__context__ = cause, context
        setattr(getattr(top, deep), deep, ConnectionRefusedError())
        assert explain(top, 1)[0] == "nothing listens on that port"


def test_exceptions_in_a_circle_are_walked_once() -> None:
    """A chain that bites its tail comes to an end."""
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert explain(first, 1)[0] == "the request failed (ValueError)"
