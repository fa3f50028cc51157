"""A provider: a callable that returns the key, asked for every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from requests_bearer_env.credential import Credential, parse
from requests_bearer_env.errors import BearerAuthError, InvalidKeyError, KeySourceError

from .base import Source

if TYPE_CHECKING:
    from collections.abc import Callable

    Provider = Callable[[], str | bytes | None]


class Outcome(NamedTuple):
    """What asking a provider gave: a credential, nothing, or a failure that any thread can raise."""

    credential: Credential | None
    error: type[BearerAuthError] = BearerAuthError
    message: str = ""
    cause: BaseException | None = None

    def result(self) -> Credential | None:
        """Return the credential, or raise the failure as an exception of its own."""
        if self.message:
            raise self.error(self.message) from self.cause
        return self.credential


class ProviderError(Exception):
    """A provider of ours failed and says why in words that hold no key."""


class ProviderSource(Source):
    """A callable that returns the key."""

    __slots__ = ("_provider",)

    def __init__(self, provider: Provider) -> None:
        if not callable(provider):
            raise TypeError(f"provider= is {type(provider).__name__}: give a function that returns the key")
        self._provider = provider

    def options(self) -> dict[str, Any]:
        return {"provider": self._provider}

    def credential(self) -> Credential | None:
        return self.ask().result()

    def ask(self) -> Outcome:
        """Call the provider; an `Exception` becomes an outcome, an interrupt passes."""
        try:
            value: object = self._provider()
        except ProviderError as error:
            return Outcome(None, KeySourceError, str(error))
        except Exception as error:
            name = type(error).__name__
            return Outcome(None, KeySourceError, f"{self.where()} raised {name}: call it by hand to see why", error)
        if value is None:
            return Outcome(None)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if not isinstance(value, str):
            name = type(value).__name__
            return Outcome(None, InvalidKeyError, f"{self.where()} returned {name}: it must return a str, or None")
        try:
            return Outcome(parse(value, self))
        except InvalidKeyError as error:
            return Outcome(None, InvalidKeyError, str(error))

    def where(self) -> str:
        # Not its repr, in which a partial shows its arguments.
        return f"provider {getattr(self._provider, '__name__', None) or type(self._provider).__name__}"

    def absence(self) -> str:
        return f"{self.where()} returned nothing"
