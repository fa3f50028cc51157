"""What the sources share: the `Source` that each of them is, and the `Reading` that each returns."""

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

#: No key is longer, and nothing endless is read to its end.
MAX_BYTES = 16 * 1024

#: Numbers that tell which of two events came first. A clock cannot: that of Windows may stand still for 15 ms.
count: Callable[[], int] = _count(1).__next__


def remembered_for(ttl: float | None) -> float:
    """Seconds for which a key that was refused, and has not changed since, is not asked for again."""
    return 10.0 if ttl is None else min(10.0, ttl / 10)


class Reading(NamedTuple):
    """What one look at a source found.

    Attributes:
        credential: The header's value, or None if there is no key.
        where: The source in words, for messages.
        missing: Why there is no key, as a clause: "TGW_API_KEY is blank".
        trimmed: What was left out of the value, in words; blank if nothing was.
        path: The file that the key is in, as it was opened; None if it is in no file.
        awaited: Whether the file is missing, perhaps only for the moment in which another one replaces it.
    """

    credential: Credential | None
    where: str
    missing: str = ""
    trimmed: str = ""
    path: str | None = None
    awaited: bool = False


class Hint(NamedTuple):
    """What else was seen near a source without a key, as the end of a sentence, and what to do; both may be blank."""

    seen: str = ""
    remedy: str = ""


#: What ``Reading(...)`` does, without its function in Python, which takes as long as the rest of `read_value`.
_new: Callable[[type[Reading], tuple[object, ...]], Reading] = cast("Any", tuple).__new__


def read_value(raw: str, where: str, missing: str, path: str | None = None) -> Reading:
    """Make a reading of what a source had.

    Args:
        raw: What it had.
        where: The source in words.
        missing: Why there is no key if ``raw`` is blank.
        path: The file that it was read from, if any.

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
        del raw  # an interrupt may come before `Sources` has cleared this frame
        raise
    if credential is None:
        return Reading(None, where, missing)
    return Reading(credential, where, "", describe_trimming(raw), path)


class Source(ABC):
    """A place that a key comes from. Sources are immutable and are read anew for every request.

    No `OSError` or `UnicodeDecodeError` is chained to what they raise: an OSError may hold a key that
    was passed as a path, and a UnicodeDecodeError holds the file's bytes. `Sources` clears the frames
    that an exception passed; those of a source hold no key in a local when it raises.
    """

    __slots__ = ()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The arguments of BearerEnvAuth that make this source."""

    @abstractmethod
    def read(self) -> Reading:
        """Look for the key.

        Raises:
            InvalidKeyError: There is something that cannot be a key.
            KeySourceError: The source failed.
        """

    def hint(self) -> Hint:
        """What may explain why there is no key. Only a failure asks for it."""
        return Hint()

    @abstractmethod
    def where(self) -> str:
        """The source in words, as `Reading.where` has it."""

    def check_option(self) -> tuple[str, str] | None:
        """The option of ``check`` that names this source; None if a command line cannot name it."""
        return None

    def forget(self, refused: Credential, since: int) -> None:
        """Drop a cached key if it is the one that the server refused; most sources cache none.

        Args:
            refused: The header's value.
            since: When the refused request was prepared, as a number of `count`. A key that was
                asked for after that is not dropped at once.
        """

    @abstractmethod
    def __repr__(self) -> str:
        """The arguments of BearerEnvAuth, as far as they may be shown."""
