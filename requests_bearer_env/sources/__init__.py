"""The sources of a key: environment variable, file and provider, read in this order.

Each kind of source is a subclass of `requests_bearer_env.sources.base.Source` in a module of its own, and
`Sources` constructs it. The module ``cache`` has the source of a provider with ``ttl=``. The module ``command``
makes a provider, and has no source.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from requests_bearer_env.errors import MissingKeyError, clear_frames

from .base import PAUSES, Reading, refusal_lifetime
from .env import DEFAULT_ENV, EnvSource
from .file import FileSource
from .provider import ProviderSource

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from requests_bearer_env.credential import Credential

    from .base import Provider, Source


class Sources:
    """The sources of one auth object, and whether a server has just refused their key."""

    __slots__ = ("_known_refusal", "each", "remembered")

    def __init__(
        self, env: str | None, file: str | os.PathLike[str] | None, provider: Provider | None, ttl: float | None
    ) -> None:
        """Make a source of each argument, or the default source if there are none.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is not valid.
        """
        each: list[Source] = []
        if env is not None:
            each.append(EnvSource(env))
        if file is not None:
            each.append(FileSource(file))
        if provider is not None and ttl is not None:
            from .cache import CachedProviderSource  # few programs use it

            each.append(CachedProviderSource(provider, ttl))
        elif provider is not None:
            each.append(ProviderSource(provider))
        elif ttl is not None:
            raise ValueError("ttl= needs provider=, because only a provider's key is cached: leave it out")
        #: The sources, in the order in which they are read.
        self.each: tuple[Source, ...] = tuple(each) or (EnvSource(DEFAULT_ENV),)
        #: Seconds for which the sources are not read again for a refused key that they still had.
        self.remembered: float = refusal_lifetime(ttl)
        #: The last refused key that the sources still had when they were read again: its hash, so that no key
        #: outlives its request; its source; and the time until which the sources are not read for it again.
        self._known_refusal: tuple[int, str, float] | None = None

    def read(self) -> Reading:
        """Read the sources in turn until one has a key.

        Raises:
            InvalidKeyError: A source has a value that cannot be a key.
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
        except BaseException as error:  # not through `without_locals`, because each request calls this
            clear_frames(error)
            raise

    def _read_again(self, readings: list[Reading]) -> Reading:
        """Read missing files again, because programs that replace a file may remove it first."""
        awaited = [number for number, reading in enumerate(readings) if reading.awaited]
        for pause in PAUSES if awaited else ():
            time.sleep(pause)
            for number in awaited:
                readings[number] = self.each[number].read()
                if readings[number].credential is not None:
                    return readings[number]
        raise MissingKeyError(*explain_missing(self.each, readings))

    def read_after_refusal(self, refused: Credential | None, since: int) -> tuple[Reading, bool]:
        """Read the sources again because a server refused a key.

        If they still have the refused key, they are not read for it again for some seconds; see
        `requests_bearer_env.sources.base.refusal_lifetime`.

        Args:
            refused: The value of the refused header; None if the request had none.
            since: When the refused request was prepared, as returned by `next_event`.

        Returns:
            A pair. First, the current key, which may be the refused one. Second, whether the sources were
            read for it.

        Raises:
            BearerAuthError: As `read` does.
        """
        if refused is None:
            return self.read(), True
        known = self._known_refusal
        if known is not None and known[0] == hash(refused) and time.monotonic() < known[2]:
            return Reading(refused, known[1]), False
        self.forget(refused, since)
        reading = self.read()
        if reading.credential == refused:
            self._known_refusal = hash(refused), reading.where, time.monotonic() + self.remembered
        return reading, True

    def forget(self, refused: Credential, since: int) -> None:
        """Drop the cached key if it is the refused one; see `Source.forget`."""
        for source in self.each:
            source.forget(refused, since)

    def options(self) -> dict[str, Any]:
        """Return the arguments of BearerEnvAuth that make these sources."""
        return {option: value for source in self.each for option, value in source.options().items()}

    def __repr__(self) -> str:
        return ", ".join(map(repr, self.each))


def explain_missing(each: Sequence[Source], readings: Sequence[Reading]) -> tuple[str, str]:
    """Return why none of the sources has a key, and what to do."""
    hints = [source.hint() for source in each]
    seen = "".join(hint.seen for hint in hints)
    advice = each[0].advice() if len(each) == 1 else "store the key in one of these places"
    remedy = next((hint.remedy for hint in hints if hint.remedy), advice)
    return f"no key found because {' and '.join(reading.missing for reading in readings)}{seen}", remedy
