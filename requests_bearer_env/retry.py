"""The response hook that answers a refused key: it reads the sources again, and sends a key that has changed.

requests calls the hook for every response of a redirect chain, but not for the response to a request
that the hook itself sends.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urldefrag

from requests.auth import HTTPBasicAuth
from requests.exceptions import RequestException
from requests.utils import get_netrc_auth, select_proxy

from .destination import origin_of
from .errors import BearerAuthError
from .replay import from_session, redirect_target, rewind
from .sources.base import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response

    from .credential import Credential
    from .sources import Sources

_log = logging.getLogger("requests_bearer_env")

#: How requests represents the hooks of a request without any.
_NO_HOOKS: dict[str, list[Any]] = {"response": []}

#: The number of redirect targets that are remembered; requests follows 30 redirects by default.
_MAX_TARGETS = 30


class Auth(Protocol):
    """The part of an auth object that the hook needs to replace a refused key."""

    #: The sources of the key.
    sources: Sources
    #: The statuses that mean that the server refused the key.
    refresh_on: frozenset[int]


class Trust(ABC):
    """Decides which URLs of a redirect chain may get a key; the auth object that prepared the request does."""

    @abstractmethod
    def auth_for(self, url: str, start: str, /) -> tuple[bool, Auth | None]:
        """Return whether a URL of a redirect chain is trusted, and the auth for it.

        Args:
            url: The URL of one response.
            start: The URL that the request was prepared for.

        Returns:
            Whether a key may be sent to the URL, so that its server is trusted to choose the next URL; and
            the auth whose key answers a refusal there, or None if a refusal there is not answered.
        """


class Retry:
    """The response hook of one prepared request.

    It answers a refusal only if the request carried the header that was set at preparation, or if requests
    dropped or replaced that header on a redirect. After an untrusted server has responded, the hook does
    nothing for the rest of the redirect chain.
    """

    __slots__ = ("_auth", "_header", "_prepared", "_replay", "_start", "_targets", "trust")

    def __init__(
        self,
        trust: Trust,
        auth: Auth | None,
        start: str | None,
        header: Credential | None,
        replay: tuple[Any, Any] | None,
    ) -> None:
        """Remember how the request was prepared.

        Args:
            trust: Decides which URLs may get a key.
            auth: The auth whose key was set; None if another kind of auth authorised the request.
            start: The URL that the request was prepared for.
            header: The Authorization header that was set.
            replay: The body and its position, as `body_position` returns them.
        """
        #: Decides which URLs may get a key. A `MountedAuth` replaces it by itself.
        self.trust: Trust = trust
        self._auth = auth
        self._start = start
        self._header = header
        self._replay = replay
        #: When the request was prepared, as a number of `count`.
        self._prepared = count()
        #: The URLs that trusted servers redirected to, because a request does not show that it follows a redirect.
        self._targets: list[str] = []

    def __copy__(self) -> Retry:
        return self

    def __deepcopy__(self, memo: object) -> Retry:
        return self

    def __reduce__(self) -> tuple[type[Unpickled], tuple[()]]:
        # A pickle must not hold the key, and must not need the provider, because that may not be picklable.
        return Unpickled, ()

    def __call__(self, response: Response, **kwargs: Any) -> Response | None:
        """Answer a refusal with a key that has changed; return None to keep the response."""
        request: PreparedRequest | None = getattr(response, "request", None)
        if request is None or not from_session(kwargs):  # a response made by hand has no request
            return None
        url = str(request.url)
        if response.status_code < 300 and not self._targets and url == self._start:
            return None
        trusted, auth = self.trust.auth_for(url, str(self._start))
        # Preparation saw only the environment's proxies; these include proxies= and session.proxies.
        if not trusted or (not url.startswith("https:") and select_proxy(url, kwargs.get("proxies"))):
            # Remove the hook for the rest of the chain, because an untrusted server chooses the next URL.
            request.hooks = replace_hook(request.hooks)
            _log.debug("%s gets no key: it is not where the key may go", origin_of(url))
            return None
        answerable = self._is_answerable(request)
        if answerable:
            self._remember_target(response)
        if auth is None or not is_refusal(auth, response):
            return None
        if not answerable:
            _log.debug("%s refused an Authorization header that this auth did not set", origin_of(url))
            return None
        return self._answer(auth, response, kwargs)

    def _is_answerable(self, request: PreparedRequest) -> bool:
        """Return whether the request has the header that was set, or lost it on a redirect by a trusted server.

        Each such redirect is forgotten here, because it accounts for one request to its target: an untrusted
        server may redirect to the same URL later.
        """
        try:
            self._targets.remove(urldefrag(str(request.url))[0])
            redirected = True
        except ValueError:
            redirected = False
        header = request.headers.get("Authorization")
        if header is not None and header == self._header:
            return True
        if not redirected:
            return False
        # requests.Session.rebuild_auth drops the header, or replaces it by the credentials in netrc.
        netrc = get_netrc_auth(str(request.url))
        if header is None or netrc is None:
            return header is None
        return bool(HTTPBasicAuth(*netrc)(request.copy()).headers["Authorization"] == header)

    def _remember_target(self, response: Response) -> None:
        """Remember the target of a trusted server's response if it redirects."""
        target = redirect_target(response)
        if target is not None:
            self._targets.append(target)
            del self._targets[:-_MAX_TARGETS]

    def _answer(self, auth: Auth, response: Response, kwargs: dict[str, Any]) -> Response | None:
        """Send the request again with another key, and return the response; None if there is no other key.

        After a redirect the request may carry no key, or the key of another mount. The first key that is sent
        then may be an old one from the cache of ``auth``. If the server refuses it, the sources are read again
        and a key that has changed is sent, too.
        """
        refused = self._header if response.request.headers.get("Authorization") == self._header else None
        prepared, answer = self._prepared, None
        for last in (True,) if refused is not None and auth is self._auth else (False, True):
            credential = _read_changed_key(auth, refused, prepared, response)
            if credential is None:
                return answer
            refused, prepared = credential, count()
            again = self._send_again(auth, response, credential, kwargs)
            if again is None:
                return answer
            self._remember_target(again)
            if not is_refusal(auth, again):
                return again
            if last:
                auth.sources.forget(credential, prepared)  # so that the next request reads the sources again
            response = answer = again
        return answer

    def _send_again(
        self, auth: Auth, response: Response, credential: Credential, kwargs: dict[str, Any]
    ) -> Response | None:
        """Send the request of a response again with another key; return None if it cannot be sent again."""
        status, origin = response.status_code, origin_of(response.request.url)
        if getattr(response, "connection", None) is None:
            _log.warning("the %s of %s stands: this transport adapter cannot send a request again", status, origin)
            return None
        request = response.request.copy()
        request.headers["Authorization"] = credential
        request.hooks = replace_hook(request.hooks, Retry(self.trust, auth, request.url, credential, self._replay))
        if not rewind(request.body, self._replay):
            _log.warning("the %s of %s stands: the request's body cannot be sent twice", status, origin)
            return None
        _log.debug("%s answered %s, and the key has changed: sending the request once more", origin, status)
        if not kwargs.get("stream"):
            try:
                _ = response.content  # response.history keeps the body, and reading it frees the connection
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
    """The response hook of a request that lost its key when it was pickled."""

    def __call__(self, response: Response, **kwargs: Any) -> None:
        """Log the reason for a 401."""
        if response.status_code == 401 and from_session(kwargs):
            _log.warning("the server answered 401 to a request that was pickled, without its key: prepare it anew")


def is_refusal(auth: Auth, response: Response) -> bool:
    """Return whether a response refuses the key, by its status or its Bearer challenge (RFC 6750 section 3.1)."""
    if response.status_code < 400:
        return False
    if response.status_code in auth.refresh_on:
        return True
    from .challenge import parse_challenge  # few responses need it

    return parse_challenge(response.headers.get("WWW-Authenticate", "")).bearer.get("error") == "invalid_token"


def _read_changed_key(auth: Auth, refused: Credential | None, since: int, response: Response) -> Credential | None:
    """Read the sources again; log a line and return None if they fail or still have the refused key."""
    origin, status = origin_of(response.request.url), response.status_code
    try:
        reading, asked = auth.sources.read_after_refusal(refused, since)
    except BearerAuthError as error:
        _log.warning("%s answered %s, and asking for the key again failed: %s", origin, status, error)
        return None
    credential = cast("Credential", reading.credential)  # read() raises MissingKeyError rather than return None
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
            "gave" if asked else f"less than {auth.sources.remembered:g} s ago gave",
            how_to_check(auth.sources, reading.where, credential, response.request),
        )
    return None


def _response_hooks(hooks: Mapping[str, Any] | None) -> list[Any]:
    """Return a request's response hooks as a list; requests also accepts a single function or None."""
    found: Any = (hooks or {}).get("response") or ()
    return [found] if callable(found) else list(found)


def replace_hook(hooks: Mapping[str, Any] | None, *new: Retry) -> dict[str, Any]:
    """Return a request's hooks with this package's hook replaced, or removed if there is no new one.

    The new hook comes first, because other hooks may raise at a 401. The dict is a new one, because a
    request shares its dict with its copies.
    """
    if hooks == _NO_HOOKS:
        return {"response": [*new]}
    others = [hook for hook in _response_hooks(hooks) if not isinstance(hook, (Retry, Unpickled))]
    return {**(hooks or {}), "response": [*new, *others]}


def retry_of(request: PreparedRequest) -> Retry | None:
    """Return the `Retry` among a request's hooks, if there is one."""
    return next((hook for hook in _response_hooks(request.hooks) if isinstance(hook, Retry)), None)
