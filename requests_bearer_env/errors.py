"""What is raised when a request cannot be authorised.

::

    requests.exceptions.RequestException
    └── BearerAuthError
        ├── MissingKeyError         no source had a key
        ├── InvalidKeyError         a source had something that cannot be a key (also a ValueError)
        ├── KeySourceError          a source failed: unreadable, raised, ambiguous
        ├── InsecureTransportError  the URL is not https
        └── UntrustedHostError      the URL's host is not among hosts=

They are raised while a request is prepared, before anything is sent, and carry that request as
``request``, as every `requests.exceptions.RequestException` does. No message holds a key.
Wrong arguments to a constructor are `TypeError` or `ValueError`.
"""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING

from requests.exceptions import RequestException

if TYPE_CHECKING:
    from types import FrameType


def bare(error: TypeError | ValueError) -> TypeError | ValueError:
    """The same error of a constructor without the frames it has passed, whose locals may be the key."""
    return TypeError(str(error)) if isinstance(error, TypeError) else ValueError(str(error))


def _is_ours(frame: FrameType) -> bool:
    """Whether a frame runs code of this package or of a package in it."""
    return str(frame.f_globals.get("__package__")).partition(".")[0] == __package__


def clear_frames(error: BaseException) -> None:
    """Clear the locals of this package's frames that an exception, or what it came from, has left.

    They may be the key, whatever has ended them: also an interrupt, in the middle of anything.
    """
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        todo += [current.__cause__, current.__context__]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if _is_ours(frame):
                with contextlib.suppress(RuntimeError):  # it still runs
                    frame.clear()


class BearerAuthError(RequestException):
    """The request was not sent because it could not be authorised safely."""


class MissingKeyError(BearerAuthError):
    """None of the sources had a key; the message names each and what was found there."""


class InvalidKeyError(BearerAuthError, ValueError):
    """A source had something that cannot be sent as a bearer key."""


class KeySourceError(BearerAuthError):
    """A source failed, so nobody can tell whether it has a key.

    When a provider raised, its exception is the ``__cause__``.
    """


class InsecureTransportError(BearerAuthError):
    """The URL is not https, so the key would be readable on the way."""


class UntrustedHostError(BearerAuthError):
    """The URL's host is not one that ``hosts=`` names."""
