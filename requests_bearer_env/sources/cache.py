"""A provider whose key is kept for some time (``ttl=``), shared by all threads."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from requests_bearer_env.errors import KeySourceError

from .provider import Outcome, ProviderSource

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential

    from .provider import Provider

_log = logging.getLogger("requests_bearer_env")

#: Not the module's generator: programs seed that one, and a fleet must not refresh in step.
_random = random.SystemRandom()

#: Guards the few assignments below in every cache; no provider is ever called under it. One for
#: all of them, so that objects hold no lock, and reentrant for the sake of signal handlers. A forked
#: child gets another one, which tells what is its own from what it has inherited.
_lock = threading.RLock()


def _renew_lock() -> None:
    """Start a forked child with a free lock, whoever held it in the parent."""
    global _lock
    _lock = threading.RLock()


# On Windows, where nothing forks, this makes a dict and drops it.
getattr(os, "register_at_fork", dict)(after_in_child=_renew_lock)


class _Entry(NamedTuple):
    """A kept key and the times (of `time.monotonic`) at which it was asked for, to ask ahead and to stop using it."""

    credential: Credential
    asked: float
    refresh: float
    expiry: float
    process: object


class _Flight:
    """One call of the provider, and in the end its outcome.

    The thread that asks holds ``asking`` meanwhile. A ``with`` lets go of it whatever happens, an
    exception from a signal handler included, so nobody waits for a call that has died.
    """

    __slots__ = ("asking", "began", "outcome", "process", "thread")

    def __init__(self) -> None:
        self.asking = threading.Lock()
        self.began = 0.0
        self.outcome: Outcome | None = None
        self.process = _lock
        self.thread = threading.get_ident()

    def under_way(self) -> bool:
        """Whether somebody is asking; in a forked child nobody carries on what the parent began."""
        return self.process is _lock and self.asking.locked()


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
        if entry is not None and time.monotonic() < entry.refresh and entry.process is _lock:
            return entry.credential
        return self._renewed()

    def _renewed(self) -> Credential | None:
        """Ask the provider, or wait for the thread that is asking, or go on with what there is."""
        mine = _Flight()
        with mine.asking:
            while True:
                with _lock:
                    entry, flight, now = self._entry, self._flight, time.monotonic()
                    if entry is not None and entry.process is not _lock:
                        # Forked with a warm cache, a fleet would ask in step.
                        entry = self._entry = self._kept(entry.credential, entry.asked, entry.expiry)
                    waited = flight is not None and flight.under_way()
                    if entry is not None and (now < entry.refresh or (waited and now < entry.expiry)):
                        return entry.credential
                    if flight is None or not waited:
                        self._flight = mine
                        mine.began = now
                        break
                if flight.thread == threading.get_ident():
                    raise KeySourceError(
                        f"{self.where()} is being asked for the key by this very thread: "
                        "use the auth neither in its own provider nor in a signal handler"
                    )
                with flight.asking:
                    pass
                if flight.outcome is not None:
                    return flight.outcome.result()
                # The asking thread was interrupted before it had an outcome.
            mine.outcome = self.ask()
            kept = self._land(mine, entry)
        if kept is None:
            return mine.outcome.result()
        reason = mine.outcome.message or self.absence()
        _log.warning("asking ahead for a new key failed, the present one is used until its time is up: %s", reason)
        return kept

    def _kept(self, credential: Credential, asked: float, expiry: float) -> _Entry:
        """An entry; asking ahead is due when 80 to 90 % of its lifetime are over."""
        return _Entry(credential, asked, expiry - self._ttl * _random.uniform(0.1, 0.2), expiry, _lock)

    def _land(self, flight: _Flight, entry: _Entry | None) -> Credential | None:
        """Keep the outcome; after a failure, the key to go on with if its time is not up."""
        with _lock:
            if self._flight is not flight:  # what it set out to renew was refused in the meantime
                return None
            self._flight = None
            now = time.monotonic()
            outcome = flight.outcome
            if outcome is not None and outcome.credential is not None:
                self._entry = self._kept(outcome.credential, flight.began, now + self._ttl)
            elif entry is not None and entry is self._entry and now < entry.expiry:
                self._entry = entry._replace(refresh=entry.expiry)  # asking ahead is tried once
                return entry.credential
            return None

    def forget(self, refused: object, sent: float) -> None:
        with _lock:
            entry, flight = self._entry, self._flight
            if entry is not None and entry.credential == refused and entry.asked <= sent:
                self._entry = None
                if flight is not None and flight.began <= sent:
                    self._flight = None  # it may bring the refused key again
