"""The doctor's part that needs a network: the URL, one request, the clocks, netrc and proxies.

The request is made by requests as anybody's is, with the settings of the environment. Nothing that
goes wrong is shown in its own words: those may hold what nobody should see, and say it badly.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from netrc import NetrcParseError
from os.path import isdir
from typing import TYPE_CHECKING, Any, TypeVar, cast

import requests
from requests.exceptions import RequestException
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_netrc_auth, select_proxy
from urllib3.util.ssl_ import create_urllib3_context

from requests_bearer_env.destination import origin_of
from requests_bearer_env.errors import BearerAuthError

from .answer import in_words
from .failure import explain
from .report import Check, Status, bare_proxy, bare_url, refused, span

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from requests_bearer_env.auth import BearerEnvAuth
    from requests_bearer_env.credential import Credential
    from requests_bearer_env.destination import Origin

    _T = TypeVar("_T")

_DAY = 86400

#: Days left to a certificate from which on somebody should renew it.
_SOON = 14

#: Seconds of difference between two clocks that are worth a word, and that get keys refused.
_SKEW, _WRONG = 30, 300


class _Session(requests.Session):
    """Does not look where a redirect leads: requests reads its body for that, however long it is."""

    def resolve_redirects(self, *_args: Any, **_options: Any) -> Generator[Any, None, None]:
        yield from ()


class Probe:
    """One run against a URL; all its steps together take no longer than the time they are given."""

    def __init__(self, auth: BearerEnvAuth, keys: Sequence[Credential], timeout: float) -> None:
        """Prepare a run.

        Args:
            auth: What the request is made with.
            keys: What is to be kept out of what others say.
            timeout: Seconds for all of it.
        """
        self._auth = auth
        self._keys = keys
        self._timeout = timeout
        self._left = timeout

    def checks(self, url: str, method: str, *, send: bool) -> Iterator[Check | None]:
        """Look at the URL and, if ``send`` and the URL is in order, send a request."""
        target = self._prepared(url)
        if isinstance(target, Check):
            yield target
            return
        with _Session() as session:
            settings = session.merge_environment_settings(target, {}, True, None, None)
            proxy = select_proxy(target, settings["proxies"])
            reached = self._reach(target, settings["verify"], proxy)
            yield reached
            answered = None
            if send and reached.status != "fail":
                answered, clock = self._ask(session, url, method, settings)
                yield answered
                yield clock
        yield _netrc(target)
        if proxy:
            yield _proxy(proxy, answered)

    def _prepared(self, url: str) -> str | Check:
        """The URL as requests makes it, or what is wrong with it."""
        request = requests.PreparedRequest()
        try:
            request.prepare_url(url, None)
            self._auth.destination.check(request.url)
        except BearerAuthError as error:
            return refused("url", error)
        except (RequestException, ValueError):
            return Check("url", "fail", "requests cannot make sense of the URL", "write it as https://host/path")
        return str(request.url)

    def _reach(self, url: str, verify: bool | str, proxy: str | None) -> Check:
        """Look up the name, connect, and look at the certificate; no key is sent."""
        where = bare_url(url, *self._keys)
        origin = cast("Origin", origin_of(url))
        try:
            context = _context(verify) if origin.scheme == "https" else None
        except OSError:
            return Check(
                "url",
                "fail",
                f"{where}: the file of trusted CAs that the environment names cannot be used",
                "correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE",
            )
        if proxy:
            return Check(
                "url", "ok", f"{where}: goes through a proxy, so the request alone tells whether it is reached"
            )
        end = self._within(lambda: _certificate_end(origin, context, self._left))
        if isinstance(end, Exception):
            detail, remedy = explain(end, self._timeout)
            return Check("url", "fail", f"{where}: {detail}", remedy)
        if end is None:
            return Check("url", "ok", f"{where}: reached, in clear, as allow_http= permits for this host")
        left = end - time.time()
        detail = f"{where}: reached, and its certificate is verified and has {span(left)} left"
        if left < _SOON * _DAY:
            return Check("url", "warn", detail, "have the certificate renewed")
        return Check("url", "ok", detail)

    def _ask(
        self, session: requests.Session, url: str, method: str, settings: dict[str, Any]
    ) -> tuple[Check, Check | None]:
        """Send the request, and compare the clocks."""
        try:
            request = session.prepare_request(requests.Request(method, url, auth=self._auth))
        except BearerAuthError as error:  # the key was there a moment ago
            return refused("request", error), None
        timeout = max(self._left, 0.001)
        response = self._within(lambda: session.send(request, timeout=timeout, **settings))
        if isinstance(response, Exception):
            detail, remedy = explain(response, self._timeout)
            return Check("request", "fail", f"{request.method}: {detail}", remedy), None
        now = time.time()
        response.close()
        return in_words(response, self._auth.destination, self._keys), _clock(response, now)

    def _within(self, work: Callable[[], _T]) -> _T | Exception:
        """What some work returns or raises, or a TimeoutError.

        It is left to itself in a thread when it takes too long: neither the look-up of a name nor a
        server that sends a header letter by letter heeds a socket's timeout.
        """
        outcome: list[_T | Exception] = []

        def run() -> None:
            try:
                outcome.append(work())
            except Exception as error:
                outcome.append(error)

        start = time.monotonic()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self._left)
        self._left -= time.monotonic() - start
        return outcome[0] if outcome else TimeoutError()


def _context(verify: bool | str) -> ssl.SSLContext:
    """What requests verifies certificates with."""
    bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    context = create_urllib3_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    if isdir(bundle):
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


def _certificate_end(origin: Origin, context: ssl.SSLContext | None, timeout: float) -> float | None:
    """Connect, and return until when the certificate is valid; None without TLS."""
    host = origin.host.strip("[]")
    with socket.create_connection((host, origin.port), timeout) as connection:
        if context is None:
            return None
        with context.wrap_socket(connection, server_hostname=host.rstrip(".")) as tls:
            certificate = cast("dict[str, str]", tls.getpeercert())
    return ssl.cert_time_to_seconds(certificate["notAfter"])


def _clock(response: requests.Response, now: float) -> Check | None:
    """Compare the server's clock with ours; None if it does not tell the time."""
    header = response.headers.get("Date")
    if header is None:
        return None
    try:
        date = parsedate_to_datetime(header)
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        ahead = (date - datetime.fromtimestamp(now, timezone.utc)).total_seconds()
    except (ValueError, OverflowError, IndexError, TypeError):
        return Check("clock", "warn", "the server's Date header is no date", "ask who runs the server to mend it")
    age = response.headers.get("Age", "")
    if age.isascii() and age.isdigit() and len(age) < 10:  # from a cache, which kept the date as well
        ahead += int(age)
    if abs(ahead) <= _SKEW:
        return Check("clock", "ok", f"within {_SKEW} s of the server's")
    off = f"this machine's clock is {span(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} the server's"
    status: Status = "fail" if abs(ahead) > _WRONG else "warn"
    return Check(
        "clock",
        status,
        off,
        "set it by NTP: keys with a lifetime are refused early or late; or tell the server's owner",
    )


def _netrc(url: str) -> Check | None:
    """Whether requests knows another way to log in there; which, is nobody's business."""
    try:
        entry = get_netrc_auth(url, raise_errors=True) is not None
    except (NetrcParseError, OSError, ValueError):
        return Check("netrc", "warn", "the netrc file cannot be read", "mend it, or set session.trust_env = False")
    if not entry:
        return None
    return Check(
        "netrc",
        "warn",
        "the netrc file has an entry for this host, which requests sends in place of the key after a redirect",
        "remove the entry, or set session.trust_env = False",
    )


def _proxy(proxy: str, answered: Check | None) -> Check:
    detail = f"the environment routes this URL through the proxy {bare_proxy(proxy)}"
    if answered is not None and answered.status == "ok":
        return Check("proxy", "ok", detail)
    return Check("proxy", "warn", detail, "an answer may be the proxy's; to go without it, name the host in NO_PROXY")
