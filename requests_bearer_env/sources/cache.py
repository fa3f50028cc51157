"""A provider whose key is cached for some time (``ttl=``), shared by all threads."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from requests_bearer_env.errors import BearerAuthError, KeySourceError

from .base import count, remembered_for
from .provider import ProviderSource

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential

    from .base import Provider, Reading

_log = logging.getLogger("requests_bearer_env")

#: Not the module's generator: programs seed that one, and a fleet must not refresh in step.
_random = random.SystemRandom()

#: Guards the few assignments below in every cache; no provider is ever called under it. All caches share
#: it, so that auth objects hold no lock, and it is reentrant because a signal handler may send a request.
#: A forked child gets another one, which tells its own calls from inherited ones.
_lock = threading.RLock()


def _renew_lock() -> None:
    """Start a forked child with a free lock: in the parent, another thread may hold it."""
    global _lock
    _lock = threading.RLock()


# On Windows, where nothing forks, this makes a dict and drops it.
getattr(os, "register_at_fork", dict)(after_in_child=_renew_lock)


class _Entry(NamedTuple):
    """A cached key.

    Attributes:
        reading: The key, and where it is from.
        number: When the provider was asked for it, as a number of `count`.
        asked: The same as a time of `time.monotonic`, as the next two are.
        refresh: When one thread asks ahead.
        expiry: When the key is no longer used.
        process: The lock of the process that made this entry.
        refused: Whether a server has refused the key since. It is used again only if the provider fails now.
    """

    reading: Reading
    number: int
    asked: float
    refresh: float
    expiry: float
    process: object
    refused: bool = False


class _Flight:
    """One call of the provider and, when it is over, what it returned or raised.

    The thread that asks holds ``asking`` meanwhile. A ``with`` statement releases it whatever happens,
    also if a signal handler raises, so that no thread waits for a call that has died.
    """

    __slots__ = ("asked", "asking", "error", "number", "over", "process", "reading", "thread")

    def __init__(self) -> None:
        self.asking = threading.Lock()
        self.over = False
        self.number = 0
        self.asked = 0.0
        self.reading: Reading | None = None
        self.error: BearerAuthError | None = None
        self.process = _lock
        self.thread = threading.get_ident()

    def is_running(self) -> bool:
        """Whether a thread is asking; in a forked child no thread carries on what the parent began."""
        return self.process is _lock and not self.over and self.asking.locked()

    def outcome(self) -> Reading | None:
        """Return what the provider returned, or None if the call was interrupted.

        Raises:
            BearerAuthError: What the call raised, as an exception of this thread's own.
        """
        if self.error is not None:
            raise self.error.copy()
        return self.reading


class CachedProviderSource(ProviderSource):
    """A provider that is called by one thread at a time, and not more often than needed."""

    __slots__ = ("_entry", "_flight", "_ttl")

    def __init__(self, provider: Provider, ttl: float) -> None:
        """Check the provider and the number of seconds.

        Raises:
            TypeError: The provider cannot be called, or ``ttl`` is no number.
            ValueError: ``ttl`` is not positive and finite.
        """
        super().__init__(provider)
        if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
            raise TypeError(f"ttl= is {type(ttl).__name__}: give a number of seconds")
        if not 0 < ttl <= sys.float_info.max:
            raise ValueError("ttl= is not a positive, finite number: give the seconds to cache the provider's key")
        self._ttl = ttl
        self._entry: _Entry | None = None
        self._flight: _Flight | None = None

    def options(self) -> dict[str, Any]:
        return {"provider": self._provider, "ttl": self._ttl}

    def read(self) -> Reading:
        entry = self._entry
        if entry is not None and not entry.refused and time.monotonic() < entry.refresh and entry.process is _lock:
            return entry.reading
        return self._renew()

    def _renew(self) -> Reading:
        """Call the provider, or wait for the thread that calls it, or return the key that is still good."""
        mine = _Flight()
        with mine.asking:
            while True:
                with _lock:
                    entry = self._own_entry()
                    flight, now = self._flight, time.monotonic()
                    waited = flight is not None and flight.is_running()
                    if entry is not None and not entry.refused and now < (entry.expiry if waited else entry.refresh):
                        return entry.reading
                    if flight is None or not waited:
                        self._flight = mine
                        mine.number, mine.asked = count(), now
                        break
                if flight.thread == threading.get_ident():
                    raise KeySourceError(
                        f"{self.where()} is already being called by this thread",
                        "use the auth neither in its own provider nor in a signal handler",
                    )
                with flight.asking:
                    # A waiting thread that holds the lock must not look like a running call. Where a lock
                    # is handed from thread to thread, as on Windows, they would wait for each other forever.
                    flight.over = True
                if flight.error is not None and self._is_good(self._entry):
                    continue  # the refused key is used again
                reading = flight.outcome()
                if reading is not None:
                    return reading
            return self._call(mine, entry)

    def _call(self, flight: _Flight, entry: _Entry | None) -> Reading:
        """Call the provider; if that fails while the entry is good, log the failure and return the entry's key."""
        try:
            reading = flight.reading = super().read()
        except BearerAuthError as error:
            flight.error = error.copy()
            kept = self._store(flight, entry)
            if kept is None:
                raise
            reason = str(error)
        else:
            kept = self._store(flight, entry)
            if kept is None:
                return reading
            reason = reading.missing
        _log.warning("asking ahead for a new key failed, the present one is used until its time is up: %s", reason)
        return kept

    def _own_entry(self) -> _Entry | None:
        """The entry; in a forked child with a time of its own to ask ahead, or a fleet would ask in step."""
        entry = self._entry
        if entry is not None and entry.process is not _lock:
            entry = self._entry = self._make_entry(entry.reading, entry.number, entry.asked, entry.expiry)
        return entry

    def _make_entry(self, reading: Reading, number: int, asked: float, expiry: float) -> _Entry:
        """An entry; asking ahead is due when 80 to 90 % of its lifetime are over."""
        return _Entry(reading, number, asked, expiry - self._ttl * _random.uniform(0.1, 0.2), expiry, _lock)

    def _store(self, flight: _Flight, entry: _Entry | None) -> Reading | None:
        """Cache what a call brought; after a failure, return the key to go on with if there is one."""
        with _lock:
            if self._flight is not flight:  # the key that it set out to renew was refused in the meantime
                return None
            self._flight = None
            now = time.monotonic()
            reading = flight.reading
            if reading is not None and reading.credential is not None:
                self._entry = self._make_entry(reading, flight.number, flight.asked, now + self._ttl)
            elif entry is not None and entry is self._entry and now < entry.expiry:
                # Asking ahead is tried once. One place may have refused a key that others still take.
                self._entry = entry._replace(refresh=entry.expiry, refused=False)
                return None if entry.refused else entry.reading
            return None

    def _is_good(self, entry: _Entry | None) -> bool:
        """Whether there is a key that can be used."""
        return entry is not None and not entry.refused and time.monotonic() < entry.expiry

    def forget(self, refused: Credential, since: int) -> None:
        with _lock:
            entry, flight = self._entry, self._flight
            if entry is None or entry.reading.credential != refused:
                return
            if entry.number > since and time.monotonic() - entry.asked < remembered_for(self._ttl):
                return  # it was asked for after the refused request was prepared, and just now
            self._entry = entry._replace(refused=True)
            if flight is not None and flight.number < since:
                self._flight = None  # it may bring the refused key again
