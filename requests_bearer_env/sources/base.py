"""Where a key comes from: an environment variable or a file; providers have a module of their own.

A source is asked anew for every request. It answers with the header value, or None if it has no
key. No `OSError` or `UnicodeDecodeError` is chained: the one may hold a key given as a path, the
other the file. The frames that an exception leaves are cleared by `BearerEnvAuth.credential`.
"""

from __future__ import annotations

import errno
import os
import re
import select
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from requests_bearer_env.credential import parse, trimmed
from requests_bearer_env.errors import KeySourceError

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential

#: No key is longer, and nothing endless is read to its end.
MAX_BYTES = 16 * 1024

#: Seconds to wait before each further look at a blank file: whoever rewrites it empties it first.
_SECOND_LOOKS = (0.005, 0.01, 0.015, 0.02)

#: Seconds for whoever has opened a named pipe to write into it, and to come to an end.
_PIPE_PATIENCE = (0.01, 0.1)

#: Not blocking, for a named pipe that nobody writes to would be waited for without end.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

#: ``$CREDENTIALS_DIRECTORY/key`` outside of a unit that sets the variable: no key begins like that.
_VARIABLE_FIRST = re.compile(r"\$\{?[A-Z_]+\}?/", re.ASCII)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

#: A name in capitals, as POSIX has them, made of short words: no key looks like that.
_PLAIN_NAME = re.compile(r"_*(?:[A-Z]{1,12}|[A-Z0-9]{1,12}(?:_+[A-Z0-9]{1,12})+)_*", re.ASCII)


class Source(ABC):
    """What the sources have in common; they are immutable."""

    __slots__ = ()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The arguments of BearerEnvAuth that make this source."""

    @abstractmethod
    def credential(self) -> Credential | None:
        """Ask for the key.

        Raises:
            InvalidKeyError: There is something that cannot be a key.
            KeySourceError: The source failed.
        """

    def forget(self, refused: object, sent: float) -> None:
        """Drop a kept key if it is the one that the server refused; most sources keep none.

        Args:
            refused: The header's value.
            sent: When that was sent, of `time.monotonic`.
        """

    @abstractmethod
    def where(self) -> str:
        """The source in words, for messages."""

    @abstractmethod
    def absence(self) -> str:
        """In words, why there is no key."""

    def trimmed(self) -> str:
        """In words, what is left out of the value; blank if nothing, or if asking again may cost something."""
        return ""

    def key_file(self) -> str | None:
        """The path of the file that the key is in, if it is in one."""
        return None

    def __repr__(self) -> str:
        return f"<{self.where()}>"


class EnvSource(Source):
    """``$NAME``, else the file that ``$NAME_FILE`` names, as container images have it."""

    __slots__ = ("_file_name", "_name")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"env= is {type(name).__name__}: give the name of an environment variable")
        if not _NAME.fullmatch(name):
            raise ValueError(  # which may well be the key itself: none of it is shown
                f"env= ({len(name)} characters, not shown) is not the name of an environment variable: "
                "put the key into a variable and give the name of that"
            )
        self._name = name
        self._file_name = f"{name}_FILE"

    def options(self) -> dict[str, Any]:
        return {"env": self._name}

    def credential(self) -> Credential | None:
        # os.getenv, for some printers of tracebacks show what a line names, and os.environ is everything.
        if os.getenv(self._file_name):
            file = self.file()
            if file is not None:
                return self._unless_both(file)
        return parse(os.getenv(self._name, ""), self)

    def _unless_both(self, file: FileSource) -> Credential | None:
        if os.getenv(self._name, "").strip():
            raise KeySourceError(
                f"{self.where()} and its _FILE variant are both set, "
                "so nobody can tell which key is meant: unset one of the two"
            )
        return file.credential()

    def file(self) -> FileSource | None:
        """The file that ``$NAME_FILE`` names, if it names one."""
        path = os.getenv(self._file_name, "").strip()
        return FileSource(path) if path else None

    def where(self) -> str:
        if self._name in os.environ or self._file_name in os.environ or _PLAIN_NAME.fullmatch(self._name):
            return f"environment variable {self._name}"
        return f"the environment variable that env= names ({len(self._name)} characters, not shown as it may be a key)"

    def absence(self) -> str:
        file = self.file()
        if file is not None:
            return f"{self.where()} has a _FILE variant, and {file.absence()}"
        return f"{self.where()} is {'blank' if self._name in os.environ else 'not set'}"

    def trimmed(self) -> str:
        file = self.file()
        return trimmed(os.getenv(self._name, "")) if file is None else file.trimmed()

    def key_file(self) -> str | None:
        file = self.file()
        return None if file is None else file.key_file()


class FileSource(Source):
    """A file; ``~`` and ``$VAR`` in its path are expanded each time it is read."""

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = os.fspath(path)
        if not isinstance(path, str):
            raise TypeError("file= is a path in bytes: give it as a str")
        if not path.strip() or "\0" in path:
            raise ValueError("file= is not a path (blank, or with a NULL in it): give the path of the key's file")
        self._path = path

    def options(self) -> dict[str, Any]:
        return {"file": self._path}

    def path(self) -> str:
        """The path as it is opened."""
        path = self._path
        if "~" in path or "$" in path:
            return os.path.expandvars(os.path.expanduser(path))
        return path

    def credential(self) -> Credential | None:
        for pause in _SECOND_LOOKS:
            credential = parse(self._text(), self)
            if credential is not None or self._missing():
                return credential
            time.sleep(pause)
        return parse(self._text(), self)

    def _missing(self) -> bool:
        return not os.path.exists(self.path())

    def _text(self) -> str:
        """The file's text, blank if there is no file."""
        data = _read(self.path())
        if isinstance(data, OSError):
            if data.errno == errno.ENAMETOOLONG:
                raise KeySourceError("the path of the key's file is too long: give a path, not the key itself")
            raise KeySourceError(f"{self.where()} cannot be read: {data.strerror}; check the path and its permissions")
        if len(data) > MAX_BYTES:
            raise KeySourceError(f"{self.where()} has more than {MAX_BYTES} bytes, so it is no key: check the path")
        try:
            return data.decode().removeprefix("\ufeff")
        except UnicodeDecodeError:
            utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        seen = "is UTF-16 (PowerShell's > writes that)" if utf16 else "is not UTF-8 text"
        raise KeySourceError(f"{self.where()} {seen}: store the key in it as UTF-8")

    def where(self) -> str:
        path = self.path()
        # What leads nowhere at all may be a key that was given as the path; base64 may begin with a slash.
        if _VARIABLE_FIRST.match(path) or os.path.exists(path) or _begins_somewhere(path):
            return f"file {path}"
        return f"the file at a path of {len(path)} characters (not shown as it may be a key)"

    def absence(self) -> str:
        if not self._missing():
            return f"{self.where()} is blank"
        unset = " ($ in it names no variable)" if "$" in self.path() else ""
        return f"{self.where()} does not exist{unset}"

    def trimmed(self) -> str:
        data = _read(self.path())
        return "" if isinstance(data, OSError) else trimmed(data.decode(errors="replace"))

    def key_file(self) -> str | None:
        return self.path()


def _begins_somewhere(path: str) -> bool:
    """Whether a directory that an absolute path leads through exists, the root apart."""
    return os.path.isabs(path) and any(map(os.path.isdir, list(map(str, Path(path).parents))[:-1]))


def _read(path: str) -> bytes | OSError:
    """At most a byte more than MAX_BYTES; nothing if there is no file or a pipe is not ready."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except FileNotFoundError:
        return b""
    except OSError as error:
        return error
    except ValueError:  # letters that the system's encoding has not
        return OSError(errno.EINVAL, "it is no path here")
    data = b""
    start = time.monotonic()
    try:
        while len(data) <= MAX_BYTES:
            try:
                chunk = os.read(descriptor, MAX_BYTES + 1 - len(data))
            except BlockingIOError:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                left = start + _PIPE_PATIENCE[bool(data)] - time.monotonic()
                if left > 0 and poll.poll(left * 1000):
                    continue
                if data and not data.endswith(b"\n"):
                    return OSError(errno.EAGAIN, "whoever writes into the pipe has not come to an end")
                break
            if not chunk:
                break
            data += chunk
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
    return data
