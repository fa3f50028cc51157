"""A provider whose key is kept (``ttl=``): one asks, the others share; ahead of time, and after a refusal."""

from __future__ import annotations

import inspect
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, InvalidKeyError, KeySourceError, MissingKeyError
from requests_bearer_env.credential import Credential
from requests_bearer_env.sources import cache as cache_module
from requests_bearer_env.sources.base import count
from requests_bearer_env.sources.cache import CachedProviderSource
from tests.helpers import KEY, OTHER_KEY, authorized

THREADS = 32


class Clock:
    """A `time.monotonic` that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, at will."""
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


class Vault:
    """A provider that counts its calls and does as told in each."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


class Gate:
    """An answer that is held back until the test opens it."""

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
    """Return when that many threads wait for another one's outcome."""
    deadline = time.perf_counter() + 10
    while sum(_waits(thread) for thread in threading.enumerate()) < count:
        assert time.perf_counter() < deadline, "the threads did not come to wait"
        time.sleep(0.001)


def _waits(thread: threading.Thread) -> bool:
    """Whether a thread is where another one's call is waited for."""
    frame = sys._current_frames().get(thread.ident or 0)
    context = None if frame is None else inspect.getframeinfo(frame).code_context
    return context is not None and "with flight.asking:" in context[0]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads enough for all."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def test_the_key_is_kept_for_its_time(clock: Clock) -> None:
    """Within its lifetime the provider is asked once; after it, anew."""
    vault = Vault(KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    assert authorized(auth) == authorized(auth) == f"Bearer {KEY}"
    clock.now += 79.9
    assert authorized(auth) == f"Bearer {KEY}"
    assert vault.calls == 1
    clock.now += 20.1
    assert authorized(auth) == f"Bearer {OTHER_KEY}"


def test_the_time_to_ask_ahead_is_jittered_between_80_and_90_percent(clock: Clock) -> None:
    """A fleet started together does not ask together."""
    times: set[float] = set()
    for _ in range(50):
        source = CachedProviderSource(lambda: KEY, 100)
        source.read()
        assert source._entry is not None
        times.add(source._entry.refresh - clock.now)
    assert len(times) > 40
    assert min(times) >= 80
    assert max(times) <= 90


def test_one_thread_asks_ahead_while_the_others_go_on(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """From then on one thread waits for the new key; the others do not wait and use the present one."""
    gate = Gate(OTHER_KEY)
    vault = Vault(KEY, gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    authorized(auth)
    clock.now += 95
    early = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    others = [pool.submit(authorized, auth) for _ in range(THREADS - 1)]
    assert {other.result(10) for other in others} == {f"Bearer {KEY}"}
    gate.opened.set()
    assert early.result(10) == f"Bearer {OTHER_KEY}"
    assert authorized(auth) == f"Bearer {OTHER_KEY}"
    assert vault.calls == 2


def test_a_key_whose_time_is_up_is_not_used_while_another_thread_asks_ahead(
    clock: Clock, pool: ThreadPoolExecutor
) -> None:
    """From that very moment on, whoever needs the key waits for the new one."""
    gate = Gate(OTHER_KEY)
    auth = BearerEnvAuth(provider=Vault(KEY, gate), ttl=100)
    authorized(auth)
    clock.now += 95
    early = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    clock.now += 5
    late = pool.submit(authorized, auth)
    waiting(1)
    gate.opened.set()
    assert {early.result(10), late.result(10)} == {f"Bearer {OTHER_KEY}"}


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
def test_a_failure_to_ask_ahead_is_logged(
    clock: Clock, failure: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The present key is used until its time is up, and a warning says what to mend until then."""
    vault = Vault(KEY, failure)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    authorized(auth)
    clock.now += 95
    assert authorized(auth) == authorized(auth) == f"Bearer {KEY}"
    assert vault.calls == 2, "asking ahead is tried once"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    (message,) = caplog.messages
    start = "asking ahead for a new key failed, the present one is used until its time is up: "
    assert message.startswith(start + reason)
    assert KEY not in message
    clock.now += 5
    with pytest.raises((KeySourceError, MissingKeyError, InvalidKeyError)):
        authorized(auth)


def test_a_failure_to_ask_ahead_that_takes_too_long_is_a_failure(clock: Clock) -> None:
    """If the key's time is up when the early call fails, there is nothing to go on with."""

    def slow() -> str:
        clock.now += 10
        raise OSError

    auth = BearerEnvAuth(provider=Vault(KEY, slow), ttl=100)
    authorized(auth)
    clock.now += 95
    with pytest.raises(KeySourceError):
        authorized(auth)


def test_a_key_is_asked_for_once_by_32_threads(pool: ThreadPoolExecutor) -> None:
    """One thread asks, the others wait for its outcome and share it."""
    gate = Gate(KEY)
    vault = Vault(gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    results = [pool.submit(authorized, auth) for _ in range(THREADS)]
    waiting(THREADS - 1)
    gate.opened.set()
    assert {result.result(10) for result in results} == {f"Bearer {KEY}"}
    assert vault.calls == 1


def test_a_failure_is_shared_by_32_threads(pool: ThreadPoolExecutor) -> None:
    """They all fail with one call, each with an exception and a request of its own."""
    cause = OSError("vault")
    gate = Gate(cause)
    vault = Vault(gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    results = [pool.submit(authorized, auth) for _ in range(THREADS)]
    waiting(THREADS - 1)
    gate.opened.set()
    errors = [result.exception(10) for result in results]
    assert vault.calls == 1
    assert {type(error) for error in errors} == {KeySourceError}
    assert {id(error.__cause__) for error in errors if error} == {id(cause)}
    assert len({id(error) for error in errors}) == THREADS
    assert len({id(error.request) for error in errors if isinstance(error, KeySourceError)}) == THREADS


def test_a_failure_is_not_remembered() -> None:
    """The next request asks again."""
    auth = BearerEnvAuth(provider=Vault(OSError(), None, KEY), ttl=100)
    with pytest.raises(KeySourceError):
        authorized(auth)
    with pytest.raises(MissingKeyError):
        authorized(auth)
    assert authorized(auth) == f"Bearer {KEY}"


def test_an_interrupted_call_leaves_the_others_to_ask(pool: ThreadPoolExecutor) -> None:
    """Ctrl-C in the asking thread is no outcome: one of those that waited asks."""
    gate = Gate(KeyboardInterrupt())
    vault = Vault(gate, KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    first = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    others = [pool.submit(authorized, auth) for _ in range(THREADS - 1)]
    waiting(THREADS - 1)
    gate.opened.set()
    assert isinstance(first.exception(10), KeyboardInterrupt)
    assert {other.result(10) for other in others} == {f"Bearer {KEY}"}
    assert vault.calls == 2


class HandedOn:
    """A lock that another waiting thread holds whenever this thread looks."""

    def __init__(self) -> None:
        self.waits = 0

    def locked(self) -> bool:
        return True

    def __enter__(self) -> None:
        self.waits += 1
        assert self.waits == 1, "a second wait for the same call"

    def __exit__(self, *error: object) -> None:
        """Hand the lock on."""


def test_an_interrupted_call_is_waited_for_once() -> None:
    """Windows hands a lock on, so that threads which wait for each other would never ask."""
    source = CachedProviderSource(Vault(KEY), 100)
    interrupted = cache_module._Flight()
    interrupted.thread = 0
    lock: Any = HandedOn()
    interrupted.asking = lock
    source._flight = interrupted
    assert source.read().credential == f"Bearer {KEY}"


class Boom(BaseException):
    """What a signal handler raises."""


@pytest.mark.parametrize("method", ["_store", "_text"])
def test_an_exception_out_of_the_blue_leaves_nobody_waiting(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler may raise anywhere; the next one to ask is not told to wait for the dead."""
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)

    def raising(*arguments: object) -> None:
        raise Boom

    with monkeypatch.context() as patch:
        patch.setattr(CachedProviderSource, method, raising)
        with pytest.raises(Boom):
            auth.credential()
    with ThreadPoolExecutor(1) as pool:
        assert str(pool.submit(auth.credential).result(10)) == f"Bearer {KEY}"
    assert authorized(auth) == f"Bearer {KEY}"


def test_a_provider_that_asks_for_its_own_key_does_not_hang() -> None:
    """It would wait for itself."""

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
    """The header's value after one that was prepared at some count (or just now) has been refused."""
    auth.sources.forget(refused, count() if since is None else since)
    return str(auth.credential())


def test_a_refused_key_is_dropped_only_if_it_is_cached() -> None:
    """A thread that is refused late does not drop the key that another one has got since."""
    vault = Vault(KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    assert [after(auth, refused) for _ in range(THREADS)] == [f"Bearer {OTHER_KEY}"] * THREADS
    assert vault.calls == 2


def test_a_refusal_with_an_empty_cache_asks_as_usual() -> None:
    """The refused key has been dropped already, or was never cached."""
    auth = BearerEnvAuth(provider=Vault(KEY), ttl=100)
    assert after(auth, Credential(f"Bearer {OTHER_KEY}")) == f"Bearer {KEY}"


def test_32_threads_refused_with_the_same_key_ask_once(pool: ThreadPoolExecutor) -> None:
    """The first to be refused has asked, and the provider still has that key; the others need not ask."""
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused, since = auth.credential(), count()
    results = [pool.submit(auth.sources.read_after_refusal, refused, since) for _ in range(THREADS)]
    assert {result.result(10)[0].credential for result in results} == {f"Bearer {KEY}"}
    assert vault.calls == 2


def test_a_key_asked_for_since_is_dropped_in_time(clock: Clock) -> None:
    """A request that was prepared before that may be refused with it only after the remembered time."""
    vault = Vault(KEY, KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=50)
    refused, since = auth.credential(), count()
    assert after(auth, refused, since) == f"Bearer {KEY}"
    clock.now += 4.9
    assert after(auth, refused, since) == f"Bearer {KEY}"
    assert vault.calls == 2
    clock.now += 0.1
    assert after(auth, refused, since) == f"Bearer {OTHER_KEY}"


def test_a_key_asked_for_before_is_dropped_at_once(clock: Clock) -> None:
    """The request that was prepared with it is refused."""
    vault = Vault(KEY, KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=50)
    assert after(auth, auth.credential()) == f"Bearer {KEY}"
    assert after(auth, auth.credential()) == f"Bearer {OTHER_KEY}"


def test_a_refused_key_is_used_while_the_vault_is_down() -> None:
    """One place refused it, and others may still take it; without that, one refusal would stop all requests."""
    vault = Vault(KEY, OSError(), OSError(), OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    with pytest.raises(KeySourceError):
        auth.sources.read_after_refusal(refused, count())
    assert authorized(auth) == f"Bearer {KEY}"
    with pytest.raises(KeySourceError):
        auth.sources.read_after_refusal(refused, count())
    assert after(auth, refused) == f"Bearer {OTHER_KEY}"


def test_a_refused_key_is_not_used_beyond_its_time(clock: Clock) -> None:
    """When its time is up, a failure is a failure."""
    auth = BearerEnvAuth(provider=Vault(KEY, OSError()), ttl=100)
    refused = auth.credential()
    clock.now += 100
    with pytest.raises(KeySourceError):
        after(auth, refused)


@pytest.mark.parametrize("failure", [OSError(), None])
def test_threads_that_wait_for_a_failure_use_the_key(failure: object, pool: ThreadPoolExecutor) -> None:
    """The refused thread gets the failure; the others go on with the key that is good until its time is up."""
    gate = Gate(failure)
    vault = Vault(KEY, gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    first = pool.submit(auth.sources.read_after_refusal, refused, count())
    assert gate.reached.wait(10)
    others = [pool.submit(authorized, auth) for _ in range(8)]
    waiting(8)
    gate.opened.set()
    assert isinstance(first.exception(10), (KeySourceError, MissingKeyError))
    assert {other.result(10) for other in others} == {f"Bearer {KEY}"}
    assert vault.calls == 2


def test_a_refused_header_that_went_through_other_hands_is_known_by_its_value() -> None:
    """Some adapters make a plain str of it."""
    vault = Vault(KEY, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    auth.credential()
    assert after(auth, Credential(f"Bearer {KEY}")) == f"Bearer {OTHER_KEY}"


def test_a_call_from_before_the_refusal_is_not_waited_for(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """It may bring the refused key again, so it is neither shared nor kept."""
    gate = Gate(KEY)
    vault = Vault(KEY, gate, OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused = auth.credential()
    clock.now += 95
    early = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    assert after(auth, refused) == f"Bearer {OTHER_KEY}"
    gate.opened.set()
    assert early.result(10) == f"Bearer {KEY}"
    assert authorized(auth) == f"Bearer {OTHER_KEY}"


def test_a_call_from_after_the_refused_request_is_shared(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """It brings what the provider has by now; another one would bring the same."""
    gate = Gate(OTHER_KEY)
    vault = Vault(KEY, gate)
    auth = BearerEnvAuth(provider=vault, ttl=100)
    refused, since = auth.credential(), count()
    clock.now += 95
    early = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    late = pool.submit(after, auth, refused, since)
    waiting(1)
    gate.opened.set()
    assert early.result(10) == late.result(10) == f"Bearer {OTHER_KEY}"
    assert vault.calls == 2


def test_a_failure_from_before_the_refusal_does_not_bring_the_key_back(clock: Clock, pool: ThreadPoolExecutor) -> None:
    """What it would go on with has been refused."""
    gate = Gate(OSError())
    auth = BearerEnvAuth(provider=Vault(KEY, gate, OTHER_KEY), ttl=100)
    refused = auth.credential()
    clock.now += 95
    early = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    after(auth, refused)
    gate.opened.set()
    assert isinstance(early.exception(10), KeySourceError)


def test_a_failure_from_after_the_refused_request_does_not_bring_it_back_either(
    clock: Clock, pool: ThreadPoolExecutor
) -> None:
    """The call goes on, but what it would go on with has been refused meanwhile."""
    gate = Gate(OSError())
    auth = BearerEnvAuth(provider=Vault(KEY, gate, OTHER_KEY), ttl=100)
    refused, since = auth.credential(), count()
    clock.now += 95
    early = pool.submit(authorized, auth)
    assert gate.reached.wait(10)
    auth.sources.forget(refused, since)
    gate.opened.set()
    assert isinstance(early.exception(10), KeySourceError)
    assert authorized(auth) == f"Bearer {OTHER_KEY}"


def test_whoever_comes_late_uses_what_has_just_come(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first look and the lock, another thread may have asked."""
    vault = Vault(KEY)
    source = CachedProviderSource(vault, 100)
    source.read()
    assert source._renew().credential == f"Bearer {KEY}"
    assert vault.calls == 1


@pytest.mark.parametrize("ttl", [0, -1, 0.0, math.inf, -math.inf, math.nan, 10**400])
def test_ttl_is_positive_and_finite(ttl: float) -> None:
    """Anything else is refused when the object is made."""
    with pytest.raises(ValueError, match="ttl= is not a positive, finite number"):
        BearerEnvAuth(provider=Vault(KEY), ttl=ttl)


def test_ttl_may_be_as_long_as_a_number() -> None:
    """For ever, in effect."""
    assert authorized(BearerEnvAuth(provider=Vault(KEY), ttl=sys.float_info.max)) == f"Bearer {KEY}"


@pytest.mark.parametrize("ttl", ["60", True, [60]])
def test_ttl_is_a_number(ttl: Any) -> None:
    """Anything else is refused when the object is made."""
    with pytest.raises(TypeError, match="give a number of seconds"):
        BearerEnvAuth(provider=Vault(KEY), ttl=ttl)


@pytest.mark.parametrize("sources", [{}, {"env": "TGW_API_KEY"}, {"file": "key"}])
def test_ttl_needs_a_provider(sources: dict[str, Any]) -> None:
    """Variables and files are read anew for every request, so there is nothing to keep."""
    with pytest.raises(ValueError, match="ttl= needs provider="):
        BearerEnvAuth(**sources, ttl=60)


def in_child(act: Callable[[], bool]) -> bool:
    """Whether ``act`` says True in a forked child; a child that hangs is killed and says False."""
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
    """A forked child has neither the parent's threads nor their locks."""

    def test_while_another_thread_asks(self, pool: ThreadPoolExecutor) -> None:
        """The child asks itself instead of waiting for a thread that it has not inherited."""
        gate = Gate(KEY)
        auth = BearerEnvAuth(provider=Vault(gate, OTHER_KEY), ttl=100)
        asking = pool.submit(authorized, auth)
        assert gate.reached.wait(10)
        assert in_child(lambda: authorized(auth) == f"Bearer {OTHER_KEY}")
        gate.opened.set()
        assert asking.result(10) == f"Bearer {KEY}"

    def test_while_another_thread_asks_ahead(self, clock: Clock, pool: ThreadPoolExecutor) -> None:
        """The child asks ahead itself."""
        gate = Gate(KEY)
        auth = BearerEnvAuth(provider=Vault(KEY, gate, OTHER_KEY), ttl=100)
        authorized(auth)
        clock.now += 95
        asking = pool.submit(authorized, auth)
        assert gate.reached.wait(10)
        assert in_child(lambda: authorized(auth) == f"Bearer {OTHER_KEY}")
        gate.opened.set()
        asking.result(10)

    def test_while_another_thread_holds_the_lock(self, pool: ThreadPoolExecutor) -> None:
        """The child's lock is free."""
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with cache_module._lock:
                held.set()
                assert release.wait(10)

        holding = pool.submit(hold)
        assert held.wait(10)
        auth = BearerEnvAuth(provider=Vault(KEY), ttl=100)
        assert in_child(lambda: authorized(auth) == f"Bearer {KEY}")
        release.set()
        holding.result(10)

    def test_a_child_gets_a_lock_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is another object, by which the child tells what it has inherited from what is its own."""
        parents = cache_module._lock
        monkeypatch.setattr(cache_module, "_lock", parents)  # which puts it back in the end
        cache_module._renew_lock()
        assert cache_module._lock is not parents
        assert cache_module._lock.acquire(blocking=False)
        cache_module._lock.release()

    def test_children_do_not_ask_ahead_in_step(self, clock: Clock) -> None:
        """Forked with a warm cache, each draws a time of its own."""
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

    def test_the_kept_key_is_inherited(self) -> None:
        """A child of a worker pool does not ask anew for what its parent has."""
        vault = Vault(KEY)
        auth = BearerEnvAuth(provider=vault, ttl=100)
        authorized(auth)
        assert in_child(lambda: authorized(auth) == f"Bearer {KEY}" and vault.calls == 1)
