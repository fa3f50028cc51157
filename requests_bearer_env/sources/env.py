"""A key in an environment variable, or in the file that a variable names."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from requests_bearer_env.credential import parse
from requests_bearer_env.errors import KeySourceError

from .base import Hint, Reading, Source
from .file import FileSource, read_regular

#: The variable that is read when no source is named.
DEFAULT_ENV = "BEARER_TOKEN"

#: A name in capitals made of short words, as names of variables usually are. Keys rarely look like that.
_PLAIN_NAME = r"_*(?:[A-Z]{1,12}|[A-Z0-9]{1,12}(?:_+[A-Z0-9]{1,12})+)_*"

#: A line that sets a variable in a ``.env`` file.
_DOTENV_NAME = rb"(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*="

#: The number of bytes of a ``.env`` file that are searched.
_DOTENV_SIZE = 64 * 1024

#: The similarity of two names of which one may be misspelled, as `difflib` measures it: one letter of nine differs.
_SIMILARITY = 0.88

#: A reference that a shell expands: ``$NAME``, ``${NAME}``, ``%NAME%``, ``$env:NAME``.
_EXPANSION = r"(?ai)\$\{\w+\}|\$(?:env:)?\w+|%\w+%"


class EnvSource(Source):
    """``$NAME``, else the file that ``$NAME_FILE`` names: the convention of container images."""

    __slots__ = ("_file_name", "_name", "_where")

    def __init__(self, name: str, option: str = "env=", file_option: str = "file=") -> None:
        """Check the name.

        Args:
            name: The name of the variable.
            option: How the user interface names this argument, for messages.
            file_option: How the user interface names the argument for a file.

        Raises:
            TypeError: ``name`` is not a str.
            ValueError: ``name`` is not the name of a variable. The message does not show it, because it may be the key.
        """
        if type(name).__name__ == "PreparedRequest":  # of requests, or of niquests
            raise TypeError(
                f"{option} is PreparedRequest, as when the class itself is passed: write auth=BearerEnvAuth()"
            )
        if not isinstance(name, str):
            raise TypeError(f"{option} is {type(name).__name__}: give the name of an environment variable")
        if not _is_name(name):
            why = _why_no_name(name, file_option)
            raise ValueError(f"{option} ({len(name)} characters, not shown) {why}")
        self._name = name
        self._file_name = f"{name}_FILE"
        self._where = f"environment variable {name}"

    def options(self) -> dict[str, Any]:
        return {"env": self._name}

    def read(self) -> Reading:
        # Some traceback printers show the value of each name in a line, so os.environ would print every variable.
        file = self.file()
        if file is not None:
            return self._read_file(file)
        credential, trimmed = parse(os.getenv(self._name, ""), self._where)
        return Reading(credential, self._where, trimmed, self._why_missing() if credential is None else "")

    def file(self) -> FileSource | None:
        """Return the file that ``$NAME_FILE`` names; None if that is unset or blank."""
        path = os.getenv(self._file_name, "").strip()
        return FileSource(path) if path else None

    def _read_file(self, file: FileSource) -> Reading:
        """Read the file; raise `KeySourceError` if the variable itself is set, too."""
        if os.getenv(self._name, "").strip():
            raise KeySourceError(
                f"{self._name} and {self._file_name} are both set, so it is unknown which key is meant",
                "unset one of the two",
            )
        reading = file.read()
        if reading.credential is None:
            path = reading.where.removeprefix("the ").removeprefix("file ")
            state = reading.missing.removeprefix(reading.where)
            return reading._replace(missing=f"the file that {self._file_name} names, {path},{state}")
        return reading

    def _why_missing(self) -> str:
        state = "blank" if self._name in os.environ else "not set"
        return f"{self._shown()} is {state} in this process's environment"

    def _shown(self) -> str:
        """Return how messages name the variable, without its name if that may be a key."""
        if self._name in os.environ or self._file_name in os.environ or re.fullmatch(_PLAIN_NAME, self._name):
            return self._name
        return f"the variable with a name of {len(self._name)} characters (not shown because it may be a key)"

    def hint(self) -> Hint:
        """Look for a misspelled name, a key in place of the name, and a ``.env`` file that was not loaded."""
        file = self.file()
        if file is not None and not re.search(r"[/\\]", file.given) and not os.path.exists(file.path):
            return Hint("", f"{self._file_name} takes a path; for the key itself use {self._name}")
        if self._name in os.environ or self._file_name in os.environ:
            return Hint()
        dotenv = _names_in_dotenv()
        if self._name in dotenv:
            return Hint(
                f"; {dotenv[self._name]} has a line for that variable",
                "{load_dotenv}; if that is done, look at the quotes in that line",
            )
        if not re.fullmatch(_PLAIN_NAME, self._name):
            remedy = "if this is the key itself, give the name of a variable that holds it"
            return Hint("", f"set that variable before the program starts; {remedy}")
        from difflib import get_close_matches  # few programs need it

        # os.environ of Windows has all names in capitals.
        names = {name.upper(): f"{name} is in {where}" for name, where in dotenv.items()}
        names.update((name.upper(), f"{name} is set") for name in os.environ if _is_name(name))
        found = get_close_matches(self._name.upper(), names, 1, _SIMILARITY)
        return Hint(f" ({names[found[0]]})", "correct the variable's name") if found else Hint()

    def advice(self) -> str:
        file = self.file()
        if file is not None:
            return file.advice()
        if self._name == DEFAULT_ENV:
            return "name another variable with {env}, or set this one before the program starts"
        return f"set it before the program starts, or set {self._file_name} to the path of a file with the key"

    def __repr__(self) -> str:
        return f"env={self._shown()}"


def _is_name(text: str) -> bool:
    """Return whether a text is a POSIX name of a variable: ASCII letters, digits, underscores, no digit first."""
    return text.isascii() and text.isidentifier()


def _why_no_name(text: str, file_option: str) -> str:
    """Return why a text is not the name of a variable, and what to do."""
    if re.fullmatch(_EXPANSION, text):
        return "is written as a shell expands a variable: give the variable's name alone, without $ or %"
    return (
        "is not the name of an environment variable: put the key into a variable and give that variable's name, "
        f"or name a file with {file_option}"
    )


def _names_in_dotenv() -> dict[str, str]:
    """Return the variables that ``.env`` files set, and for each the file in words.

    python-dotenv looks in the directory of the script; other programs look in the current directory.
    """
    places = {"": "the file .env in this directory"}
    script = getattr(sys.modules.get("__main__"), "__file__", None)  # an interactive Python has no script
    if script:
        places.setdefault(os.path.dirname(script), "the file .env beside the main script")
    names: dict[str, str] = {}
    for directory, where in places.items():
        for name in re.findall(_DOTENV_NAME, _read_dotenv(directory)):
            names.setdefault(name.decode(), where)
    return names


def _read_dotenv(directory: str) -> bytes:
    """Return the beginning of the ``.env`` file in a directory; blank if there is none."""
    try:
        return read_regular(os.path.join(directory, ".env"), _DOTENV_SIZE) or b""
    except OSError:
        return b""
