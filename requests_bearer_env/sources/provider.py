"""A provider: a callable that returns the key and is called for every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests_bearer_env.credential import parse
from requests_bearer_env.errors import InvalidKeyError, KeySourceError

from .base import Reading, Source

if TYPE_CHECKING:
    from .base import Provider


class ProviderError(Exception):
    """A provider of this package failed; its two arguments are the problem and the remedy of a `KeySourceError`."""


class ProviderSource(Source):
    """A callable that returns the key."""

    __slots__ = ("_provider",)

    def __init__(self, provider: Provider) -> None:
        """Check the provider.

        Raises:
            TypeError: ``provider`` is not callable.
        """
        if not callable(provider):
            raise TypeError(f"provider= is {type(provider).__name__}: give a function that returns the key")
        self._provider = provider

    def options(self) -> dict[str, Any]:
        return {"provider": self._provider}

    def read(self) -> Reading:
        where = self.where()
        credential, trimmed = parse(self._text(where), where)
        return Reading(credential, where, trimmed, f"{where} returned no key" if credential is None else "")

    def _text(self, where: str) -> str:
        """Call the provider and return its value as a str, which is blank for None."""
        try:
            value: object = self._provider()
        except ProviderError as error:
            failure = KeySourceError(*error.args)
        except Exception as error:
            failure = KeySourceError(f"{where} raised {type(error).__name__}", "call it directly to see why")
            failure.__cause__ = error
        else:
            if value is None:
                return ""
            if isinstance(value, bytes):
                return value.decode("utf-8", "surrogateescape")
            if isinstance(value, str):
                return value
            kind = type(value).__name__
            del value
            raise InvalidKeyError(f"{where} returned {kind}, not a key", "return a str, bytes in ASCII, or None")
        raise failure

    def advice(self) -> str:
        return "run it by hand to see what it returns"

    def where(self) -> str:
        """Return the provider in words, as `Reading.where` has it."""
        # The repr of a functools.partial shows its arguments, so it is not used.
        return f"provider {getattr(self._provider, '__name__', None) or type(self._provider).__name__}"

    def __repr__(self) -> str:
        return f"provider={self.where().removeprefix('provider ')}"
