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

from .base import next_event, refusal_lifetime
from .provider import ProviderSource

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential

    from .base import Provider, Reading

_log = logging.getLogger("requests_bearer_env")

#: Draws from the operating system. A program may seed the random module's own generator, and a fleet of such
#: programs would refresh its keys at the same time.
_random = random.SystemRandom()

#: Guards the attributes of every cache, and is never held while a provider is called. All caches share it, so
#: that only one lock has to be replaced after a fork. It is reentrant because a signal handler may send a request.
_lock = threading.RLock()

#: Stands for this process. Caches compare it by identity, to recognise what a forked child has inherited.
_process = object()


def _renew_after_fork() -> None:
    """Give a forked child a free lock, and an object of its own for `_process`.

    Another thread of the parent, which the child has not inherited, may hold the parent's lock.
    """
    global _lock, _process
    _lock, _process = threading.RLock(), object()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew_after_fork)


class _Entry(NamedTuple):
    """A cached key.

    Attributes:
        reading: The key and its source.
        number: When the call of the provider began, as returned by `next_event`.
        answered: When the provider returned the key, as a time of `time.monotonic`.
        refresh: When one thread refreshes the key early, as a time of `time.monotonic`.
        expiry: When the key expires, as a time of `time.monotonic`.
        process: The `_process` that chose the time of ``refresh``.
        refused: Whether a server has refused the key since. It is used again only if the provider now fails.
    """

    reading: Reading
    number: int
    answered: float
    refresh: float
    expiry: float
    process: object
    refused: bool = False

    def is_usable(self, now: float, *, running: bool) -> bool:
        """Return whether to use the key without a further call; ``running`` says that a thread is refreshing it."""
        return not self.refused and now < (self.expiry if running else self.refresh)


class _Flight:
    """One call of the provider and, afterwards, its outcome for the threads that wait for it.

    The calling thread holds ``in_call`` during the call. A ``with`` statement releases the lock even if a
    signal handler raises, so that no thread waits for a call that was interrupted.

    Attributes:
        error: The exception for the waiting threads.
        in_call: The lock that is held during the call.
        number: When the call began, as returned by `next_event`.
        over: Whether a waiting thread has seen the end of the call. While this is False, the call may be over
            as well.
        process: The `_process` that makes the call.
        reading: The key for the waiting threads. If neither this nor ``error`` is set, the call was interrupted.
        thread: The calling thread.
    """

    __slots__ = ("error", "in_call", "number", "over", "process", "reading", "thread")

    def __init__(self) -> None:
        self.in_call = threading.Lock()
        self.over = False
        self.number = 0
        self.reading: Reading | None = None
        self.error: BearerAuthError | None = None
        self.process = _process
        self.thread = threading.get_ident()

    def is_running(self) -> bool:
        """Return whether a thread is calling the provider; a forked child has not inherited that thread."""
        return self.process is _process and not self.over and self.in_call.locked()


class CachedProviderSource(ProviderSource):
    """A provider whose key is cached.

    Threads that have no usable key while another thread calls the provider wait for that call, and share its
    outcome.
    """

    __slots__ = ("_entry", "_flight", "_ttl")

    def __init__(self, provider: Provider, ttl: float) -> None:
        """Check the provider and the number of seconds.

        Raises:
            TypeError: ``provider`` is not callable, or ``ttl`` is not a number.
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
        if entry is not None and not entry.refused and time.monotonic() < entry.refresh and entry.process is _process:
            return entry.reading
        return self._renew()

    def _renew(self) -> Reading:
        """Return a cached key that is still usable, or wait for a running call, or call the provider."""
        mine = _Flight()
        # Held before other threads can see the flight, so that they wait for it.
        with mine.in_call:
            while True:
                with _lock:
                    entry = self._own_entry()
                    flight = self._flight
                    running = flight is not None and flight.is_running()
                    if entry is not None and entry.is_usable(time.monotonic(), running=running):
                        return entry.reading
                    if flight is None or not running:
                        self._flight = mine
                        mine.number = next_event()
                        break
                reading = self._wait_for(flight)
                if reading is not None:
                    return reading
            return self._call(mine, entry)

    def _wait_for(self, flight: _Flight) -> Reading | None:
        """Wait for another thread's call, and return its key; return None if the call was interrupted.

        Raises:
            BearerAuthError: The call failed, or it is a call of this very thread.
        """
        if flight.thread == threading.get_ident():
            raise KeySourceError(
                f"{self.where()} is already being called by this thread",
                "use the auth neither in its own provider nor in a signal handler",
            )
        with flight.in_call:
            # is_running() must return False from here on, although this thread holds the lock now. Otherwise,
            # after an interrupted call, waiting threads would mistake each other for the calling thread. On
            # Windows, where a released lock passes to the next waiting thread, they could wait forever.
            flight.over = True
        if flight.error is not None:
            raise flight.error.copy()  # each thread adds its request to its own copy
        return flight.reading

    def _call(self, flight: _Flight, entry: _Entry | None) -> Reading:
        """Call the provider, and cache its key.

        If it has none or fails, but the key of the entry has neither expired nor been refused, log why and
        return that key.
        """
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
        _log.warning("refreshing the key early failed; the cached key is used until it expires: %s", reason)
        return kept

    def _own_entry(self) -> _Entry | None:
        """Return the entry. The caller holds `_lock`.

        A forked child first draws a time of its own for an inherited entry, so that the children of one parent
        do not refresh the key at the same time.
        """
        entry = self._entry
        if entry is not None and entry.process is not _process:
            entry = entry._replace(refresh=self._draw_refresh(entry.expiry), process=_process)
            self._entry = entry
        return entry

    def _draw_refresh(self, expiry: float) -> float:
        """Return a random time after 80 to 90 % of the lifetime of an entry, which ends at ``expiry``."""
        return expiry - self._ttl * _random.uniform(0.1, 0.2)

    def _store(self, flight: _Flight, entry: _Entry | None) -> Reading | None:
        """Cache the key of a call.

        Args:
            flight: The call, which has ended.
            entry: The cached key when the call began.

        Returns:
            The cached key, if the call brought no key and the calling thread can use the cached one; None if
            the outcome of the call stands.
        """
        with _lock:
            if self._flight is not flight:
                # A server has refused the key since the call began, and the call may have returned that key again.
                return None
            self._flight = None
            reading, now = flight.reading, time.monotonic()
            if reading is not None and reading.credential is not None:
                expiry = now + self._ttl
                self._entry = _Entry(reading, flight.number, now, self._draw_refresh(expiry), expiry, _process)
            elif entry is not None and entry is self._entry and now < entry.expiry:
                # The calling thread gets the failure if the key was refused. Waiting threads and later requests
                # get the old key, because other servers may still accept it. It is not refreshed early again.
                self._entry = entry._replace(refresh=entry.expiry, refused=False)
                flight.reading = entry.reading
                flight.error = None
                return None if entry.refused else entry.reading
            return None

    def forget(self, refused: Credential, since: int) -> None:
        with _lock:
            entry, flight = self._entry, self._flight
            if entry is None or entry.reading.credential != refused:
                return
            if entry.number > since and time.monotonic() - entry.answered < refusal_lifetime(self._ttl):
                # The provider was called after the refused request was prepared, and returned this key a few
                # seconds ago. A call now would only return it again.
                return
            self._entry = entry._replace(refused=True)
            if flight is not None and flight.number < since:
                self._flight = None  # the call began before the refused request, so it may return the refused key
