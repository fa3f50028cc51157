"""BearerEnvAuth: is the destination allowed, what is the key, set the header, watch for a 401."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NoReturn

from requests.auth import AuthBase

from .destination import Destination
from .errors import BearerAuthError, MissingKeyError, bare, clear_frames
from .retry import Retry, beginning, hooked
from .sources.base import EnvSource, FileSource, Source
from .sources.cache import CachedProviderSource
from .sources.provider import ProviderSource

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from requests import PreparedRequest

    from .credential import Credential
    from .sources.provider import Provider

#: The hooks of a request that has none.
_NO_HOOKS: dict[str, list[object]] = {"response": []}

#: The variable that is read when no source is named.
DEFAULT_ENV = "BEARER_TOKEN"


class BearerEnvAuth(AuthBase):
    """Sends an API key as ``Authorization: Bearer <key>``, from outside the code and only over https.

    Give it to requests as ``auth=``, for one call or for a session::

        requests.post("https://tgw.local/v1/completions", json=payload, auth=BearerEnvAuth("TGW_API_KEY"))

    The sources named are asked in the order env, file, provider, anew for every request; the first
    that has a key wins. When the server answers 401 they are asked once more, and if the key has
    changed the request is sent again, once. Objects are immutable, hashable, equal by their
    arguments, picklable (without the key) and safe to share between threads.

    Args:
        env: The name of an environment variable. If it is unset or blank and the variable of that
            name with ``_FILE`` appended is set, the key is in the file that one names. Without any
            source, ``BEARER_TOKEN``.
        file: The path of a file with the key, in UTF-8, of at most 16 KiB. ``~`` and ``$VAR`` are
            expanded at each request.
        provider: A callable without arguments that returns the key as a str, as bytes in ASCII, or
            None for no key. It must not wait for another thread that uses this very auth. See
            `command` for one that runs a program.
        ttl: Seconds to keep the provider's key; all threads share it. Some 80 to 90 % into that
            time one thread asks ahead. Without it, the provider is called for every request.
        hosts: Host patterns that the key is bound to: ``api.example.com``, ``*.example.org`` (any
            depth of subdomain, not the domain itself), ``tgw.local:5000``; without a port, any port.
            After a redirect to one of them the key is sent there if the server answers 401.
        allow_http: Hosts, without wildcards, that may be reached by plain HTTP, and only directly:
            not if the environment's proxy settings apply. ``proxies=`` and ``session.proxies`` are not seen.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: ``env`` is no variable's name (it is not shown, for it may be the key); ``hosts`` is
            empty or not host patterns; ``allow_http`` has a wildcard; ``ttl`` is not positive and finite or
            comes without a provider; ``file`` is blank.

    Each request may raise a `BearerAuthError` before anything is sent; see `requests_bearer_env.errors`.
    The header is that of RFC 6750 section 2.1; the hook is what requests' documentation calls a response hook.
    """

    destination: Destination
    sources: tuple[Source, ...]

    def __init__(
        self,
        env: str | None = None,
        *,
        file: str | os.PathLike[str] | None = None,
        provider: Provider | None = None,
        ttl: float | None = None,
        hosts: Iterable[str] | str | None = None,
        allow_http: Iterable[str] | str = (),
    ) -> None:
        made: tuple[tuple[Source, ...], Destination] | TypeError | ValueError
        try:
            made = _sources(env, file, provider, ttl), Destination(hosts, allow_http)
        except (TypeError, ValueError) as error:
            made = bare(error)
        if isinstance(made, Exception):
            # Any of them may be the key: neither this frame nor those below show it.
            del env, file, provider, ttl, hosts, allow_http
            raise made
        # Straight into the dict: attributes are read-only.
        self.__dict__["sources"], self.__dict__["destination"] = made

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Authorise a request that requests has prepared.

        Raises:
            BearerAuthError: It must not or cannot be authorised; it carries ``request=``, which is unchanged.
        """
        url = r.url
        try:
            # All that need not be parsed for is an https URL that may go anywhere.
            if self.destination.hosts is not None or not url or url[:8] != "https://":
                self.destination.check(url)
            credential = self.credential()
        except BearerAuthError as error:
            error.request = r
            raise
        body = r.body
        replay = None if body is None or type(body) is bytes else beginning(body)
        retry = Retry(self, url, replay)
        r.hooks = {"response": [retry]} if r.hooks == _NO_HOOKS else hooked(r.hooks, retry)
        r.headers["Authorization"] = credential
        return r

    def credential(self) -> Credential:
        """Ask the sources in turn.

        Returns:
            The header's value: a str that does not show itself.

        Raises:
            InvalidKeyError: A source has something that cannot be a key.
            KeySourceError: A source failed.
            MissingKeyError: None has a key.
        """
        try:
            for source in self.sources:
                credential = source.credential()
                if credential is not None:
                    return credential
        except BaseException as error:
            clear_frames(error)
            raise
        reasons = "; ".join(source.absence() for source in self.sources)
        raise MissingKeyError(f"there is no key to send: {reasons}; put the key there")

    def forget(self, refused: object, sent: float) -> None:
        """Drop what is kept, if the server refused a header's value that was sent at a time of `time.monotonic`.

        A key that was asked for since then stays, though it may be the same: so threads that are
        refused at once ask once.
        """
        for source in self.sources:
            source.forget(refused, sent)

    def _config(self) -> dict[str, Any]:
        """The arguments that make an equal object."""
        config: dict[str, Any] = {}
        for source in self.sources:
            config.update(source.options())
        if self.destination.hosts is not None:
            config["hosts"] = self.destination.hosts.patterns
        config["allow_http"] = self.destination.allow_http.patterns
        return config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BearerEnvAuth) and type(self) is type(other) and self._config() == other._config()

    def __hash__(self) -> int:
        # A provider need not be hashable, so it is left to __eq__.
        return hash(tuple(item for item in self._config().items() if item[0] != "provider"))

    def __deepcopy__(self, memo: object) -> BearerEnvAuth:
        # The provider stays the same: it may hold what cannot be copied, such as a lock.
        return copy.copy(self)

    def __repr__(self) -> str:
        if "destination" not in vars(self):
            return f"<{type(self).__name__}, not made>"
        parts = [repr(source) for source in self.sources]
        if self.destination.hosts is not None:
            parts.append(f"hosts={list(self.destination.hosts.patterns)}")
        if self.destination.allow_http.patterns:
            parts.append(f"allow_http={list(self.destination.allow_http.patterns)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __getstate__(self) -> dict[str, Any]:
        return self._config()

    def __setstate__(self, state: dict[str, Any]) -> None:
        BearerEnvAuth.__init__(self, **state)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one")


def _sources(
    env: str | None, file: str | os.PathLike[str] | None, provider: Provider | None, ttl: float | None
) -> tuple[Source, ...]:
    """The sources that are named, in the order they are asked, or the default."""
    sources: list[Source] = []
    if env is not None:
        sources.append(EnvSource(env))
    if file is not None:
        sources.append(FileSource(file))
    if provider is not None:
        sources.append(ProviderSource(provider) if ttl is None else CachedProviderSource(provider, ttl))
    elif ttl is not None:
        raise ValueError("ttl= comes without provider=, and only a provider's key is kept: leave it out")
    return tuple(sources) or (EnvSource(DEFAULT_ENV),)
