"""BearerEnvAuth: check the destination, read the key, set the header, install the hook for refusals."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NoReturn, cast

from requests.auth import AuthBase

from .destination import Destination, origin_of
from .errors import BearerAuthError, without_locals
from .replay import body_position
from .retry import Retry, Trust, replace_hook
from .sources import Sources

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from requests import PreparedRequest

    from .credential import Credential
    from .retry import Auth
    from .sources.base import Provider


class KeyAuth(AuthBase, Trust):
    """The base class of `BearerEnvAuth` and `MountedAuth`, whose objects are immutable.

    As the `Trust` of the requests that it prepares, an object decides which URLs of their redirect chains may
    get a key.
    """

    def __deepcopy__(self, memo: object) -> KeyAuth:
        # The copy shares the provider, which may hold an object that cannot be copied, such as a lock.
        return copy.copy(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one")


class BearerEnvAuth(KeyAuth):
    """An auth that reads an API key for each request, and sends it as ``Authorization: Bearer <key>``.

    Pass it to requests as ``auth=``, or set it as the ``auth`` of a session::

        requests.post("https://tgw.local/v1/completions", json=payload, auth=BearerEnvAuth("TGW_API_KEY"))

    The key is sent only over https, or over plain HTTP to hosts that ``allow_http=`` names. Each request reads
    the named sources in the order env, file, provider, and the first that has a key wins. When the
    server refuses the key, the sources are read again, and if the key has changed the request is sent once more.
    Objects are immutable, hashable, equal by their arguments, picklable (without the key) and safe to share between
    threads.

    Args:
        env: The name of an environment variable. If it is unset or blank, the key is read from the file that
            the variable ``<env>_FILE`` names. If both are set, a request raises `KeySourceError`. The default
            is ``BEARER_TOKEN`` if no other source is named.
        file: The path of a UTF-8 file of at most 16 KiB with the key. ``~`` and ``$VAR`` are expanded at each
            request. Only a regular file is read.
        provider: A callable without arguments that returns the key as a str, as bytes in ASCII, or
            None for no key. `command` makes a provider that runs a program. With ``ttl``, the provider must not
            wait for another thread that uses the same auth, because that thread may wait for it.
        ttl: Seconds for which the provider's key is cached and shared by all threads. After 80 to 90 % of
            that time, one thread refreshes the key early, and the others use the cached key meanwhile.
            Without ``ttl``, the provider is called for every request.
        hosts: Host patterns that the key is bound to: ``api.example.com``, ``*.example.org`` (every
            subdomain, but not ``example.org``), ``tgw.local:5000``. A pattern without a port matches any
            port. When a server redirects to another origin, requests drops the key (except from http to https
            on the standard ports of one host). The key is sent again only if the new URL is https, its host is
            one of these, and its server refuses the request without the key.
        allow_http: Hosts, without wildcards, that may be reached by plain HTTP over a direct connection.
            The request is not sent if the environment's proxy settings apply to it. An auth cannot see
            ``proxies=`` and ``session.proxies``: through such a proxy, the key is sent in plain text.
        refresh_on: One or more statuses, from 400 to 599, that mean that the server refused the key. The
            default is 401; Jupyter Server answers 403, and LiteLLM 400. A Bearer challenge with
            ``error="invalid_token"`` counts as a refusal at any status from 400.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: ``env`` is not the name of a variable (the message does not show it, because it may be
            the key); ``hosts`` is empty or not host patterns; ``allow_http`` has a wildcard; ``ttl`` is not
            positive and finite, or comes without a provider; ``file`` is blank; ``refresh_on`` is empty or
            has a status outside 400 to 599.

    Each request may raise a `BearerAuthError` before anything is sent; see `requests_bearer_env.errors`.
    RFC 6750 section 2.1 defines the header. A refused request is resent from a response hook; see "Event
    Hooks" in the documentation of requests.
    """

    destination: Destination
    sources: Sources
    refresh_on: frozenset[int]

    @without_locals
    def __init__(
        self,
        env: str | None = None,
        *,
        file: str | os.PathLike[str] | None = None,
        provider: Provider | None = None,
        ttl: float | None = None,
        hosts: Iterable[str] | str | None = None,
        allow_http: Iterable[str] | str = (),
        refresh_on: Iterable[int] | int = (401,),
    ) -> None:
        # Through vars(), because __setattr__ raises.
        vars(self).update(
            sources=Sources(env, file, provider, ttl),
            destination=Destination(hosts, allow_http),
            refresh_on=_statuses(refresh_on),
        )

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Authorise a prepared request.

        Raises:
            BearerAuthError: The request must not or cannot be authorised. It is unchanged, and is the
                exception's ``request``.
        """
        try:
            self.destination.check(r.url)
            # If no source has a key, read() raises MissingKeyError, so the credential is not None.
            credential: Any = self.sources.read().credential
        except BearerAuthError as error:
            error.request = r
            raise
        r.headers["Authorization"] = credential
        r.hooks = replace_hook(r.hooks, Retry(self, self, r.url, credential, body_position(r.body)))
        return r

    def credential(self) -> Credential:
        """Read the sources as a request does, but without a check of the destination.

        Returns:
            The header's value: a str that hides itself in ``repr``.

        Raises:
            InvalidKeyError: A source has a value that cannot be a key.
            KeySourceError: A source failed.
            MissingKeyError: No source has a key.
        """
        return cast("Credential", self.sources.read().credential)

    def auth_for(self, url: str, start: str, /) -> tuple[bool, Auth | None]:
        """Return whether a URL is trusted, and the auth for it; see `requests_bearer_env.retry.Trust.auth_for`."""
        at_origin = origin_of(url) == origin_of(start)
        # permits() has compared the URL with hosts=, if that was given.
        if not self.destination.permits(url) or (not at_origin and self.destination.hosts is None):
            return False, None
        # At another origin, a refusal is handled only over https, even if allow_http= names the host.
        is_handled = at_origin or url.startswith("https:")
        return True, self if is_handled else None

    def _limits(self) -> dict[str, tuple[object, ...]]:
        """Return the arguments other than the sources, without those that have their default."""
        statuses = tuple(sorted(self.refresh_on))
        return {**self.destination.options(), **({} if statuses == (401,) else {"refresh_on": statuses})}

    def _config(self) -> dict[str, Any]:
        """Return the arguments that make an equal object."""
        return {**self.sources.options(), **self._limits()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BearerEnvAuth) and type(self) is type(other) and self._config() == other._config()

    def __hash__(self) -> int:
        # The provider may not be hashable, so it is left out.
        return hash(tuple(item for item in self._config().items() if item[0] != "provider"))

    def __repr__(self) -> str:
        if not vars(self):
            return f"<{type(self).__name__}, not initialised>"  # a debugger may call repr() during __init__
        limits = [f"{option}={list(values)}" for option, values in self._limits().items()]
        return f"{type(self).__name__}({', '.join([repr(self.sources), *limits])})"

    def __getstate__(self) -> dict[str, Any]:
        return self._config()

    def __setstate__(self, state: dict[str, Any]) -> None:
        BearerEnvAuth.__init__(self, **state)


def _statuses(refresh_on: Iterable[int] | int) -> frozenset[int]:
    """Return ``refresh_on=`` as a frozenset; raise a TypeError or ValueError if it is not valid."""
    given = [refresh_on] if isinstance(refresh_on, int) else refresh_on
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise TypeError(f"refresh_on= is {type(given).__name__}: give statuses such as (401, 403)")
    statuses = frozenset(given)
    if not all(type(status) is int for status in statuses):
        raise TypeError("refresh_on= has an item that is not an int: give statuses such as (401, 403)")
    if not statuses or not all(400 <= status <= 599 for status in statuses):
        raise ValueError(
            "refresh_on= is empty or has a status that is not from 400 to 599: give statuses such as (401, 403)"
        )
    return statuses
