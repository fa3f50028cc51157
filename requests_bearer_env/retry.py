"""What happens when the server refuses the key: the sources are read again and, if the key has changed, it is sent.

requests calls the hook for every response on the way, also for those that redirect, but not for
the answer to what the hook itself sends.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urldefrag

from requests.auth import HTTPBasicAuth
from requests.exceptions import RequestException
from requests.utils import get_netrc_auth, select_proxy

from .destination import origin_of
from .errors import BearerAuthError
from .replay import from_session, redirect_target, rewind
from .sources import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response

    from .credential import Credential
    from .sources import Sources

_log = logging.getLogger("requests_bearer_env")

#: The hooks of a request that has none.
_NO_HOOKS: dict[str, list[Any]] = {"response": []}

#: As many targets of redirects are remembered as requests follows by default.
_TARGETS = 30


class Auth(Protocol):
    """What the hook asks of the auth object whose key belongs to a URL."""

    #: Where the key comes from.
    sources: Sources
    #: The statuses that refuse a key.
    refresh_on: frozenset[int]


class Trust(ABC):
    """What the hook asks of the auth object that prepared the request."""

    @abstractmethod
    def auth_for(self, url: str, start: str, /) -> tuple[bool, Auth | None]:
        """Say whose key belongs to a URL that a redirect chain has reached.

        Args:
            url: The URL of one response.
            start: The URL that the request was prepared for.

        Returns:
            Whether a key may be sent there at all, so that the server there is trusted to choose the next
            URL; and the auth whose key is put back on a request to that URL, if there is one.
        """


class Retry:
    """The response hook of one prepared request.

    It answers a refusal only if the request carried the very header that was put on it at preparation,
    or if a redirect is why it did not. Once an untrusted place has answered, nothing is sent any more.
    """

    __slots__ = ("_auth", "_number", "_put", "_replay", "_start", "_targets", "trust")

    def __init__(
        self,
        trust: Trust,
        auth: Auth | None,
        start: str | None,
        put: Credential | None,
        replay: tuple[Any, Any] | None,
    ) -> None:
        """Remember how the request was prepared.

        Args:
            trust: Tells whose key belongs to a URL.
            auth: Whose key was put on the request; None if that was another kind of auth.
            start: The URL that the request is prepared for.
            put: The Authorization header that was put on it.
            replay: Its body and where that begins, if it is a file.
        """
        #: Tells whose key belongs to a URL; a `MountedAuth` puts itself in the place of the auth that it chose.
        self.trust: Trust = trust
        self._auth = auth
        self._start = start
        self._put = put
        self._replay = replay
        self._number = count()
        #: Where trusted servers have redirected to. The request itself does not tell how it came about.
        self._targets: deque[str] | None = None

    def __copy__(self) -> Retry:
        return self

    def __deepcopy__(self, memo: object) -> Retry:
        return self

    def __reduce__(self) -> tuple[type[Unpickled], tuple[()]]:
        # A pickle has no key, and without the provider, which need not be picklable, a response still is.
        return Unpickled, ()

    def __call__(self, response: Response, **kwargs: Any) -> Response | None:
        """Answer a refusal with the key as it is now; return None to leave the response as it is."""
        request: PreparedRequest | None = getattr(response, "request", None)
        if request is None or not from_session(kwargs):  # what unit tests make has no request
            return None
        url = str(request.url)
        if response.status_code < 300 and self._targets is None and url == self._start:
            return None
        trusted, auth = self.trust.auth_for(url, str(self._start))
        # Only here are the proxies of this very request known.
        if not trusted or (not url.startswith("https:") and select_proxy(url, kwargs.get("proxies"))):
            unhook(response)
            _log.debug("%s gets no key: it is not where the key may go", origin_of(url))
            return None
        ours = self._is_ours(request)
        if ours:
            self._remember_target(response)
        if auth is None or not refuses(auth, response):
            return None
        if not ours:
            _log.debug("%s refused an Authorization header that this auth did not set", origin_of(url))
            return None
        return self._answer(auth, response, kwargs)

    def _is_ours(self, request: PreparedRequest) -> bool:
        """Whether the header is the one that was put on the request, or requests took that away on a redirect.

        A redirect of a trusted server is good for one request to its target: an untrusted server may
        redirect to the same URL later.
        """
        redirected = self._targets is not None and self._take_target(urldefrag(str(request.url))[0])
        header = request.headers.get("Authorization")
        if header is not None and header == self._put:
            return True
        if not redirected:
            return False
        # requests.Session.rebuild_auth drops the header, or puts what netrc has in its place.
        netrc = get_netrc_auth(str(request.url))
        if header is None or netrc is None:
            return header is None
        return bool(HTTPBasicAuth(*netrc)(request.copy()).headers["Authorization"] == header)

    def _take_target(self, url: str) -> bool:
        """Forget one redirect to a URL; return whether there was one."""
        try:
            cast("deque[str]", self._targets).remove(url)
        except ValueError:
            return False
        return True

    def _remember_target(self, response: Response) -> None:
        """Remember where a trusted server redirects to."""
        target = redirect_target(response) if response.is_redirect else None
        if target is not None:
            if self._targets is None:
                self._targets = deque(maxlen=_TARGETS)
            self._targets.append(target)

    def _answer(self, auth: Auth, response: Response, kwargs: dict[str, Any]) -> Response | None:
        """Send the request again with the key as it is now, once for each key that has not been tried.

        After a redirect the request may carry no key, or the key of another mount. Then the first key that is
        sent is one that this auth may have cached, and if that is refused, too, the sources are read again.
        """
        refused = self._put if response.request.headers.get("Authorization") == self._put else None
        number, answer = self._number, None
        for last in (True,) if refused is not None and auth is self._auth else (False, True):
            credential = _changed(auth, refused, number, response)
            if credential is None:
                return answer
            number = count()
            again = self._send_again(auth, response, credential, kwargs)
            if again is None:
                return answer
            self._remember_target(again)
            response = answer = again
            refused = credential
            if not refuses(auth, again):
                return answer
            if last:
                auth.sources.forget(credential, number)  # for the next request
        return answer

    def _send_again(
        self, auth: Auth, response: Response, credential: Credential, kwargs: dict[str, Any]
    ) -> Response | None:
        """Send the request of a response as it was sent, but with another key; None if that cannot be done."""
        status, origin = response.status_code, origin_of(response.request.url)
        if getattr(response, "connection", None) is None:
            _log.warning("the %s of %s stands: this transport adapter cannot send a request again", status, origin)
            return None
        request = response.request.copy()
        request.headers["Authorization"] = credential
        request.hooks = hooked(request.hooks, Retry(self.trust, auth, request.url, credential, self._replay))
        if not rewind(request.body, self._replay):
            _log.warning("the %s of %s stands: the request's body cannot be sent twice", status, origin)
            return None
        _log.debug("%s answered %s, and the key has changed: sending the request once more", origin, status)
        if not kwargs.get("stream"):
            try:
                _ = response.content  # for the history, and to free the connection
            except (RequestException, RuntimeError) as error:
                _log.debug("the body of the %s could not be read: %s", status, type(error).__name__)
        response.close()
        start = time.perf_counter()
        again: Response = response.connection.send(request, **kwargs)
        again.elapsed = timedelta(seconds=time.perf_counter() - start)
        again.history = [*response.history, response]
        again.request = request
        return again


class Unpickled:
    """The response hook of a request that was pickled, and so has lost its key."""

    def __call__(self, response: Response, **kwargs: Any) -> None:
        """Log why the server refuses the request."""
        if response.status_code == 401 and from_session(kwargs):
            _log.warning("the server answered 401 to a request that was pickled, without its key: prepare it anew")


def refuses(auth: Auth, response: Response) -> bool:
    """Whether a response refuses the key: by its status, or by its challenge (RFC 6750 section 3.1)."""
    if response.status_code < 400 or response.status_code in auth.refresh_on:
        return response.status_code >= 400
    from .challenge import parse_challenge  # few answers need it

    return parse_challenge(response.headers.get("WWW-Authenticate", "")).bearer.get("error") == "invalid_token"


def _changed(auth: Auth, refused: Credential | None, number: int, response: Response) -> Credential | None:
    """The key as it is now; None, and a line in the log, if it has not changed or cannot be had."""
    origin, status = origin_of(response.request.url), response.status_code
    try:
        reading, asked = auth.sources.read_after_refusal(refused, number)
    except BearerAuthError as error:
        _log.warning("%s answered %s, and asking for the key again failed: %s", origin, status, error)
        return None
    credential = cast("Credential", reading.credential)  # or there would have been a MissingKeyError
    if credential != refused:
        return credential
    if _log.isEnabledFor(logging.INFO):
        from .advice import how_to_check  # few programs log this line

        _log.info(
            "%s answered %s to the key of %s (%d characters), and reading it again %s the same key: "
            "to find out why, %s",
            origin,
            status,
            reading.where,
            credential.key_length,
            "gave" if asked else "a moment ago gave",
            how_to_check(auth.sources, reading.where, credential, response.request),
        )
    return None


def _response_hooks(hooks: Mapping[str, Any] | None) -> list[Any]:
    """A request's response hooks: requests takes one or several, or none at all."""
    found: Any = (hooks or {}).get("response") or ()
    return [found] if callable(found) else list(found)


def hooked(hooks: Mapping[str, Any] | None, *ours: Retry) -> dict[str, Any]:
    """A request's hooks with ours, once; in a new dict, because a request and its copies share theirs.

    Ours comes first, because other hooks may raise at a 401.
    """
    if hooks == _NO_HOOKS:
        return {"response": [*ours]}
    others = [hook for hook in _response_hooks(hooks) if not isinstance(hook, (Retry, Unpickled))]
    return {**(hooks or {}), "response": [*ours, *others]}


def retry_of(request: PreparedRequest) -> Retry | None:
    """The hook of this package that a request has, if it has one."""
    return next((hook for hook in _response_hooks(request.hooks) if isinstance(hook, Retry)), None)


def unhook(response: Response) -> None:
    """Remove the hook for the rest of the chain: an untrusted server chooses the next URL."""
    response.request.hooks = hooked(response.request.hooks)
