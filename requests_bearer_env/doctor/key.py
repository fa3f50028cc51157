"""The lines ``key`` and ``header``: where the key comes from, what it looks like, what is sent."""

from __future__ import annotations

import os
import re
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

#: Servers commonly accept no more in one header line.
_LONG_HEADER = 8000

#: Shorter keys are rarely whole, though a server that lets its owner choose the key takes them.
_SHORT_KEY = 8

#: A key of this length stays secret when its last characters are shown.
_LONG_KEY = 20


class KeyFound(NamedTuple):
    """What the sources had.

    Attributes:
        check: The line ``key``.
        credential: The header's value; None if there is no key.
        file: The file that had the key, or that failed; None if it was no file.
    """

    check: Check
    credential: Credential | None = None
    file: FileSource | None = None


def find_key(sources: Sequence[Source], wording: Wording) -> KeyFound:
    """Read the sources in turn, as a request does."""
    readings: list[Reading] = []
    for number, source in enumerate(sources, start=1):
        try:
            reading = source.read()
        except BearerAuthError as error:
            return KeyFound(failed_check("key", error, wording), file=_file_source(source))
        if reading.credential is not None:
            others = _find_other_keys(sources[number:], reading.credential)
            check = _describe_key(source, reading, reading.credential, others, wording)
            return KeyFound(check, reading.credential, _file_source(source))
        readings.append(reading)
    detail, remedy = explain_missing(sources, readings)
    homes = "".join(map(_explain_home, sources))
    return KeyFound(Check("key", "fail", f"{detail}{homes}", fill_in_options(remedy, wording)))


def _file_source(source: Source) -> FileSource | None:
    """The file that a source reads, if it reads one."""
    file = source.file() if isinstance(source, EnvSource) else source
    return file if isinstance(file, FileSource) else None


def _explain_home(source: Source) -> str:
    """Say which directory the ``~`` in a path is for this user; the value of a variable in it is not shown."""
    file = _file_source(source)
    tilde = re.match(r"~\w*(?=[/\\])", file.given, re.ASCII) if file is not None else None
    home = os.path.expanduser(tilde[0]) if tilde else ""
    return f"; {tilde[0]} is {home} here" if tilde and home != tilde[0] else ""


def _find_other_keys(sources: Sequence[Source], credential: Credential) -> list[str]:
    """The sources that were not read and have another key; a provider is not called for that."""
    found: list[str] = []
    for source in sources:
        if isinstance(source, (EnvSource, FileSource)):
            try:
                reading = source.read()
            except BearerAuthError:
                continue  # it is not read by a request either
            if reading.credential not in (None, credential):
                found.append(reading.where)
    return found


def _describe_key(
    source: Source, reading: Reading, credential: Credential, others: list[str], wording: Wording
) -> Check:
    """The line for a key that was found."""
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
    if others:  # of a variable, because a provider, which comes after a file, is not called
        variable = source.options()["env"] + ("" if _file_source(source) is None else "_FILE")
        detail += f"; another key is in {' and '.join(others)}, which is not used"
        remedies.append(f"if the other key is the newer one, unset {variable}")
    return Check("key", "warn" if remedies else "ok", detail, "; ".join(remedies))


def suspected_mistake(credential: Credential) -> Mistake | None:
    """Name what a key looks like, if it looks like a mistake."""
    return explain_suspicion(credential.removeprefix("Bearer "))


def _explain_length(length: int) -> Mistake | None:
    return Mistake("is shorter than keys commonly are", "see whether it is whole") if length < _SHORT_KEY else None


def _begins_with_scheme(credential: Credential) -> bool:
    """Whether the key itself begins with the word Bearer; the line ``header`` is about that."""
    return credential[len("Bearer ") :].lower().startswith("bearer")


def check_header(credential: Credential, wording: Wording) -> Check:
    """Describe the header's value."""
    shape = f"Authorization: Bearer, one space, {credential.key_length} characters of visible ASCII"
    mistake = suspected_mistake(credential) if _begins_with_scheme(credential) else None
    if mistake is not None:
        return Check("header", "warn", f"{shape}; the key {mistake.problem}", fill_in_options(mistake.remedy, wording))
    if len(credential) > _LONG_HEADER:
        return Check(
            "header", "warn", f"{shape}, more than many servers accept", "if it is refused, ask for a shorter key"
        )
    return Check("header", "ok", shape)
