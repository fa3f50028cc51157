"""A key in a file."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from pathlib import Path
from typing import Any

from requests_bearer_env import platforms
from requests_bearer_env.credential import parse
from requests_bearer_env.errors import KeySourceError

from .base import MAX_BYTES, PAUSES, Reading, Source

#: ``$CREDENTIALS_DIRECTORY/key`` or ``~/key``: no key begins like that.
_SURELY_PATH = r"(?a)(?:\$\{?\w+\}?|~\w*)[/\\]"

_QUOTED = r"(?s)(['\"]).*\1"


class FileSource(Source):
    """A file; ``~`` and ``$VAR`` in its path are expanded each time it is read."""

    __slots__ = ("_label", "given")

    def __init__(self, path: str | os.PathLike[str], option: str = "file=") -> None:
        """Check the path.

        Args:
            path: The path as the user gave it.
            option: How the user interface names this argument, for messages.

        Raises:
            TypeError: ``path`` is not a path, or is a path in bytes.
            ValueError: ``path`` is blank or has a NUL in it.
        """
        path = os.fspath(path)
        if not isinstance(path, str):
            raise TypeError(f"{option} is a path in bytes: give it as a str")
        if not path.strip() or "\0" in path:
            raise ValueError(f"{option} is blank or has a NUL character in it: give the path of the key's file")
        #: The path as the user gave it.
        self.given: str = path
        #: How messages name the file once it is known to exist, so that its path is not the key.
        self._label = f"file {path}"

    def options(self) -> dict[str, Any]:
        return {"file": self.given}

    @property
    def path(self) -> str:
        """The expanded path, as a read would open it now."""
        return platforms.expand(self.given)

    def read(self) -> Reading:
        reading = self._read_once()
        for pause in PAUSES:
            # A blank file is read again, because programs truncate a file before they write it.
            if reading is not None and (reading.credential is not None or reading.awaited):
                return reading
            time.sleep(pause)
            reading = self._read_once()
        if reading is not None:
            return reading
        raise KeySourceError(f"{self._label} is locked by another program", "find out which program keeps it open")

    def _read_once(self) -> Reading | None:
        """Read the file without pauses; return None if another program has locked it."""
        path = platforms.expand(self.given)
        try:
            credential, trimmed = parse(self._text(path), self._label)
            return Reading(credential, self._label, trimmed, f"{self._label} is blank" if credential is None else "")
        except BlockingIOError:
            return None
        except FileNotFoundError:
            quoted = re.fullmatch(_QUOTED, self.given)
        if not quoted:
            where = self._safe_label(path)
            return Reading(None, where, missing=f"{where} does not exist{_explain_variable(path)}", awaited=True)
        raise KeySourceError(
            "the path of the key's file has quotes around it, which count as part of the path",
            "write the path without quotes",
        )

    def _text(self, path: str) -> str:
        """Return the text of the file, which is UTF-8 with or without a byte order mark.

        Raises:
            BlockingIOError: Another program has locked the file.
            FileNotFoundError: The file does not exist.
        """
        data = self._data(path)
        try:
            if len(data) <= MAX_BYTES:
                return data.decode()
            problem, remedy = f"has more than {MAX_BYTES} bytes, too many for a key", "check the path"
        except UnicodeDecodeError:
            utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
            problem = "is UTF-16, which PowerShell's > writes" if utf16 else "is not UTF-8 text"
            remedy = "store the key in it as UTF-8"
        del data
        raise KeySourceError(f"{self._label} {problem}", remedy)

    def _data(self, path: str) -> bytes:
        """Return the first bytes of the file: at most one more than a key may have."""
        try:
            data = read_regular(path, MAX_BYTES + 1)
        except FileNotFoundError:
            raise
        except OSError as error:
            if platforms.is_sharing_violation(error):
                raise BlockingIOError from None  # another program may be replacing the file, so read() tries again
            if platforms.is_invalid_name(error):
                raise FileNotFoundError from None  # the path may be in quotes, which _read_once() explains
            number, reason = error.errno, error.strerror
        except ValueError:  # the path has characters that the file system's encoding lacks
            number, reason = errno.EINVAL, "it is not a valid path on this system"
        else:
            if data is not None:
                return data
            raise KeySourceError(
                f"{self._safe_label(path)} is not a regular file but a directory, pipe, socket or device",
                "give the path of a regular file, or use {provider} with a program that prints the key",
            )
        if number == errno.ENAMETOOLONG:
            raise KeySourceError("the path of the key's file is too long", "give a path, not the key itself")
        raise KeySourceError(
            f"{self._safe_label(path)} cannot be read ({reason})",
            "check the path, and the file's owner and permissions",
        )

    def _safe_label(self, path: str) -> str:
        """Return how messages name the file if it cannot be opened, without its path if that may be the key."""
        if (
            re.match(_SURELY_PATH, self.given)
            or platforms.looks_like_path(self.given)
            or os.path.exists(path)
            or _has_existing_parent(path)
        ):
            return f"file {self.given}"
        return f"the file at a path of {len(self.given)} characters (not shown because it may be a key)"

    def advice(self) -> str:
        return "store the key in that file, or correct the path"

    def __repr__(self) -> str:
        return f"file={self._safe_label(self.path).removeprefix('file ')}"


def _explain_variable(path: str) -> str:
    """Say that an expanded path still has a variable in it; return "" if it has none."""
    sign = platforms.variable_sign(path)
    return f" ({sign} in its path names no variable that is set)" if sign else ""


def _has_existing_parent(path: str) -> bool:
    """Return whether a parent directory of an absolute path exists, other than the root.

    The root does not count, because a base64 key may begin with a slash.
    """
    return os.path.isabs(path) and any(map(os.path.isdir, list(map(str, Path(path).parents))[:-1]))


def read_regular(path: str, limit: int) -> bytes | None:
    """Return the first bytes of a file; None if it is not a regular file.

    Raises:
        OSError: The file cannot be read.
        ValueError: The path has a character that is not valid in paths.
    """
    status = None if platforms.is_device_path(path) else os.stat(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    descriptor = platforms.open_to_read(path)
    try:
        # One read() for the whole key, because another program may rewrite the file between two of them.
        data = os.read(descriptor, limit)
        # Some file systems return less than was asked for, and files in /proc and /sys report a size of 0.
        if len(data) != status.st_size:
            while len(data) < limit and (chunk := os.read(descriptor, limit - len(data))):
                data += chunk
        return data
    finally:
        os.close(descriptor)
