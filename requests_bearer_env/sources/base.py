"""The base class of the sources, `Source`, and what each of them returns, a `Reading`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests_bearer_env.credential import Credential

    #: A callable that returns the key, or None for no key.
    Provider = Callable[[], str | bytes | None]

#: The maximum size of a file, or of a program's output, in bytes. Reading stops just beyond it, because either may be
#: infinite.
MAX_BYTES = 16 * 1024

#: Seconds to wait before each further read of a file that is missing, blank or locked, because another program
#: may be replacing it.
PAUSES = (0.005, 0.01, 0.015, 0.02)

#: Returns the number of the next event, greater than all before it. A clock does not order events on Windows, where
#: it advances only every 15 ms.
next_event: Callable[[], int] = count(1).__next__


def refusal_lifetime(ttl: float | None) -> float:
    """Return the seconds for which the sources are not read again, after they returned a refused key again.

    Otherwise each request with a revoked key would call the vault. Ten seconds limit this to six calls a minute,
    and a rotated key is found soon enough. A provider that makes a new key at each call is not limited by this.
    A short ``ttl`` means that the key may change often, so a tenth of ``ttl`` is the limit if that is less.

    Args:
        ttl: The ``ttl=`` of the provider; None if there is none.
    """
    return 10.0 if ttl is None else min(10.0, ttl / 10)


class Reading(NamedTuple):
    """The result of reading a source once.

    Attributes:
        credential: The header's value; None if there is no key.
        where: The source as messages name it; may be blank if there is no key.
        trimmed: What was removed from the value, as messages name it; blank if nothing was.
        missing: Why there is no key, as a clause: "TGW_API_KEY is blank".
        awaited: Whether the file is missing, and must be read again because a program may be replacing it.
    """

    credential: Credential | None
    where: str
    trimmed: str = ""
    missing: str = ""
    awaited: bool = False


class Hint(NamedTuple):
    """A likely reason why a source has no key, as the end of a sentence, and what to do; both may be blank."""

    seen: str = ""
    remedy: str = ""


class Source(ABC):
    """A place where a key is stored.

    The settings of a source never change. Each request calls `read`; only `CachedProviderSource` keeps state
    between calls.

    To add a kind of source, derive a class from this one, give `BearerEnvAuth` an argument for it, and let
    `requests_bearer_env.sources.Sources` construct it. Give ``check`` and HTTPie an option for it, in
    `requests_bearer_env.__main__` and `requests_bearer_env.httpie`, and `requests_bearer_env.errors.Wording` a
    field if a remedy names the option. Two more modules distinguish the kinds: `requests_bearer_env.advice` and
    `requests_bearer_env.doctor.key`.

    The exceptions of a source have no `OSError` or `UnicodeDecodeError` as context: an OSError may hold a
    key that was passed as a path, and a UnicodeDecodeError holds the file's bytes. A source deletes locals
    that hold a key before it raises; `Sources` clears all frames that the exception passed.
    """

    __slots__ = ()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return the arguments of `BearerEnvAuth` that make an equal source, by name.

        The names must be those of the constructor, because pickle and ``==`` use them.
        """

    @abstractmethod
    def read(self) -> Reading:
        """Return the key; if the source has none, return a `Reading` with ``credential=None`` and ``missing`` set.

        Raises:
            InvalidKeyError: The source has a value that cannot be a key.
            KeySourceError: The source failed.
        """

    def hint(self) -> Hint:
        """Return a likely reason why there is no key; only called when no source has one."""
        return Hint()

    def forget(self, refused: Credential, since: int) -> None:
        """Drop the cached key if it is the refused one; most sources have no cache.

        Args:
            refused: The header's value.
            since: When the refused request was prepared, as returned by `next_event`. A key that the source got
                later is kept for some seconds (see `refusal_lifetime`), because another call would only return
                it again.
        """

    @abstractmethod
    def advice(self) -> str:
        """Return what to do if there is no key and `hint` has no remedy; options are fields of `Wording`."""

    @abstractmethod
    def __repr__(self) -> str:
        """Return the part of the repr of `BearerEnvAuth` for this source. It must not show what may be a key."""
