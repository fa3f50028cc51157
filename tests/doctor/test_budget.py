"""The time that the checks over the network may take together."""

from __future__ import annotations

import threading
import time

import pytest

from requests_bearer_env.doctor.budget import Budget


def test_outcome_is_returned() -> None:
    """Work that ends in time returns its result, and its duration is subtracted from the budget."""

    def slowly() -> str:
        time.sleep(0.05)
        return "done"

    budget = Budget(10)
    assert budget.run(slowly) == "done"
    assert 9 < budget.left <= 9.95
    assert budget.seconds == 10


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("x"), KeyboardInterrupt()])
def test_exception_is_raised(error: BaseException) -> None:
    """The exception of the work is raised in the calling thread."""

    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        Budget(10).run(work)


@pytest.mark.parametrize(("seconds", "at_most"), [(0.05, None), (10, 0.05), (0, None)])
def test_endless_work_is_abandoned(seconds: float, at_most: float | None) -> None:
    """The work goes on in a daemon thread, which does not keep the process alive."""
    done = threading.Event()
    before = threading.enumerate()
    budget = Budget(seconds)
    with pytest.raises(TimeoutError):
        budget.run(lambda: done.wait(30), at_most)
    assert [thread.daemon for thread in threading.enumerate() if thread not in before] == [True]
    assert 0 <= budget.left <= max(0, seconds - 0.05)
    done.set()
