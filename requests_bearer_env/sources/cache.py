"""A provider whose key is cached (``ttl=``) and shared by all threads."""

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

#: The generator of the random module may be seeded alike in every program of a fleet, which would then refresh
#: its keys at the same time.
_random = random.SystemRandom()

#: Guards the attributes of every cache. Providers are called without it. All caches share it, so that auth
#: objects hold no lock, and it is reentrant because a signal handler may send a request. A forked child
#: gets another lock, whose identity distinguishes the child's calls from those it inherited.
_lock = threading.RLock()


def _renew_lock() -> None:
    """Give a forked child a free lock, because another thread of the parent may hold the inherited one."""
    global _lock
    _lock = threading.RLock()


# Windows has neither fork nor register_at_fork; dict() ignores the argument there.
getattr(os, "register_at_fork", dict)(after_in_child=_renew_lock)


class _Entry(NamedTuple):
    """A cached key.

    Attributes:
        reading: The key and its source.
        number: When the provider was called, as a number of `count`.
        answered: When the provider returned it, as a time of `time.monotonic`.
        refresh: When one thread asks ahead, as a time of `time.monotonic`.
        expiry: When the key expires, as a time of `time.monotonic`.
        process: The lock of the process that made this entry.
        refused: Whether a server has refused the key since. It is used again only if the provider now fails.
    """

    reading: Reading
    number: int
    answered: float
    refresh: float
    expiry: float
    process: object
    refused: bool = False


class _Flight:
    """One call of the provider and, afterwards, its outcome for the threads that wait for it.

    The calling thread holds ``asking`` during the call. A ``with`` statement releases the lock even if a
    signal handler raises, so that no thread waits for a call that was interrupted.

    Attributes:
        asking: The lock that is held during the call.
        error: The exception for the waiting threads.
        number: When the call began, as a number of `count`.
        over: Whether a waiting thread has seen the end of the call.
        process: The lock of the process that makes the call.
        reading: The key for the waiting threads. If neither this nor ``error`` is set, the call was interrupted.
        thread: The calling thread.
    """

    __slots__ = ("asking", "error", "number", "over", "process", "reading", "thread")

    def __init__(self) -> None:
        self.asking = threading.Lock()
        self.over = False
        self.number = 0
        self.reading: Reading | None = None
        self.error: BearerAuthError | None = None
        self.process = _lock
        self.thread = threading.get_ident()

    def is_running(self) -> bool:
        """Return whether a thread is calling the provider; a forked child has inherited no such thread."""
        return self.process is _lock and not self.over and self.asking.locked()


class CachedProviderSource(ProviderSource):
    """A provider whose key is cached, and which only one thread at a time calls."""

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
        """Call the provider, wait for the thread that is calling it, or return a key that is still valid."""
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
                        mine.number = count()
                        break
                if flight.thread == threading.get_ident():
                    raise KeySourceError(
                        f"{self.where()} is already being called by this thread",
                        "use the auth neither in its own provider nor in a signal handler",
                    )
                with flight.asking:
                    # A waiting thread that holds the lock must not be mistaken for a running call. Windows passes
                    # a released lock to the next waiting thread, so they would wait for each other forever.
                    flight.over = True
                if flight.error is not None:
                    raise flight.error.copy()  # each thread adds its request to its own copy
                if flight.reading is not None:
                    return flight.reading
                # The call was interrupted, so this thread tries again.
            return self._call(mine, entry)

    def _call(self, flight: _Flight, entry: _Entry | None) -> Reading:
        """Call the provider; if it fails while the entry's key is valid, log the failure and return that key."""
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
        """Return the entry. A forked child draws a new time to ask ahead, so that children do not ask together."""
        entry = self._entry
        if entry is not None and entry.process is not _lock:
            entry = self._entry = entry._replace(refresh=self._draw_refresh(entry.expiry), process=_lock)
        return entry

    def _draw_refresh(self, expiry: float) -> float:
        """Return a random time after 80 to 90 % of an entry's lifetime."""
        return expiry - self._ttl * _random.uniform(0.1, 0.2)

    def _store(self, flight: _Flight, entry: _Entry | None) -> Reading | None:
        """Cache the result of a call; if the call failed, return the cached key if it can still be used."""
        with _lock:
            if self._flight is not flight:  # a server has refused the key since the call began
                return None
            self._flight = None
            reading, now = flight.reading, time.monotonic()
            if reading is not None and reading.credential is not None:
                expiry = now + self._ttl
                self._entry = _Entry(reading, flight.number, now, self._draw_refresh(expiry), expiry, _lock)
            elif entry is not None and entry is self._entry and now < entry.expiry:
                # Do not ask ahead again. Use even a refused key, because other servers may still accept it.
                self._entry = entry._replace(refresh=entry.expiry, refused=False)
                flight.reading, flight.error = entry.reading, None  # the waiting threads use it, too
                return None if entry.refused else entry.reading
            return None

    def forget(self, refused: Credential, since: int) -> None:
        with _lock:
            entry, flight = self._entry, self._flight
            if entry is None or entry.reading.credential != refused:
                return
            if entry.number > since and time.monotonic() - entry.answered < remembered_for(self._ttl):
                return  # the provider returned this key after the refused request was prepared, and just now
            self._entry = entry._replace(refused=True)
            if flight is not None and flight.number < since:
                self._flight = None  # the call may return the refused key again
