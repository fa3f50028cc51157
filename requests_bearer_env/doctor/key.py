"""The checks ``key`` and ``header``: where the key comes from, what it looks like, and what is sent."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from requests_bearer_env.errors import BearerAuthError
from requests_bearer_env.mistakes import Mistake, explain_suspicion
from requests_bearer_env.sources import explain_missing
from requests_bearer_env.sources.env import EnvSource
from requests_bearer_env.sources.file import FileSource

from .report import Check, failed_check, fill_in_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from requests_bearer_env.credential import Credential
    from requests_bearer_env.errors import Wording
    from requests_bearer_env.sources.base import Reading, Source

#: The number of characters that servers commonly accept in one header line.
_LONG_HEADER = 8000

#: A shorter key is probably truncated, but it may be right if the server's owner chose it.
_SHORT_KEY = 8

#: A key of this length or more stays secret although its last 4 characters are shown.
_LONG_KEY = 20


class KeyFound(NamedTuple):
    """The result of reading the sources.

    Attributes:
        check: The check ``key``.
        credential: The header's value; None if there is no key.
        file: The file that had the key, or that could not be read; None if another source decided.
    """

    check: Check
    credential: Credential | None = None
    file: FileSource | None = None


def find_key(sources: Sequence[Source], wording: Wording) -> KeyFound:
    """Read the sources in order, as a request does, and return the first key.

    Unlike a request, this does not wait for a missing file that may be about to be replaced.
    """
    readings: list[Reading] = []
    for number, source in enumerate(sources, start=1):
        try:
            reading = source.read()
        except BearerAuthError as error:
            return KeyFound(failed_check("key", error, wording), file=_file_source(source))
        if reading.credential is not None:
            other = _find_other_key(sources[number:], reading.credential)
            check = _describe_key(source, reading, reading.credential, other, wording)
            return KeyFound(check, reading.credential, _file_source(source))
        readings.append(reading)
    detail, remedy = explain_missing(sources, readings)
    homes = "".join(map(_explain_home, sources))
    return KeyFound(Check("key", "fail", f"{detail}{homes}", fill_in_options(remedy, wording)))


def _file_source(source: Source) -> FileSource | None:
    """Return the file that a source reads; None if it reads none."""
    file = source.file() if isinstance(source, EnvSource) else source
    return file if isinstance(file, FileSource) else None


def _explain_home(source: Source) -> str:
    """Say which directory the ``~`` in a source's path is for this user; return "" if the path has none.

    The rest of the path is not shown, because it may have a variable whose value is secret.
    """
    file = _file_source(source)
    tilde = re.match(r"~\w*(?=[/\\])", file.given, re.ASCII) if file is not None else None
    home = os.path.expanduser(tilde[0]) if tilde else ""
    return f"; {tilde[0]} is {home} here" if tilde and home != tilde[0] else ""


def _find_other_key(sources: Sequence[Source], credential: Credential) -> str:
    """Return the name of the first source that has another key; "" if there is none. No provider is called.

    Args:
        sources: The sources after the one whose key is used, which a request does not read.
        credential: The key that is used.
    """
    for source in sources:
        if isinstance(source, (EnvSource, FileSource)):
            with suppress(BearerAuthError):  # a request does not read this source, so its failure does no harm
                reading = source.read()
                if reading.credential not in (None, credential):
                    return reading.where
    return ""


def _describe_key(source: Source, reading: Reading, credential: Credential, other: str, wording: Wording) -> Check:
    """Return the check for a key that was found.

    Args:
        source: The source that had the key.
        reading: What the source returned.
        credential: The header's value.
        other: The name of a source that has another key; "" if there is none.
        wording: The names of the options in the remedy.
    """
    length = credential.key_length
    detail = f"{reading.where}: {length} characters"
    if length >= _LONG_KEY:
        detail += f", ending in {credential[-4:]}"
    if reading.trimmed:
        detail += f"; left out: {reading.trimmed}"
    remedies: list[str] = []
    mistake = None if _begins_with_scheme(credential) else suspected_mistake(credential) or _explain_length(length)
    if mistake is not None:
        detail += f"; it {mistake.problem}"
        remedies.append(fill_in_options(mistake.remedy, wording))
    if other:
        # The key came from an environment variable: only a provider can follow a file, and no provider is called.
        variable = source.options()["env"] + ("" if _file_source(source) is None else "_FILE")
        detail += f"; another key is in {other}, which is not used"
        remedies.append(f"if the other key is the newer one, unset {variable}")
    return Check("key", "warn" if remedies else "ok", detail, "; ".join(remedies))


def suspected_mistake(credential: Credential) -> Mistake | None:
    """Return the mistake that a key looks like; None if it looks like a key."""
    return explain_suspicion(credential.removeprefix("Bearer "))


def _explain_length(length: int) -> Mistake | None:
    """Return the mistake of a key that is too short; None if it is long enough."""
    return Mistake("is shorter than keys commonly are", "see whether it is whole") if length < _SHORT_KEY else None


def _begins_with_scheme(credential: Credential) -> bool:
    """Return whether the key itself begins with the word Bearer, which the check ``header`` reports."""
    return credential[len("Bearer ") :].lower().startswith("bearer")


def check_header(credential: Credential, wording: Wording) -> Check:
    """Return the check that describes the header's value."""
    shape = f"Authorization: Bearer, one space, {credential.key_length} characters of visible ASCII"
    mistake = suspected_mistake(credential) if _begins_with_scheme(credential) else None
    if mistake is not None:
        return Check("header", "warn", f"{shape}; the key {mistake.problem}", fill_in_options(mistake.remedy, wording))
    if len(credential) > _LONG_HEADER:
        return Check(
            "header", "warn", f"{shape}, more than many servers accept", "if it is refused, ask for a shorter key"
        )
    return Check("header", "ok", shape)
