"""The time that all of the network's part may take together."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _T = TypeVar("_T")


class Budget:
    """Seconds that are used up by what `run` runs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.left: float = seconds

    def run(self, work: Callable[[], _T], at_most: float | None = None) -> _T:
        """Run something in a thread, and wait for it no longer than there is time.

        A socket's timeout is not enough: neither the look-up of a name nor a server that sends a header letter
        by letter heeds it. What takes too long is left to itself.

        Args:
            work: What to run.
            at_most: Seconds to wait, if there is more time than that.

        Raises:
            TimeoutError: It took too long.
            BaseException: What the work raised.
        """
        outcome: futures.Future[_T] = futures.Future()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        start = time.monotonic()
        threading.Thread(target=run, daemon=True).start()
        try:
            return outcome.result(self.left if at_most is None else min(self.left, at_most))
        except futures.TimeoutError:  # before Python 3.11 this is another class
            raise TimeoutError from None
        finally:
            self.left = max(0.0, self.left - (time.monotonic() - start))
