"""Where a key comes from: environment variable, file, provider, in this order.

A new kind of source is a subclass of `requests_bearer_env.sources.base.Source` in a module of its own,
which `make_sources` constructs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from requests_bearer_env.errors import MissingKeyError, clear_frames

from .base import Reading, count, remembered_for
from .env import EnvSource
from .file import FileSource

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from requests_bearer_env.credential import Credential

    from .base import Provider, Source


__all__ = ["DEFAULT_ENV", "Sources", "count", "explain_missing", "make_sources"]

#: The variable that is read when no source is named.
DEFAULT_ENV = "BEARER_TOKEN"

#: Pauses, in seconds, before looking again for a missing file: a file that is replaced by remove and
#: create is missing for a moment.
_PAUSES = (0.005, 0.01, 0.015, 0.02)


_STORE = "store the key there, or name the source that has it"


class Sources:
    """The sources of one auth object, and what the server said to the key that they have."""

    __slots__ = ("_remembered", "_stands", "each")

    def __init__(self, each: tuple[Source, ...], ttl: float | None = None) -> None:
        """Take the sources in the order in which they are read.

        Args:
            each: The sources.
            ttl: Seconds for which the provider's key is cached.
        """
        self.each: tuple[Source, ...] = each
        self._remembered = remembered_for(ttl)
        #: The last refused key that the sources still had when they were read again (its hash, so that no key
        #: outlives its request), where it was from, and until when that counts.
        self._stands: tuple[int, str, float] | None = None

    def read(self) -> Reading:
        """Read the sources in turn, until one has a key.

        Raises:
            InvalidKeyError: A source has something that cannot be a key.
            KeySourceError: A source failed.
            MissingKeyError: No source has a key.
        """
        try:
            readings: list[Reading] = []
            for source in self.each:
                reading = source.read()
                if reading.credential is not None:
                    return reading
                readings.append(reading)
            return self._read_again(readings)
        except BaseException as error:
            clear_frames(error)
            raise

    def _read_again(self, readings: list[Reading]) -> Reading:
        """Look again for files that were missing."""
        awaited = [number for number, reading in enumerate(readings) if reading.awaited]
        for pause in _PAUSES if awaited else ():
            time.sleep(pause)
            for number in awaited:
                readings[number] = self.each[number].read()
                if readings[number].credential is not None:
                    return readings[number]
        raise MissingKeyError(*explain_missing(self.each, readings))

    def read_after_refusal(self, refused: Credential | None, since: int) -> tuple[Reading, bool]:
        """Read the sources again because a server refused a key.

        If that has just brought the same key back, nothing is read for some seconds: otherwise a
        revoked key, or a server that refuses every key, would make of each request a call to the vault.

        Args:
            refused: The header's value that was refused; None if there was none.
            since: When the refused request was prepared, as a number of `count`.

        Returns:
            The key as it is now, which may be the refused one; and whether the sources were really read.

        Raises:
            BearerAuthError: As `read` does.
        """
        if refused is None:
            return self.read(), True
        stands = self._stands
        if stands is not None and stands[0] == hash(refused) and time.monotonic() < stands[2]:
            return Reading(refused, stands[1]), False
        self.forget(refused, since)
        reading = self.read()
        if reading.credential == refused:
            self._stands = hash(refused), reading.where, time.monotonic() + self._remembered
        return reading, True

    def named(self, where: str) -> Source:
        """The source that a reading came from, by its words; a file that a variable names is the variable's."""
        return next((source for source in self.each if source.where() == where), self.each[0])

    def forget(self, refused: Credential, since: int) -> None:
        """Drop a cached key if it is the one that the server refused; see `Source.forget`."""
        for source in self.each:
            source.forget(refused, since)

    def options(self) -> dict[str, Any]:
        """The arguments of BearerEnvAuth that make these sources."""
        return {option: value for source in self.each for option, value in source.options().items()}

    def __repr__(self) -> str:
        return ", ".join(map(repr, self.each))


def explain_missing(each: Sequence[Source], readings: Sequence[Reading]) -> tuple[str, str]:
    """Say why none of the sources has a key, and what to do."""
    hints = [source.hint() for source in each]
    seen = "".join(hint.seen for hint in hints)
    remedy = next((hint.remedy for hint in hints if hint.remedy), _STORE)
    return f"no key found because {' and '.join(reading.missing for reading in readings)}{seen}", remedy


def make_sources(
    env: str | None,
    file: str | os.PathLike[str] | None,
    provider: Provider | None,
    ttl: float | None,
) -> Sources:
    """Make the sources that are named, or the default.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument has a value that no source can have.
    """
    each: list[Source] = []
    if env is not None:
        each.append(EnvSource(env))
    if file is not None:
        each.append(FileSource(file))
    if provider is not None:
        each.append(_provider_source(provider, ttl))
    elif ttl is not None:
        raise ValueError("ttl= needs provider=, because only a provider's key is cached: leave it out")
    return Sources(tuple(each) or (EnvSource(DEFAULT_ENV),), ttl)


def _provider_source(function: Provider, ttl: float | None) -> Source:
    """The source for a provider; its modules are imported only where they are used."""
    if ttl is None:
        from .provider import ProviderSource

        return ProviderSource(function)
    from .cache import CachedProviderSource

    return CachedProviderSource(function, ttl)
