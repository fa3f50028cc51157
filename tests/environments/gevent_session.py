"""gevent, which must patch the standard library before pytest is imported: ``nox -s gevent``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from tests.environments.greenlets import PATIENCE, GreenletContract


class TestGevent(GreenletContract):
    """Greenlets of gevent, after ``gevent.monkey.patch_all()``."""

    library = "gevent"

    def spawn(self, function: Callable[[], Any]) -> Any:
        """Start a greenlet of gevent."""
        return gevent.spawn(function)

    def wait(self, greenlet: Any) -> Any:
        """Return the result of a greenlet."""
        return greenlet.get(timeout=PATIENCE)

    def kill(self, greenlet: Any) -> None:
        """Raise GreenletExit in a greenlet."""
        greenlet.kill(timeout=PATIENCE)
