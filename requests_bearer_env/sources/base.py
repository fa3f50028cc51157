"""The base class of the sources, `Source`, and what each of them returns, a `Reading`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import count as _count
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from requests_bearer_env.credential import ORDINARY_KEY, Credential, describe_trimming, describe_white_space, parse
from requests_bearer_env.errors import InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Callable

    #: A callable that returns the key, or None for no key.
    Provider = Callable[[], str | bytes | None]

#: The longest key. No more than this is read from a file or a program, because its output may be endless.
MAX_BYTES = 16 * 1024

#: Seconds before each further read of a file that is missing or blank, perhaps only while it is being replaced.
PAUSES = (0.005, 0.01, 0.015, 0.02)

#: Returns a greater number at each call, which orders events. The clock of Windows cannot: it advances every 15 ms.
count: Callable[[], int] = _count(1).__next__


def remembered_for(ttl: float | None) -> float:
    """Return the seconds for which the sources are not read again after a refusal that brought the same key back."""
    return 10.0 if ttl is None else min(10.0, ttl / 10)


class Reading(NamedTuple):
    """The result of reading a source once.

    Attributes:
        credential: The header's value; None if there is no key.
        where: The source as messages name it.
        missing: Why there is no key, as a clause: "TGW_API_KEY is blank".
        trimmed: What was removed from the value, as messages name it; blank if nothing was.
        path: The path of the file that has the key, as it was opened; None if no file has it.
        awaited: Whether the file is missing, perhaps only until its replacement is created.
    """

    credential: Credential | None
    where: str
    missing: str = ""
    trimmed: str = ""
    path: str | None = None
    awaited: bool = False


class Hint(NamedTuple):
    """A likely reason why a source has no key, as the end of a sentence, and what to do; both may be blank."""

    seen: str = ""
    remedy: str = ""


#: Makes a `Reading` without NamedTuple's __new__, a Python function that takes as long as the rest of `read_value`.
_new: Callable[[type[Reading], tuple[object, ...]], Reading] = cast("Any", tuple).__new__


def read_value(raw: str, where: str, blank: str, path: str | None = None) -> Reading:
    """Make a reading of a source's value.

    Args:
        raw: The value.
        where: The source as messages name it.
        blank: What `Reading.missing` says after ``where`` if ``raw`` is blank, such as "is blank".
        path: The path of the file that ``raw`` was read from, if any.

    Raises:
        InvalidKeyError: ``raw`` cannot be a key.
    """
    key = raw.strip()
    if ORDINARY_KEY.fullmatch(key):
        trimmed = "" if key == raw else describe_white_space(raw, key)
        return _new(Reading, (Credential("Bearer " + key), where, "", trimmed, path, False))
    del key
    try:
        credential = parse(raw, where)
    except InvalidKeyError:
        del raw  # a KeyboardInterrupt may come before `Sources` clears this frame
        raise
    if credential is None:
        return Reading(None, where, f"{where} {blank}")
    return Reading(credential, where, "", describe_trimming(raw), path)


class Source(ABC):
    """A place where a key is stored. Sources are immutable, and each request reads them.

    The exceptions of a source have no `OSError` or `UnicodeDecodeError` as context: an OSError may hold a
    key that was passed as a path, and a UnicodeDecodeError holds the file's bytes. A source deletes locals
    that hold a key before it raises; `Sources` clears all frames that the exception passed.
    """

    __slots__ = ()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return the arguments of BearerEnvAuth that make this source."""

    @abstractmethod
    def read(self) -> Reading:
        """Read the key.

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
            since: When the refused request was prepared, as a number of `count`. If the source got its
                key after that, it keeps the key for some seconds.
        """

    @abstractmethod
    def advice(self) -> str:
        """Return what to do if there is no key and `hint` has no remedy; options are fields of `Wording`."""

    @abstractmethod
    def __repr__(self) -> str:
        """Return the arguments of BearerEnvAuth that make this source, without what may be a key."""
