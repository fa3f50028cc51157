"""The time that all uses of the network may take together."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _T = TypeVar("_T")


class Budget:
    """A number of seconds, from which `run` subtracts the time that it takes.

    Attributes:
        seconds: The seconds at the start.
        left: The seconds that are left.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.left: float = seconds

    def run(self, work: Callable[[], _T], at_most: float | None = None) -> _T:
        """Run a function in a thread, and return its result if it comes within the time that is left.

        A socket's timeout is not enough: it limits neither the look-up of a name nor, in total, an answer that
        arrives byte by byte. After a timeout, the thread runs on, because Python cannot stop it.

        Args:
            work: The function.
            at_most: The maximum number of seconds to wait, even if more are left.

        Raises:
            TimeoutError: The function took too long.
            BaseException: The function raised it.
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
        except futures.TimeoutError:  # before Python 3.11, this class is not the built-in TimeoutError
            raise TimeoutError from None
        finally:
            self.left = max(0.0, self.left - (time.monotonic() - start))
