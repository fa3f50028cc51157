"""The check ``url``: whether the host can be reached, and whether its certificate is valid.

It sends no key.
"""

from __future__ import annotations

import socket
import ssl
import time
from os.path import isdir
from typing import TYPE_CHECKING, Any, cast

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from requests_bearer_env import platforms
from requests_bearer_env.cleaning import sanitize, sanitize_url
from requests_bearer_env.destination import origin_of

from .failure import HOST_MISMATCH, explain_failure
from .report import Check, fill_in_options, format_duration
from .request import bundle_variable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from requests_bearer_env.credential import Credential
    from requests_bearer_env.destination import Origin
    from requests_bearer_env.errors import Wording

    from .budget import Budget

_DAY = 86400

#: A certificate with fewer days left should be renewed.
_MIN_DAYS = 14

#: The number of a certificate's names that are shown.
_MAX_NAMES = 3


def check_url(
    url: str, verify: bool | str, proxy: str | None, budget: Budget, keys: Sequence[Credential], wording: Wording
) -> Check:
    """Resolve the host name, connect, verify the certificate, and return the check.

    Args:
        url: The prepared URL, to which the key may be sent.
        verify: The trusted CAs, as the ``verify`` of requests.
        proxy: The proxy that the environment names for this URL. If there is one, nothing is connected to.
        budget: The time for the network.
        keys: The keys that must not be shown, even if the URL holds one.
        wording: The names of the options in the remedy.
    """
    where = sanitize_url(url, *keys)
    origin = cast("Origin", origin_of(url))
    bundle = bundle_variable(verify)
    try:
        context = _make_context(verify) if origin.scheme == "https" else None
    except OSError as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else platforms.error_text(error)
        detail = f"{where}: {bundle or 'the file of trusted CAs in certifi'} cannot be used ({reason})"
        remedy = f"correct {bundle.partition('=')[0]}" if bundle else "reinstall certifi"
        return Check("url", "fail", detail, remedy)
    if proxy:
        detail = f"{where}: a proxy is used, so only the request shows whether the server is reached"
        return Check("url", "ok", detail)
    try:
        end = budget.run(lambda: _fetch_expiry(origin, context, budget.left))
    except Exception as error:
        detail, remedy = explain_failure(error, budget.seconds, bundle)
        if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in HOST_MISMATCH:
            detail, remedy = _explain_mismatch(origin, verify, budget, keys) or (detail, remedy)
        host = origin.host.strip("[]")
        return Check("url", "fail", f"{where}: {detail}", fill_in_options(remedy, wording, host))
    if end is None:
        return Check("url", "ok", f"{where}: reached by plain HTTP, which is allowed for this host")
    left = end - time.time()
    detail = f"{where}: reached, and its certificate is verified and has {format_duration(left)} left"
    if left < _MIN_DAYS * _DAY:
        return Check("url", "warn", detail, "have the certificate renewed")
    return Check("url", "ok", detail)


def _make_context(verify: bool | str) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates as requests does."""
    bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    context = create_urllib3_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    if isdir(bundle):
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


def _fetch_expiry(origin: Origin, context: ssl.SSLContext | None, timeout: float) -> float | None:
    """Connect, and return when the certificate expires, in seconds since 1970; None without TLS."""
    if context is None:
        with _connect(origin, timeout):
            return None
    return ssl.cert_time_to_seconds(_fetch_certificate(origin, context, timeout)["notAfter"])


def _fetch_certificate(origin: Origin, context: ssl.SSLContext, timeout: float) -> dict[str, Any]:
    """Connect, and return the server's certificate."""
    name = origin.host.strip("[]").rstrip(".")
    with _connect(origin, timeout) as connection, context.wrap_socket(connection, server_hostname=name) as tls:
        return cast("dict[str, Any]", tls.getpeercert())


def _connect(origin: Origin, timeout: float) -> socket.socket:
    """Connect to a host and port."""
    return socket.create_connection((origin.host.strip("[]"), origin.port), timeout)


def _explain_mismatch(
    origin: Origin, verify: bool | str, budget: Budget, keys: Sequence[Credential]
) -> tuple[str, str] | None:
    """Explain a certificate that is not for the host in the URL; return None if it cannot be fetched.

    Returns:
        The problem, which lists the names in the certificate, and the remedy.
    """
    context = _make_context(verify)
    context.check_hostname = False
    try:
        certificate = budget.run(lambda: _fetch_certificate(origin, context, budget.left))
    except Exception:
        return None  # the caller reports the first failure
    names = [sanitize(str(name), *keys) for _, name in certificate.get("subjectAltName", ())]
    if not names:
        return (
            "the server's certificate has no subjectAltName, and its common name (CN) does not count",
            "have it issued anew with the host's name, or its address, as a subjectAltName",
        )
    more = " and others" if len(names) > _MAX_NAMES else ""
    return (
        f"the server's certificate is for {', '.join(names[:_MAX_NAMES])}{more}, not for this host",
        "use a name that it is for, or have a certificate issued for this one",
    )
