"""A provider with ``ttl=``: one thread calls it for all, early before the key expires, and again after a refusal."""

from __future__ import annotations

import inspect
import logging
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, InvalidKeyError, KeySourceError, MissingKeyError
from requests_bearer_env.credential import Credential
from requests_bearer_env.sources import cache as cache_module
from requests_bearer_env.sources.base import next_event
from requests_bearer_env.sources.cache import CachedProviderSource
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, Vault, assert_hidden, authorized

THREADS = 32


class Clock:
    """A `time.monotonic` that moves only when a test changes ``now``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace `time.monotonic` with a clock that the test sets."""
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


class Gate:
    """An answer that the provider gives only after the test has opened the gate."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> Any:
        self.reached.set()
        assert self.opened.wait(10)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def waiting(count: int) -> None:
    """Return once that many threads wait for the call of another one."""
    deadline = time.perf_counter() + 10
    while sum(_waits(thread) for thread in threading.enumerate()) < count:
        assert time.perf_counter() < deadline, "the threads did not come to wait"
        time.sleep(0.001)


def _waits(thread: threading.Thread) -> bool:
    """Say whether a thread is at the line that waits for the call of another one."""
    frame = sys._current_frames().get(thread.ident or 0)
    context = None if frame is None else inspect.getframeinfo(frame).code_context
    return context is not None and "with flight.in_call:" in context[0]


def refresh_early(auth: BearerEnvAuth, gate: Gate, clock: Clock, pool: ThreadPoolExecutor) -> Future[str]:
    """Start a thread that refreshes the key early, and return once it has called the provider."""
    clock.now += 95
    early = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    return early


def ask_together(auth: BearerEnvAuth, gate: Gate, pool: ThreadPoolExecutor) -> list[Future[str]]:
    """Let one thread call the provider, and open the gate once all others wait for that call."""
    results = [pool.submit(authorized, auth) for _ in range(THREADS)]
    waiting(THREADS - 1)
    gate.opened.set()
    return results


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A pool with as many threads as a test needs."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def test_a_key_is_cached_for_its_ttl(clock: Clock) -> None:
    """The provider is called once within the lifetime, and again after it."""
    vault = Vault(KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    assert authorized(auth) == authorized(auth) == OLD
    clock.now += 79.9
    assert authorized(auth) == OLD
    assert vault.calls == 1
    clock.now += 20.1
    assert authorized(auth) == NEW


def test_the_time_of_the_refresh_is_random(clock: Clock) -> None:
    """It is 80 to 90 % of the lifetime, so processes that were started together do not call the vault together."""
    times: set[float] = set()
    for _ in range(50):
        source = CachedProviderSource(lambda: KEY, 100)
        source.read()
        assert source._entry is not None
        times.add(source._entry.refresh - clock.now)
    assert len(times) > 40
    assert min(times) >= 80
    assert max(times) <= 90


def test_one_thread_refreshes_early(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """The other threads use the present key meanwhile, without waiting."""
    gate = Gate(OTHER_KEY)
    vault = Vault(KEY, gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    authorized(auth)
    early = refresh_early(auth, gate, clock, pool)
    others = [pool.submit(authorized, auth) for _ in range(THREADS - 1)]
    assert {other.result(10) for other in others} == {OLD}
    gate.opened.set()
    assert early.result(10) == NEW
    assert authorized(auth) == NEW
    assert vault.calls == 2


def test_an_expired_key_is_not_used(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """Threads that need the key after its expiry wait for the thread that refreshes it."""
    gate = Gate(OTHER_KEY)
    auth = BearerEnvAuth(provider=Vault(KEY, gate), ttl=100)
    authorized(auth)
    early = refresh_early(auth, gate, clock, pool)
    clock.now += 5
    late = pool.submit(authorized, auth)
    waiting(1)
    gate.opened.set()
    assert {early.result(10), late.result(10)} == {NEW}


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (OSError(KEY), "provider Vault raised OSError: call it directly to see why"),
        (None, "provider Vault returned no key"),
        (" ", "provider Vault returned no key"),
        (5, "provider Vault returned int, not a key: return a str, bytes in ASCII, or None"),
        ("two words", "the value of provider Vault (9 characters) has SPACE (U+0020) at position 4: "),
    ],
)
def test_a_failed_early_refresh_is_logged(
    clock: Clock, failure: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The present key is used until it expires, and a warning says what to repair before then."""
    vault = Vault(KEY, failure)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    authorized(auth)
    clock.now += 95
    assert authorized(auth) == authorized(auth) == OLD
    assert vault.calls == 2, "the early refresh is tried once"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    (message,) = caplog.messages
    start = "refreshing the key early failed; the cached key is used until it expires: "
    assert message.startswith(start + reason)
    assert_hidden(message)
    clock.now += 5
    with pytest.raises((KeySourceError, MissingKeyError, InvalidKeyError)):
        authorized(auth)


def test_a_failure_after_the_expiry_raises(clock: Clock) -> None:
    """The key has expired when the early refresh fails."""

    def slow() -> str:
        clock.now += 10
        raise OSError

    auth = BearerEnvAuth(provider=Vault(KEY, slow), ttl=100)
    authorized(auth)
    clock.now += 95
    with pytest.raises(KeySourceError):
        authorized(auth)


def test_32_threads_share_one_call(pool: ThreadPoolExecutor) -> None:
    """One thread calls the provider; the others wait for that call and get its key."""
    gate = Gate(KEY)
    vault = Vault(gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    assert {result.result(10) for result in ask_together(auth, gate, pool)} == {OLD}
    assert vault.calls == 1


def test_32_threads_share_one_failure(pool: ThreadPoolExecutor) -> None:
    """One call fails them all, each with an exception and a request of its own."""
    cause = OSError("vault")
    gate = Gate(cause)
    vault = Vault(gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    errors = [result.exception(10) for result in ask_together(auth, gate, pool)]
    assert vault.calls == 1
    assert {type(error) for error in errors} == {KeySourceError}
    assert {id(error.__cause__) for error in errors if error} == {id(cause)}
    assert len({id(error) for error in errors}) == THREADS
    assert len({id(error.request) for error in errors if isinstance(error, KeySourceError)}) == THREADS


def test_a_failure_is_not_remembered() -> None:
    """The next request calls the provider again."""
    auth = BearerEnvAuth(provider=Vault(OSError(), None, KEY), ttl=100)
    with pytest.raises(KeySourceError):
        authorized(auth)
    with pytest.raises(MissingKeyError):
        authorized(auth)
    assert authorized(auth) == OLD


def test_after_an_interrupt_another_thread_asks(pool: ThreadPoolExecutor) -> None:
    """Ctrl-C in the thread that calls the provider is no outcome for the threads that wait."""
    gate = Gate(KeyboardInterrupt())
    vault = Vault(gate, KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    first = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    others = [pool.submit(authorized, auth) for _ in range(THREADS - 1)]
    waiting(THREADS - 1)
    gate.opened.set()
    assert isinstance(first.exception(10), KeyboardInterrupt)
    assert {other.result(10) for other in others} == {OLD}
    assert vault.calls == 2


class PassedOn:
    """A lock that other waiting threads always seem to hold."""

    def __init__(self) -> None:
        self.waits = 0

    def locked(self) -> bool:
        return True

    def __enter__(self) -> None:
        self.waits += 1
        assert self.waits == 1, "a second wait for the same call"

    def __exit__(self, *error: object) -> None:
        """Pass the lock on to another thread."""


def test_an_interrupted_call_is_waited_for_once() -> None:
    """Windows passes a lock to the next thread, so threads that wait for each other would never call."""
    source = CachedProviderSource(Vault(KEY), 100)
    interrupted = cache_module._Flight()
    interrupted.thread = 0
    lock: Any = PassedOn()
    interrupted.in_call = lock
    source._flight = interrupted
    assert source.read().credential == OLD


class Boom(BaseException):
    """An exception that a signal handler raises."""


@pytest.mark.parametrize("method", ["_store", "_text"])
def test_an_exception_anywhere_blocks_no_thread(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler may raise at any line; the next thread does not wait for the call that has ended."""
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)

    def raising(*arguments: object) -> None:
        raise Boom

    with monkeypatch.context() as patch:
        patch.setattr(CachedProviderSource, method, raising)
        with pytest.raises(Boom):
            auth.credential()
    with ThreadPoolExecutor(1) as pool:
        assert str(pool.submit(auth.credential).result(10)) == OLD
    assert authorized(auth) == OLD


def test_a_provider_that_calls_its_auth_raises() -> None:
    """The thread would wait for itself forever."""

    def vault() -> str:
        return authorized(auth)

    auth = BearerEnvAuth(provider=vault, ttl=100)
    with pytest.raises(KeySourceError) as caught:
        authorized(auth)
    assert str(caught.value.__cause__) == (
        "provider vault is already being called by this thread: "
        "use the auth neither in its own provider nor in a signal handler"
    )


def after(auth: BearerEnvAuth, refused: Credential, since: int | None = None) -> str:
    """Return the header after a refusal of one that was prepared at some event, or just now."""
    auth.sources.forget(refused, next_event() if since is None else since)
    return str(auth.credential())


def test_only_the_refused_key_is_dropped() -> None:
    """A thread that is refused late does not drop the key that another one has got since."""
    vault = Vault(KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    assert [after(auth, refused) for _ in range(THREADS)] == [NEW] * THREADS
    assert vault.calls == 2


def test_a_refusal_fills_an_empty_cache() -> None:
    """The refused key was dropped before, or was never cached, so the provider is called."""
    auth = BearerEnvAuth(provider=Vault(KEY), ttl=100)
    assert after(auth, Credential(NEW)) == OLD


def test_32_refused_threads_ask_once(pool: ThreadPoolExecutor) -> None:
    """The first thread has asked, and the provider still has that key, so the others need not ask."""
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused, since = auth.credential(), next_event()
    results = [pool.submit(auth.sources.read_after_refusal, refused, since) for _ in range(THREADS)]
    assert {result.result(10)[0].credential for result in results} == {OLD}
    assert vault.calls == 2


def test_a_key_asked_for_later_is_dropped_later(clock: Clock) -> None:
    """A refusal of an earlier request drops a key that was asked for since only after the remembered time."""
    vault = Vault(KEY, KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=50)
    refused, since = auth.credential(), next_event()
    assert after(auth, refused, since) == OLD
    clock.now += 4.9
    assert after(auth, refused, since) == OLD
    assert vault.calls == 2
    clock.now += 0.1
    assert after(auth, refused, since) == NEW


def test_a_key_asked_for_before_is_dropped(clock: Clock) -> None:
    """The request that was prepared with this very key has been refused."""
    vault = Vault(KEY, KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=50)
    assert after(auth, auth.credential()) == OLD
    assert after(auth, auth.credential()) == NEW


def test_a_refused_key_serves_during_a_failure() -> None:
    """One server refused it, but others may accept it; otherwise one refusal would stop all requests."""
    vault = Vault(KEY, OSError(), OSError(), OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    with pytest.raises(KeySourceError):
        auth.sources.read_after_refusal(refused, next_event())
    assert authorized(auth) == OLD
    with pytest.raises(KeySourceError):
        auth.sources.read_after_refusal(refused, next_event())
    assert after(auth, refused) == NEW


def test_a_refused_key_expires(clock: Clock) -> None:
    """After its expiry a failure of the provider raises."""
    auth = BearerEnvAuth(provider=Vault(KEY, OSError()), ttl=100)
    refused = auth.credential()
    clock.now += 100
    with pytest.raises(KeySourceError):
        after(auth, refused)


@pytest.mark.parametrize("failure", [OSError(), None])
def test_waiting_threads_keep_the_old_key(failure: object, pool: ThreadPoolExecutor) -> None:
    """The refused thread gets the failure; the others use the key until it expires."""
    gate = Gate(failure)
    vault = Vault(KEY, gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    first = pool.submit(auth.sources.read_after_refusal, refused, next_event())
    assert gate.reached.wait(10)
    others = [pool.submit(authorized, auth) for _ in range(8)]
    waiting(8)
    gate.opened.set()
    assert isinstance(first.exception(10), (KeySourceError, MissingKeyError))
    assert {other.result(10) for other in others} == {OLD}
    assert vault.calls == 2


def test_a_call_before_the_refusal_is_not_shared(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """It may return the refused key again, so its key is neither shared nor cached."""
    gate = Gate(KEY)
    vault = Vault(KEY, gate, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    early = refresh_early(auth, gate, clock, pool)
    assert after(auth, refused) == NEW
    gate.opened.set()
    assert early.result(10) == OLD
    assert authorized(auth) == NEW


def test_a_call_after_the_request_is_shared(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """It returns the provider's key as it is now, as another call would."""
    gate = Gate(OTHER_KEY)
    vault = Vault(KEY, gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused, since = auth.credential(), next_event()
    early = refresh_early(auth, gate, clock, pool)
    late = pool.submit(after, auth, refused, since)
    waiting(1)
    gate.opened.set()
    assert early.result(10) == late.result(10) == NEW
    assert vault.calls == 2


@pytest.mark.parametrize("call", ["before the refusal", "after the refused request"])
def test_a_failure_does_not_restore_a_refused_key(call: str, clock: Clock, pool: ThreadPoolExecutor) -> None:
    """An early refresh that fails cannot fall back on a key that a server has refused meanwhile."""
    gate = Gate(OSError())
    auth = BearerEnvAuth(provider=Vault(KEY, gate, OTHER_KEY), ttl=100)
    refused, since = auth.credential(), next_event()
    early = refresh_early(auth, gate, clock, pool)
    auth.sources.forget(refused, since if call == "after the refused request" else next_event())
    gate.opened.set()
    assert isinstance(early.exception(10), KeySourceError)
    assert authorized(auth) == NEW


def test_a_key_that_has_just_come_is_used(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may have called the provider after this one read the cache, and before it got the lock."""
    vault = Vault(KEY)
    source = CachedProviderSource(vault, 100)
    source.read()
    assert source._renew().credential == OLD
    assert vault.calls == 1


def test_the_largest_float_is_a_ttl() -> None:
    """The key is cached forever, in effect."""
    assert authorized(BearerEnvAuth(provider=Vault(KEY), ttl=sys.float_info.max)) == OLD


def test_the_module_imports_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has neither fork nor register_at_fork."""
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    module = runpy.run_path(cache_module.__file__, run_name=cache_module.__name__)
    assert "CachedProviderSource" in module


def in_child(act: Callable[[], bool]) -> bool:
    """Say whether ``act`` returns True in a forked child; a child that hangs is killed."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            status = 0 if act() else 1
        except BaseException:
            status = 2
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.posix("fork")
class TestFork:
    """A forked child has neither the parent's threads nor the locks that these hold."""

    def test_a_child_asks_during_a_parents_call(self, pool: ThreadPoolExecutor) -> None:
        """The child calls the provider itself instead of waiting for a thread that it has not inherited."""
        gate = Gate(KEY)
        auth = BearerEnvAuth(provider=Vault(gate, OTHER_KEY), ttl=100)
        asking = pool.submit(authorized, auth)
        assert gate.reached.wait(10)
        assert in_child(lambda: authorized(auth) == NEW)
        gate.opened.set()
        assert asking.result(10) == OLD

    def test_a_child_refreshes_by_itself(self, clock: Clock, pool: ThreadPoolExecutor) -> None:
        """The child does not wait for the refresh that a thread of its parent has begun."""
        gate = Gate(KEY)
        auth = BearerEnvAuth(provider=Vault(KEY, gate, OTHER_KEY), ttl=100)
        authorized(auth)
        asking = refresh_early(auth, gate, clock, pool)
        assert in_child(lambda: authorized(auth) == NEW)
        gate.opened.set()
        asking.result(10)

    def test_a_child_has_a_free_lock(self, pool: ThreadPoolExecutor) -> None:
        """The lock of a forked child is free, even if a thread of its parent holds the parent's."""
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with cache_module._lock:
                held.set()
                assert release.wait(10)

        holding = pool.submit(hold)
        assert held.wait(10)
        auth = BearerEnvAuth(provider=Vault(KEY), ttl=100)
        assert in_child(lambda: authorized(auth) == OLD)
        release.set()
        holding.result(10)

    def test_a_child_gets_objects_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A forked child gets a lock that is free, and a new ``_process``, by which it recognises inherited calls."""
        lock, process = cache_module._lock, cache_module._process
        monkeypatch.setattr(cache_module, "_lock", lock)  # so that monkeypatch restores both
        monkeypatch.setattr(cache_module, "_process", process)
        cache_module._renew_after_fork()
        assert cache_module._process is not process
        assert cache_module._lock is not lock
        assert cache_module._lock.acquire(blocking=False)
        cache_module._lock.release()

    def test_each_child_draws_its_time_of_refresh(self, clock: Clock) -> None:
        """Children that are forked with a full cache do not refresh the key together."""
        auth = BearerEnvAuth(provider=Vault(KEY), ttl=100)
        auth.credential()
        (source,) = auth.sources.each
        assert isinstance(source, CachedProviderSource)
        assert source._entry is not None
        before = source._entry

        def drawn_anew() -> bool:
            auth.credential()
            after = source._entry
            return after is not None and after.refresh != before.refresh and after.expiry == before.expiry

        assert in_child(drawn_anew)

    def test_the_time_of_refresh_is_drawn_once(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        """A read leaves a usable key as it is, in the parent and in a child."""
        auth = BearerEnvAuth(provider=Vault(KEY), ttl=100)
        (source,) = auth.sources.each
        assert isinstance(source, CachedProviderSource)
        for process in (cache_module._process, object()):
            monkeypatch.setattr(cache_module, "_process", process)
            auth.credential()
            entry = source._entry
            assert entry is not None
            auth.credential()
            assert source._entry is entry

    def test_the_cached_key_is_inherited(self) -> None:
        """A worker process need not ask for the key that its parent has."""
        vault = Vault(KEY)
        auth = BearerEnvAuth(provider=vault, ttl=100)
        authorized(auth)
        assert in_child(lambda: authorized(auth) == OLD and vault.calls == 1)
