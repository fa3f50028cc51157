"""A provider whose key is kept for some time (``ttl=``), shared by all threads."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import KeySourceError
from .sources import Outcome, ProviderSource

if TYPE_CHECKING:
    from .credential import Credential
    from .sources import Provider

_log = logging.getLogger("requests_bearer_env")

#: Not the module's generator: programs seed that one, and a fleet must not refresh in step.
_random = random.SystemRandom()

#: Guards the few assignments below in every cache; no provider is ever called under it. One for
#: all of them, so that objects hold no lock, and reentrant for the sake of signal handlers.
_lock = threading.RLock()


def _renew_lock() -> None:
    """Start a forked child with a free lock, whoever held it in the parent."""
    global _lock
    _lock = threading.RLock()


# On Windows, where nothing forks, this makes a dict and drops it.
getattr(os, "register_at_fork", dict)(after_in_child=_renew_lock)


class _Entry(NamedTuple):
    """A kept key and the times (of `time.monotonic`) at which to ask ahead and to stop using it."""

    credential: Credential
    refresh: float
    expiry: float


class _Flight:
    """One call of the provider that is under way, and in the end its outcome."""

    __slots__ = ("done", "lock", "outcome", "thread")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.lock = _lock  # another one in a forked child, where nobody carries this call on
        self.outcome: Outcome | None = None
        self.thread = threading.get_ident()


class CachedProviderSource(ProviderSource):
    """A provider that is asked by one thread at a time, and not more often than needed."""

    __slots__ = ("_entry", "_flight", "_ttl")

    def __init__(self, provider: Provider, ttl: float) -> None:
        super().__init__(provider)
        if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
            raise TypeError(f"ttl= is {type(ttl).__name__}: give a number of seconds")
        if not 0 < ttl <= sys.float_info.max:
            raise ValueError("ttl= is not a positive, finite number: give the seconds to keep the provider's key")
        self._ttl = ttl
        self._entry: _Entry | None = None
        self._flight: _Flight | None = None

    def options(self) -> dict[str, Any]:
        return {"provider": self._provider, "ttl": self._ttl}

    def credential(self) -> Credential | None:
        entry = self._entry
        if entry is not None and time.monotonic() < entry.refresh:
            return entry.credential
        return self._renewed()

    def _renewed(self) -> Credential | None:
        """Ask the provider, or wait for the thread that is asking, or go on with what there is."""
        mine = _Flight()
        entry = kept = None
        try:  # from before others can see this flight: whatever happens, they must not wait for ever
            while True:
                with _lock:
                    entry, flight, now = self._entry, self._flight, time.monotonic()
                    if flight is not None and flight.lock is not _lock:
                        flight = None  # inherited over a fork
                    if entry is not None and (now < entry.refresh or (flight is not None and now < entry.expiry)):
                        return entry.credential
                    if flight is None:
                        self._flight = mine
                        break
                if flight.thread == threading.get_ident():
                    raise KeySourceError(f"{self.where()} asks for the very key it is to return: give it another auth")
                flight.done.wait()
                if flight.outcome is not None:
                    return flight.outcome.result()
                # The asking thread was interrupted before it had an outcome.
            mine.outcome = self.ask()
        finally:
            kept = self._land(mine, entry)
            mine.done.set()
        if kept is None:
            return mine.outcome.result()
        reason = mine.outcome.message or self.absence()
        _log.warning("asking ahead for a new key failed, the present one is used until its time is up: %s", reason)
        return kept

    def _land(self, flight: _Flight, entry: _Entry | None) -> Credential | None:
        """Keep the outcome; after a failure, the key to go on with if its time is not up."""
        with _lock:
            if self._flight is not flight:  # it never started, or what it was to renew was refused meanwhile
                return None
            self._flight = None
            now = time.monotonic()
            outcome = flight.outcome
            if outcome is not None and outcome.credential is not None:
                refresh = now + self._ttl * _random.uniform(0.8, 0.9)
                self._entry = _Entry(outcome.credential, refresh, now + self._ttl)
            elif outcome is not None and entry is not None and now < entry.expiry:
                self._entry = entry._replace(refresh=entry.expiry)  # asking ahead is tried once
                return entry.credential
            return None

    def forget(self, refused: object) -> None:
        with _lock:
            if self._entry is not None and self._entry.credential == refused:
                self._entry = None
                self._flight = None  # a call that began before may bring the refused key again
