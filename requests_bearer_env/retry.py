"""The response hook that handles a refused key: it reads the sources again, and resends the request if the key changed.

requests calls the hook for every response of a redirect chain, but not for the response to a request that the hook
itself resends. That request gets a hook of its own for the redirects that follow it.
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
from .replay import is_call_by_session, redirect_target, rewind
from .sources.base import next_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response

    from .credential import Credential
    from .sources import Sources

_log = logging.getLogger("requests_bearer_env")

#: The hooks of a request that has none, as requests stores them.
_NO_HOOKS: dict[str, list[Any]] = {"response": []}

#: The number of redirect targets that a hook remembers at most; requests follows 30 redirects by default.
_MAX_TARGETS = 30


class Auth(Protocol):
    """The attributes of an auth object that the hook needs to replace a refused key."""

    #: The sources of the key.
    sources: Sources
    #: The statuses that mean that the server refused the key.
    refresh_on: frozenset[int]


class Trust(ABC):
    """The rule for which URLs of a redirect chain may get a key.

    The auth object that prepared the request is its `Trust`.
    """

    @abstractmethod
    def auth_for(self, url: str, start: str, /) -> tuple[bool, Auth | None]:
        """Return whether a URL of a redirect chain is trusted, and the auth for it.

        Args:
            url: The URL of one response.
            start: The URL that the request was prepared for.

        Returns:
            A pair. First, whether a key may be sent to the URL; if so, its server is also trusted to choose
            the next URL. Second, the auth that supplies a key if the server refuses, or None to leave the
            refusal alone.
        """


class Retry:
    """The response hook of one prepared request.

    It handles a refusal only if the request carried the header that was set at preparation, or if requests
    dropped or replaced that header on a redirect. After an untrusted server has responded, the hook does
    nothing for the rest of the redirect chain.
    """

    __slots__ = ("_asked", "_auth", "_header", "_prepared_at", "_replay", "_start", "_targets", "trust")

    def __init__(
        self,
        trust: Trust,
        auth: Auth | None,
        start: str | None,
        header: Credential | None,
        replay: tuple[Any, Any] | None,
        asked: str | None = None,
    ) -> None:
        """Remember how the request was prepared.

        Args:
            trust: Decides which URLs may get a key.
            auth: The auth whose key was set; None if another kind of auth authorised the request.
            start: The URL that the request was prepared for.
            header: The Authorization header that was set; None if none was.
            replay: The body and its position, as returned by `body_position`; None if the body has no
                position.
            asked: The URL that the program asked for; None if that is ``start``. After a redirect, a server chose
                ``start``.
        """
        #: Decides which URLs may get a key. A `MountedAuth` replaces the mounted auth with itself.
        self.trust: Trust = trust
        self._auth = auth
        self._start = start
        self._asked = start if asked is None else asked
        self._header = header
        self._replay = replay
        #: When the request was prepared, as returned by `next_event`.
        self._prepared_at = next_event()
        #: The targets of redirects by trusted servers, until a request follows them. The hook has to remember
        #: them, because a request does not show whether it follows a redirect. Threads may share the request, and
        #: so the hook.
        self._targets: list[str] = []

    def __copy__(self) -> Retry:
        # A copied request keeps its header, so it needs the hook. Without this, copy would call __reduce__.
        return self

    def __deepcopy__(self, memo: object) -> Retry:
        return self

    def __reduce__(self) -> tuple[type[Unpickled], tuple[()]]:
        # A pickle must not hold the key, and must not need the provider, because that may not be picklable.
        return Unpickled, ()

    def __call__(self, response: Response, **kwargs: Any) -> Response | None:
        """Resend a refused request with a key that has changed; return None to keep the response."""
        request: PreparedRequest | None = getattr(response, "request", None)
        if request is None or not is_call_by_session(kwargs):  # a response made by hand has no request
            return None
        url = str(request.url)
        if response.status_code < 300 and not self._targets:
            return None  # the usual case: a success, from which no redirect leads on
        trusted, auth = self.trust.auth_for(url, str(self._start))
        # The adapter's proxies include proxies= and session.proxies, which `Destination.check` could not see. Over
        # plain HTTP, such a proxy can read the key.
        if not trusted or (not url.startswith("https:") and select_proxy(url, kwargs.get("proxies"))):
            # Remove the hook for the rest of the chain, because an untrusted server chooses the next URL.
            request.hooks = replace_hook(request.hooks)
            message = (
                "no key is put back along this redirect chain: it may not be sent to %s, or not through this proxy"
            )
            _log.debug(message, origin_of(url))
            return None
        may_handle = self._may_handle(request, redirected=self._take_target(url))
        if may_handle:
            self._remember_target(response)
        if auth is None or not is_refusal(auth, response):
            return None
        if not may_handle:
            _log.debug("%s refused an Authorization header that this auth did not set", origin_of(url))
            return None
        refused = self._header if request.headers.get("Authorization") == self._header else None
        return self._handle_refusal(auth, refused, response, kwargs)

    def _take_target(self, url: str) -> bool:
        """Return whether a trusted server redirected to a URL, and forget that redirect.

        A redirect accounts for one request to its target. An untrusted server may redirect to the same URL later.
        """
        try:
            self._targets.remove(urldefrag(url)[0])
        except ValueError:
            return False
        return True

    def _remember_target(self, response: Response) -> None:
        """Remember the target of a trusted server's response if it redirects."""
        target = redirect_target(response)
        if target is not None:
            self._targets.append(target)
            del self._targets[:-_MAX_TARGETS]

    def _may_handle(self, request: PreparedRequest, *, redirected: bool) -> bool:
        """Return whether a refusal of the request may be handled.

        It may if the request has the header that was set at preparation, or if ``redirected`` says that a
        trusted server redirected to it, and requests dropped or replaced that header.
        """
        header = request.headers.get("Authorization")
        if header is None:
            return redirected
        if header == self._header:
            return True
        # requests.Session.rebuild_auth may have replaced the header with the credentials in netrc.
        netrc = get_netrc_auth(str(request.url)) if redirected else None
        return netrc is not None and HTTPBasicAuth(*netrc)(request.copy()).headers["Authorization"] == header

    def _handle_refusal(
        self, auth: Auth, refused: Credential | None, response: Response, kwargs: dict[str, Any]
    ) -> Response | None:
        """Resend a refused request with a key that has changed.

        After a redirect, the refused request may have had no key, or the key of another mount. The first key
        that is sent then may be an old one from the cache of ``auth``. If the server refuses that, too, the
        sources are read again, and the request is resent a second time if the key has changed.

        Args:
            auth: The auth that supplies the key.
            refused: The header that was refused; None if it was not that of this hook.
            response: The refusal.
            kwargs: The options of the transport adapter.

        Returns:
            The last response; None if there is no other key, or the request cannot be sent again.
        """
        credential = self._read_changed_key(auth, refused, response)
        if credential is None:
            return None
        hook = Retry(self.trust, auth, response.request.url, credential, self._replay, self._asked)
        resent = hook._resend(response, credential, kwargs)
        if resent is None:
            return None
        if is_refusal(auth, resent):
            if refused is not None and auth is self._auth:
                auth.sources.forget(credential, hook._prepared_at)  # so that the next request reads the sources again
            else:
                again = hook._handle_refusal(auth, credential, resent, kwargs)
                resent = resent if again is None else again
        self._remember_target(resent)
        return resent

    def _read_changed_key(self, auth: Auth, refused: Credential | None, response: Response) -> Credential | None:
        """Read the sources again, and return a key other than the refused one.

        If there is none or reading fails, log why and return None.
        """
        origin, status = origin_of(response.request.url), response.status_code
        try:
            reading, was_read = auth.sources.read_after_refusal(refused, self._prepared_at)
        except BearerAuthError as error:
            _log.warning("%s answered %s, and asking for the key again failed: %s", origin, status, error)
            return None
        # If no source has a key, they raise MissingKeyError, so the credential is not None.
        credential = cast("Credential", reading.credential)
        if credential != refused:
            return credential
        if _log.isEnabledFor(logging.INFO):
            from .advice import how_to_check  # few programs log this line
            from .cleaning import replace_unprintable

            _log.info(
                "%s answered %s to the key of %s (%d characters), and reading it again %s the same key: "
                "to find out why, %s",
                origin,
                status,
                replace_unprintable(reading.where),
                credential.key_length,
                "gave" if was_read else f"less than {auth.sources.remembered:g} s ago gave",
                how_to_check(auth.sources, reading.where, credential, response.request, self._asked),
            )
        return None

    def _resend(self, response: Response, credential: Credential, kwargs: dict[str, Any]) -> Response | None:
        """Resend the request of a response with this hook and its key; return None if it cannot be sent again."""
        status, origin = response.status_code, origin_of(response.request.url)
        if getattr(response, "connection", None) is None:
            _log.warning("keeping the %s from %s: this transport adapter cannot send a request again", status, origin)
            return None
        request = response.request.copy()
        request.headers["Authorization"] = credential
        request.hooks = replace_hook(request.hooks, self)
        if not rewind(request.body, self._replay):
            _log.warning("keeping the %s from %s: the request's body cannot be sent twice", status, origin)
            return None
        _log.debug("%s answered %s, and the key has changed: sending the request once more", origin, status)
        if not kwargs.get("stream"):
            try:
                _ = response.content  # response.history keeps the body, and reading it frees the connection
            except (RequestException, RuntimeError) as error:  # RuntimeError: other code has read the body
                _log.debug("the body of the %s could not be read: %s", status, type(error).__name__)
        response.close()
        start = time.perf_counter()
        resent: Response = response.connection.send(request, **kwargs)
        resent.elapsed = timedelta(seconds=time.perf_counter() - start)
        resent.history = [*response.history, response]
        resent.request = request
        return resent


class Unpickled:
    """The response hook of a request that lost its key when it was pickled."""

    def __call__(self, response: Response, **kwargs: Any) -> None:
        """Log the reason for a 401."""
        if response.status_code == 401 and is_call_by_session(kwargs):
            _log.warning("the server answered 401 to a request that was pickled, without its key: prepare it again")


def is_refusal(auth: Auth, response: Response) -> bool:
    """Return whether a response refuses the key, by its status or its Bearer challenge (RFC 6750 section 3.1)."""
    if response.status_code < 400:
        return False
    if response.status_code in auth.refresh_on:
        return True
    from .challenge import parse_challenge  # few responses need it

    return parse_challenge(response.headers.get("WWW-Authenticate", "")).bearer.get("error") == "invalid_token"


def _response_hooks(hooks: Mapping[str, Any] | None) -> list[Any]:
    """Return a request's response hooks as a list; requests also accepts a single function or None."""
    found: Any = (hooks or {}).get("response") or ()
    return [found] if callable(found) else list(found)


def replace_hook(hooks: Mapping[str, Any] | None, new: Retry | None = None) -> dict[str, Any]:
    """Return a request's hooks with this package's hook replaced, or removed if ``new`` is None.

    The new hook comes first, because other hooks may raise at a 401. The dict is a new one, because a
    request shares its dict with its copies.
    """
    ours = [] if new is None else [new]
    if hooks == _NO_HOOKS:
        return {"response": ours}
    others = [hook for hook in _response_hooks(hooks) if not isinstance(hook, (Retry, Unpickled))]
    return {**(hooks or {}), "response": [*ours, *others]}


def retry_of(request: PreparedRequest) -> Retry | None:
    """Return the `Retry` among a request's hooks, if there is one."""
    return next((hook for hook in _response_hooks(request.hooks) if isinstance(hook, Retry)), None)
