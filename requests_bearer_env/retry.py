"""What happens when the server says 401: the key is asked for again and, if it changed, sent once more."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from requests.exceptions import RequestException
from requests.utils import select_proxy

from .credential import Credential
from .destination import origin_of
from .errors import BearerAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response

    from .auth import BearerEnvAuth

_log = logging.getLogger("requests_bearer_env")


class Retry:
    """The response hook of one prepared request.

    It knows what the request was prepared for, since a redirect leaves no trace of that in the
    request it makes. requests calls it for each response on the way, but not for its own resend.
    """

    __slots__ = ("_auth", "_replay", "_url")

    def __init__(self, auth: BearerEnvAuth | None, url: str | None, replay: tuple[Any, Any] | None) -> None:
        """Remember what the request is.

        Args:
            auth: Where to ask again; None in a pickled request, whose key was left out.
            url: The URL the key was meant for.
            replay: The body and where it began, if it is a file.
        """
        self._auth = auth
        self._url = url
        self._replay = replay

    def __copy__(self) -> Retry:
        return self

    def __deepcopy__(self, memo: object) -> Retry:
        return self

    def __reduce__(self) -> tuple[type[Retry], tuple[None, None, None]]:
        # Without its provider, which need not be picklable, a response still is.
        return Retry, (None, None, None)

    def __call__(self, response: Response, **kwargs: Any) -> Response | None:
        """Answer a 401 with the key as it is now; return None to leave the response as it is."""
        if not from_session(kwargs):
            return None
        if response.status_code != 401:
            if response.is_redirect and self._auth is not None and not self._meant_for(self._auth, response):
                unhook(response)
            return None
        if self._auth is None:
            _log.warning("the server answered 401 to a request that was pickled, without its key: prepare it anew")
            return None
        return self._answer_with(self._auth, response, kwargs)

    def _answer_with(self, auth: BearerEnvAuth, response: Response, kwargs: dict[str, Any]) -> Response | None:
        """Ask again, and send the request once more if the key has changed."""
        request = response.request
        # It hides itself, also where the header went through other hands.
        refused = Credential(str(request.headers.get("Authorization", "")))
        if not self._may_send(auth, response, kwargs):
            _log.debug("the 401 of %s stands: the key is not meant for there", origin_of(request.url))
            return None
        auth.forget(refused, time.monotonic() - response.elapsed.total_seconds())
        try:
            credential = auth.credential()
        except BearerAuthError as error:
            _log.warning("the server answered 401, and asking for the key again failed: %s", error)
            return None
        if credential == refused:
            _log.debug("the 401 of %s stands: the key is still the same", origin_of(request.url))
            return None
        request = request.copy()
        request.headers["Authorization"] = credential
        now = time.monotonic()
        again = resend(response, request, self._replay, kwargs, "the key has changed")
        if again is not None and again.status_code == 401:
            auth.forget(credential, now)  # for the next request
        return again

    def _meant_for(self, auth: BearerEnvAuth, response: Response) -> bool:
        """Whether the key was meant for where a response is from: the same origin, or a host that ``hosts=`` names."""
        url = response.request.url
        return origin_of(url) == origin_of(self._url) or auth.destination.names(url)

    def _may_send(self, auth: BearerEnvAuth, response: Response, kwargs: dict[str, Any]) -> bool:
        """Whether the key may be sent to where a 401 is from."""
        url = response.request.url
        if not self._meant_for(auth, response):
            return False
        # At the origin the header is absent only if requests has dropped it on the way, elsewhere.
        if "Authorization" not in response.request.headers and not auth.destination.names(url):
            return False
        try:
            auth.destination.check(url)
        except BearerAuthError:
            return False
        # In clear only directly; here the proxies of the very request are known.
        return str(url).startswith("https:") or not select_proxy(str(url), kwargs.get("proxies"))


def from_session(kwargs: Mapping[str, Any]) -> bool:
    """Whether a hook is called by requests' own `requests.Session.send`, with what it has sent the request with.

    requests-cache calls the hooks of the first request once more in the end, with what it was given.
    """
    return "verify" in kwargs and "allow_redirects" not in kwargs


def response_hooks(hooks: Mapping[str, Any] | None) -> list[Any]:
    """A request's response hooks: requests takes one or several, or none at all."""
    found: Any = (hooks or {}).get("response") or ()
    return [found] if callable(found) else list(found)


def hooked(hooks: Mapping[str, Any] | None, *ours: Retry) -> dict[str, Any]:
    """A request's hooks with ours, once; new ones, for a request and its copies share theirs.

    Ours is the first, for others may raise at a 401.
    """
    others = [hook for hook in response_hooks(hooks) if not isinstance(hook, Retry)]
    return {**(hooks or {}), "response": [*ours, *others]}


def unhook(response: Response) -> None:
    """Put no key on any request that follows a redirect: it is from where no key is meant for.

    Whoever redirects from there chooses the URL, also one of where the key belongs.
    """
    response.request.hooks = hooked(response.request.hooks)


def beginning(body: Any) -> tuple[Any, Any] | None:
    """A body and the position it begins at, or None if it has no positions."""
    try:
        return body, body.tell()
    except Exception:
        return None  # whatever a body of other people's says


def rewind(body: Any, replay: tuple[Any, Any] | None) -> bool:
    """Set a body to where it began, if that can be done."""
    if body is None or isinstance(body, (str, bytes, bytearray, memoryview)):
        return True
    if replay is None or replay[0] is not body:
        return False
    try:
        body.seek(replay[1])
    except Exception:
        return False  # as above
    return True


def resend(
    response: Response, request: PreparedRequest, replay: tuple[Any, Any] | None, kwargs: dict[str, Any], reason: str
) -> Response | None:
    """Send a request as the first try was sent, and put that into the history.

    Args:
        response: The first try's 401.
        request: What to send.
        replay: Its body and where that began, if it is a file.
        kwargs: What the first try was sent with.
        reason: Why to send it, for the log.

    Returns:
        The answer, or None if it cannot be sent.
    """
    if getattr(response, "connection", None) is None:
        _log.warning("%s, but this transport adapter cannot send again, so the 401 stands", reason)
        return None
    if not rewind(request.body, replay):
        _log.warning("%s, but the request's body cannot be sent twice, so the 401 stands", reason)
        return None
    _log.debug("%s: sending the request to %s once more", reason, origin_of(request.url))
    if not kwargs.get("stream"):
        try:
            _ = response.content  # read for the history, and to free the connection
        except (RequestException, RuntimeError) as error:
            _log.debug("the body of the 401 could not be read: %s", type(error).__name__)
    response.close()
    start = time.perf_counter()
    again = response.connection.send(request, **kwargs)
    again.elapsed = timedelta(seconds=time.perf_counter() - start)
    again.history = [*response.history, response]
    again.request = request
    return again
