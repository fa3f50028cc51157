"""MountedAuth: one session, several keys, each only where it is mounted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from requests.auth import AuthBase
from requests.utils import select_proxy

from .auth import BearerEnvAuth
from .errors import BearerAuthError, bare
from .prefix import Place, Prefix, prefix_of
from .retry import Retry, beginning, from_session, hooked, resend, response_hooks, rewind, unhook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from requests import PreparedRequest, Response

_log = logging.getLogger("requests_bearer_env")


class _Mount(NamedTuple):
    """An auth and where it is mounted."""

    prefix: Prefix
    auth: AuthBase


class MountedAuth(AuthBase):
    """Chooses an auth by the URL, as ``session.mount`` chooses an adapter.

    The longest matching prefix decides::

        session.auth = MountedAuth({
            "https://tgw.local/v1/internal/": BearerEnvAuth("TGW_ADMIN_KEY"),
            "https://tgw.local/": BearerEnvAuth("TGW_API_KEY"),
        })

    A prefix matches on the origin exactly (scheme, host, port: RFC 6454) and on whole path segments,
    with or without a slash at its end, after dot segments are resolved (RFC 3986 section 5.2.4). A
    path that a server might read otherwise, with an encoded slash for one, matches only if it does in
    every reading. A URL without a match gets no Authorization header at all.

    After a redirect from one mount to a URL of another, a 401 from there is answered with the auth
    that is mounted there, unless the way led over a URL without a mount. Note that requests keeps the
    header on a redirect within an origin, also where the path leaves its prefix, and any other header
    than Authorization that an auth sets on every redirect. ``hosts=`` of a mounted `BearerEnvAuth`
    still refuses hosts, but does not send its key to any that it is not mounted for.

    Args:
        mounts: Auth objects by URL prefix. An ``http://`` prefix is possible; its auth still decides
            whether it sends anything there.

    Raises:
        TypeError: Not a mapping, a prefix is no str, or a value is no `requests.auth.AuthBase`.
        ValueError: It is empty, a prefix is not a plain URL of scheme, host and path, or two are the same.
    """

    mounts: tuple[_Mount, ...]

    def __init__(self, mounts: Mapping[str, AuthBase]) -> None:
        made: tuple[_Mount, ...] | TypeError | ValueError
        try:
            made = _mounts(mounts)
        except (TypeError, ValueError) as error:
            made = bare(error)
        if isinstance(made, Exception):
            del mounts  # a key may be among them, in the wrong place
            raise made
        # Straight into the dict: attributes are read-only.
        self.__dict__["mounts"] = made

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Let the auth that is mounted for the URL authorise the request.

        Raises:
            BearerAuthError: That auth refuses; the request is unchanged.
        """
        mount = self.mount_of(r.url)
        original = r.hooks
        if mount is None:
            r.headers.pop("Authorization", None)
            r.hooks = hooked(original)
            return r
        replay = beginning(r.body)
        r.hooks = {**(original or {}), "response": []}
        try:
            authorised = mount.auth(r)
        except BaseException:
            r.hooks = original
            raise
        hook = MountedRetry(self, mount, tuple(response_hooks(authorised.hooks)), replay)
        authorised.hooks = hooked(original, hook)
        return authorised

    def mount_of(self, url: str | None) -> _Mount | None:
        """The mount that decides for a prepared URL, or None."""
        place = Place.of(url)
        return next((mount for mount in self.mounts if mount.prefix.covers(place)), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MountedAuth) and type(self) is type(other) and self.mounts == other.mounts

    def __hash__(self) -> int:
        # Other people's auth objects need not be hashable, so they are left to __eq__.
        return hash(tuple(mount.prefix for mount in self.mounts))

    def __repr__(self) -> str:
        if "mounts" not in vars(self):
            return f"<{type(self).__name__}, not made>"
        # Not the repr of other people's auth objects, which may show what they hold.
        ours = (BearerEnvAuth, MountedAuth)
        shown = (
            f"{str(mount.prefix)!r}: {mount.auth if isinstance(mount.auth, ours) else type(mount.auth).__name__}"
            for mount in self.mounts
        )
        return f"{type(self).__name__}({{{', '.join(shown)}}})"

    def __getstate__(self) -> dict[str, AuthBase]:
        return {str(mount.prefix): mount.auth for mount in self.mounts}

    def __setstate__(self, state: dict[str, AuthBase]) -> None:
        MountedAuth.__init__(self, state)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one")


def _mounts(mounts: Mapping[str, AuthBase]) -> tuple[_Mount, ...]:
    """Check and normalise them; the longest path first."""
    if not isinstance(mounts, Mapping):
        raise TypeError(f"mounts are {type(mounts).__name__}: give a dict of URL prefixes and auth objects")
    if not mounts:
        raise ValueError("mounts are empty, so no request would get a key: give URL prefixes and auth objects")
    made = [_mount(number, prefix, auth) for number, (prefix, auth) in enumerate(mounts.items(), start=1)]
    if len({mount.prefix for mount in made}) < len(made):
        raise ValueError("two prefixes are the same, so nobody can tell which key is meant: leave one of them out")
    return tuple(sorted(made, key=lambda mount: (-len(mount.prefix.path), str(mount.prefix))))


def _mount(number: int, prefix: object, auth: object) -> _Mount:
    """Check and normalise one mount."""
    what = f"prefix {number}"
    if not isinstance(auth, AuthBase):
        raise TypeError(f"what is mounted at {what} is {type(auth).__name__}: give an auth object")
    return _Mount(prefix_of(what, prefix), auth)


class MountedRetry(Retry):
    """The response hook of one request that a MountedAuth has prepared."""

    __slots__ = ("_hooks", "_mount", "_mounts")

    def __init__(
        self,
        mounts: MountedAuth | None,
        mount: _Mount | None,
        hooks: tuple[Callable[..., Any], ...],
        replay: tuple[Any, Any] | None,
    ) -> None:
        """Remember what the request is.

        Args:
            mounts: Where to look for other URLs' auth; None in a pickled request.
            mount: The mount whose auth has prepared the request.
            hooks: The response hooks of that auth; they are for the URLs of that mount only.
            replay: The body and where it began, if it is a file.
        """
        super().__init__(None, None, replay)
        self._mounts = mounts
        self._mount = mount
        self._hooks = hooks

    def __reduce__(self) -> tuple[type[Retry], tuple[Any, ...]]:
        return MountedRetry, (None, None, (), None)

    def __call__(self, response: Response, **kwargs: Any) -> Response | None:
        """Let the hooks of the auth do their work where it is mounted; elsewhere answer a 401."""
        if self._mounts is None:
            return super().__call__(response, **kwargs)
        if not from_session(kwargs):
            return None
        mount = self._mounts.mount_of(response.request.url)
        if mount is self._mount:
            return _run(self._hooks, response, kwargs)
        if mount is not None:
            return self._answer(mount, response, kwargs) if response.status_code == 401 else None
        if response.is_redirect:
            unhook(response)
        return None

    def _answer(self, mount: _Mount, response: Response, kwargs: dict[str, Any]) -> Response | None:
        """Send the request again with the auth that is mounted where a redirect has led."""
        request = response.request.copy()
        if str(request.url).startswith("http:") and select_proxy(str(request.url), kwargs.get("proxies")):
            _log.debug("the 401 of %s stands: a proxy would read the key", mount.prefix.origin)
            return None
        request.headers.pop("Authorization", None)
        request.hooks = {"response": []}
        rewind(request.body, self._replay)  # for that auth, too, remembers where it begins
        try:
            request = mount.auth(request)
        except BearerAuthError as error:
            _log.warning("the server answered 401 after a redirect, and there is no key for it: %s", error)
            return None
        if "Authorization" not in request.headers:  # it waits for a challenge, as Digest does
            return _run(response_hooks(request.hooks), response, kwargs)
        if request.headers["Authorization"] == response.request.headers.get("Authorization"):
            return None
        again = resend(response, request, self._replay, kwargs, "there is a key for where the redirect led")
        # The key that is mounted there may have been rotated as well.
        return None if again is None else _run(response_hooks(request.hooks), again, kwargs)


def _run(hooks: Sequence[Callable[..., Any]], response: Response, kwargs: dict[str, Any]) -> Response:
    """Call response hooks in turn, as requests does."""
    for hook in hooks:
        answer = hook(response, **kwargs)
        response = response if answer is None else answer  # one with an error counts as false
    return response
