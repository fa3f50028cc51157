"""The exceptions for requests that cannot be authorised.

::

    requests.exceptions.RequestException
    └── BearerAuthError
        ├── MissingKeyError         no source had a key
        ├── InvalidKeyError         a source had a value that cannot be a key (also a ValueError)
        ├── KeySourceError          a source failed or is ambiguous
        ├── InsecureTransportError  the URL is not https, or cannot be parsed
        └── UntrustedHostError      the URL's host is not among hosts=

Preparing a request raises them, before anything is sent, and they carry that request as ``request``, as every
`requests.exceptions.RequestException` does. `BearerEnvAuth.credential` raises them without a request. No message
holds a key. A constructor raises `TypeError` or `ValueError` for a wrong argument.
"""

from __future__ import annotations

import contextlib
import traceback
from functools import wraps
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from requests.exceptions import RequestException

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Wording(NamedTuple):
    """The names of options in the remedies of one user interface, and how its users load a ``.env`` file.

    ``{host}`` is replaced by the host that the remedy is about. ``or_trust_path`` is the end of a sentence: how to
    allow plain HTTP to a host other than this machine. It is blank if no option does.
    """

    env: str
    file: str
    provider: str
    hosts: str
    allow_http: str
    or_trust_path: str
    load_dotenv: str


_DOTENV = "load it, for example with python -m dotenv run -- PROGRAM of python-dotenv[cli]"
PYTHON = Wording(
    env="env='NAME'",
    file="file=",
    provider="provider=",
    hosts="hosts=",
    allow_http="allow_http=['{host}']",
    or_trust_path="; or, if you trust the network, use allow_http=['{host}']",
    load_dotenv="call load_dotenv(PATH) of python-dotenv, with the path of that file, before the first request",
)
COMMAND_LINE = Wording(
    env="--env NAME",
    file="--file",
    provider="--command",
    hosts="--host",
    allow_http="--allow-http {host}",
    or_trust_path="; or, if you trust the network, use --allow-http {host}",
    load_dotenv=_DOTENV,
)
HTTPIE = Wording(
    env="-a NAME",
    file="-a @PATH",
    provider="provider= in Python",
    hosts="hosts= in Python",
    allow_http="-A bearer-env-local (this machine only)",
    or_trust_path="",
    load_dotenv=_DOTENV,
)


class BearerAuthError(RequestException):
    """The request was not sent because it could not be authorised safely.

    Attributes:
        problem: What was seen, and where.
        remedy: What to do about it.
    """

    problem: str

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        host: str = "",
        wording: Wording = PYTHON,
        request: PreparedRequest | None = None,
    ) -> None:
        """Make the message.

        Args:
            problem: What was seen, and where.
            remedy: What to do. Options are fields of `Wording`, as in ``{provider}``.
            host: The host that the remedy is about.
            wording: The names of the options.
            request: The request that was not sent.
        """
        self.problem = problem
        self._template = remedy
        self._host = host
        self._wording = wording
        super().__init__(f"{problem}: {self.remedy}" if remedy else problem, request=request)

    @property
    def remedy(self) -> str:
        """What to do; blank if there is nothing to say."""
        options = self._wording._asdict().items()
        return self._template.format(**{option: name.format(host=self._host) for option, name in options})

    def copy(self, wording: Wording | None = None) -> BearerAuthError:
        """Return a copy without traceback and request, worded for another user interface if one is given."""
        copied = type(self)(self.problem, self._template, host=self._host, wording=wording or self._wording)
        copied.__cause__ = self.__cause__
        return copied


class MissingKeyError(BearerAuthError):
    """No source had a key; the message names each source and what it had instead."""


class InvalidKeyError(BearerAuthError, ValueError):
    """A source had a value that cannot be sent as a bearer key."""


class KeySourceError(BearerAuthError):
    """A source failed or is ambiguous, so it is unknown which key to send.

    If a function given as ``provider=`` raised, its exception is the ``__cause__``.
    """


class InsecureTransportError(BearerAuthError):
    """The URL is not https, or cannot be parsed, so the key could be read on the way or reach another host."""


class UntrustedHostError(BearerAuthError):
    """The URL's host is not one that ``hosts=`` names."""


def clear_frames(error: BaseException) -> None:
    """Clear the locals of this package's frames in the tracebacks of an exception and its causes.

    A local may hold a key at any exception, because a KeyboardInterrupt can come between any two
    instructions. A frame that is still running cannot be cleared, so the caller must delete its own locals.
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
            package = str(frame.f_globals.get("__package__")).partition(".")[0]
            if package == __package__:
                with contextlib.suppress(RuntimeError):  # the frame is running
                    frame.clear()


def without_locals(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function so that no exception that leaves it shows the locals of this package's frames.

    Any argument may be the key, and traceback printers show the locals of frames.
    """

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            clear_frames(error)
            del args, kwargs
            raise

    return call
