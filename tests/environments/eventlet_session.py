"""Eventlet, which must patch the standard library before pytest is imported: ``nox -s eventlet``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import eventlet

from tests.environments.greenlets import PATIENCE, GreenletContract


class TestEventlet(GreenletContract):
    """Greenlets of eventlet, after ``eventlet.monkey_patch()``."""

    library = "eventlet"

    def spawn(self, function: Callable[[], Any]) -> Any:
        """Start a green thread of eventlet."""
        return eventlet.spawn(function)

    def wait(self, greenlet: Any) -> Any:
        """Return the result of a greenlet."""
        with eventlet.Timeout(PATIENCE):
            return greenlet.wait()

    def kill(self, greenlet: Any) -> None:
        """Raise GreenletExit in a greenlet."""
        greenlet.kill()
