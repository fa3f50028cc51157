"""The time that all of the network's part may take."""

from __future__ import annotations

import threading
import time

import pytest

from requests_bearer_env.doctor.budget import Budget


def test_outcome_is_returned() -> None:
    """What is run in time returns as usual, and uses up its time."""

    def slowly() -> str:
        time.sleep(0.05)
        return "done"

    budget = Budget(10)
    assert budget.run(slowly) == "done"
    assert 9 < budget.left <= 9.95
    assert budget.seconds == 10


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("x"), KeyboardInterrupt()])
def test_exception_is_raised(error: BaseException) -> None:
    """What the work raises is raised in the calling thread."""

    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        Budget(10).run(work)


@pytest.mark.parametrize(("seconds", "at_most"), [(0.05, None), (10, 0.05), (0, None)])
def test_work_without_end_is_left_alone(seconds: float, at_most: float | None) -> None:
    """It goes on in a thread that does not keep the process alive."""
    done = threading.Event()
    before = threading.enumerate()
    budget = Budget(seconds)
    with pytest.raises(TimeoutError):
        budget.run(lambda: done.wait(30), at_most)
    assert [thread.daemon for thread in threading.enumerate() if thread not in before] == [True]
    assert 0 <= budget.left <= max(0, seconds - 0.05)
    done.set()
