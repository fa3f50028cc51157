"""The doctor: why a request with a bearer key is refused, as data.

`diagnose` looks at the key, at what is around it and, given a URL, at the server; the command
``check`` prints what it returns. The classes that authorise requests do the work here as well, so
that what is reported is what a request does.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
from typing import TYPE_CHECKING

from requests_bearer_env.auth import BearerEnvAuth
from requests_bearer_env.errors import BearerAuthError, clear_frames

from .jwt import check_jwt
from .network import Probe
from .report import Check, Status, printable, refused, span

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential
    from requests_bearer_env.sources.base import Source

__all__ = ["Check", "Status", "diagnose"]

#: What stands in documentation where the key belongs, what is left of a template that was not filled
#: in, and a key as a dashboard shows it.
_PLACEHOLDER = re.compile(
    r"""
    <.*> | \{.*\} | \[.*\] | %\w+% | \$\{\w+\} | \$[A-Z_][A-Z0-9_]+
    | (?i: (?:your|insert|enter|put|paste|replace|change) [\W_] .* (?:key|token|secret|here|me) )
    | (?i: (?:your|my)? [\W_]? (?:api|access|secret|auth)? [\W_]? (?:key|token) [\W_]? (?:here)? )
    | (?i: changeme | replaceme | placeholder | todo | none | null | nil | undefined )
    | (?i: (?:[a-z]{2,8}[_-]){0,3} x{3,} )
    | .* (?:\.{3}|\*{3}) .*
    """,
    re.VERBOSE | re.ASCII,
)

#: Servers commonly take no more in one header line.
_LONG_HEADER = 8000

#: A key at least so long keeps enough to itself when its last characters are shown.
_LONG_KEY = 20

#: Where containers mount secrets; who may read them there is the platform's business.
_MOUNTED = ("/run/secrets/", "/var/run/secrets/")

_DAY = 86400

#: Beyond it, seconds and days are a mistake, and too much for timers.
_LARGEST = 1e8

_METHOD = re.compile(r"[A-Za-z]+", re.ASCII)


def diagnose(
    auth: BearerEnvAuth,
    url: str | None = None,
    *,
    method: str = "GET",
    timeout: float = 10,
    max_age: float = 90,
) -> list[Check]:
    """Check a key and, given a URL, what a server says to it.

    The key's sources are asked as they are for a request; with a URL a provider without ``ttl=`` is
    therefore called twice, and once more after a 401. One request is sent, and only if the key and
    the destination are in order; no redirect is followed and no body is read. The environment's
    proxies, CA bundle and netrc count as they do for ``requests.get``.

    Nothing in the result holds the key, but for its length and, if it has 20 characters or more, the
    last 4. What a server or a JWT says is cut to one line of visible ASCII.

    Args:
        auth: What the requests are made with.
        url: Where they go. Without it, only what needs no network is checked.
        method: The request's method; it is sent without a body.
        timeout: Seconds that all of the network's part may take.
        max_age: Days after which a key in a file should have been rotated.

    Returns:
        The checks, in the order ``key``, ``header``, ``file``, ``jwt``, ``url``, ``request``,
        ``clock``, ``netrc``, ``proxy``. One that does not apply is absent. All is well if none has the
        status ``fail``.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: ``method`` is not a word, or ``timeout`` or ``max_age`` is not positive or beyond all measure.

    The JWT's claims are those of RFC 7519 section 4.1, a server's challenge that of RFC 6750 section 3.
    """
    _check_arguments(auth, url, method, timeout, max_age)
    try:
        return _checks(auth, url, method, timeout, max_age)
    except BaseException as error:
        clear_frames(error)
        raise


def _checks(auth: BearerEnvAuth, url: str | None, method: str, timeout: float, max_age: float) -> list[Check]:
    """The checks, one after the other."""
    key, path, credential = _key(auth)
    found: list[Check | None] = [key]
    if credential is not None:
        found.append(_header(credential))
    found.append(_file(path, max_age))
    if credential is not None:
        found.append(check_jwt(credential, time.time()))
    if url is not None:
        keys = [] if credential is None else [credential]
        found += Probe(auth, keys, timeout).checks(url, method, send=key.status == "ok")
    checks = [check for check in found if check is not None]
    return [Check(name, status, printable(detail), printable(remedy)) for name, status, detail, remedy in checks]


def _check_arguments(auth: object, url: object, method: object, timeout: object, max_age: object) -> None:
    if not isinstance(auth, BearerEnvAuth):
        raise TypeError(f"auth is {type(auth).__name__}: give a BearerEnvAuth")
    if url is not None and not isinstance(url, str):
        raise TypeError(f"url is {type(url).__name__}: give a str")
    if not isinstance(method, str):
        raise TypeError(f"method= is {type(method).__name__}: give a str")
    if not _METHOD.fullmatch(method):
        raise ValueError("method= is not a word of letters: give GET, POST or the like")
    for name, number in (("timeout", timeout), ("max_age", max_age)):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(f"{name}= is {type(number).__name__}: give a number")
        if not 0 < number < _LARGEST:
            raise ValueError(f"{name}= is not a positive number of a sensible size: correct it")


def _key(auth: BearerEnvAuth) -> tuple[Check, str | None, Credential | None]:
    """Ask the sources in turn, as a request does; the path is that of the file of the one that had a key or failed."""
    for source in auth.sources:
        try:
            credential = source.credential()
        except BearerAuthError as error:
            return refused("key", error), source.key_file(), None
        if credential is not None:
            return _found(source, credential), source.key_file(), credential
    absences = "; ".join(source.absence() for source in auth.sources)
    missing = Check("key", "fail", f"there is none: {absences}", "put the key there, or name the source that has it")
    return missing, None, None


def _found(source: Source, credential: Credential) -> Check:
    length = len(credential) - len("Bearer ")
    if _PLACEHOLDER.fullmatch(credential, len("Bearer ")):
        return Check(
            "key",
            "fail",
            f"what {source.where()} has ({length} characters) is a placeholder, not a key",
            "put the key itself there, as whoever issues it gave it to you",
        )
    ending = f", ending in {credential[-4:]}" if length >= _LONG_KEY else ""
    trimmed = source.trimmed()
    without = f"; left out: {trimmed}" if trimmed else ""
    return Check("key", "ok", f"{source.where()}: {length} characters{ending}{without}")


def _header(credential: Credential) -> Check:
    length = len(credential) - len("Bearer ")
    shape = f"Authorization: Bearer, {credential.count(' ')} space, {length} visible ASCII characters"
    if len(credential) <= _LONG_HEADER:
        return Check("header", "ok", shape)
    return Check("header", "warn", f"{shape}, more than many servers take", "if it is refused, ask for a shorter key")


def _file(path: str | None, max_age: float) -> Check | None:
    """Who may read the file that the key is in, and how old it is; None if it is in no regular file."""
    try:
        status = os.stat(path or "")
    except OSError:  # no file, or none that can be looked at, as the line of the key says
        return None
    if path is None or not stat.S_ISREG(status.st_mode):
        return None
    mode = stat.S_IMODE(status.st_mode)
    age = max(0.0, time.time() - status.st_mtime)
    remedies: list[str] = []
    if mode & 0o077 and not os.path.realpath(path).startswith(_MOUNTED):
        remedies.append(f"leave it to its owner alone: chmod 600 {shlex.quote(path)}")
    if age > max_age * _DAY:
        remedies.append("rotate the key: have a new one issued, put it there, have this one revoked")
    detail = f"{path}: mode {mode:04o}{', open to others' if mode & 0o077 else ''}, unchanged for {span(age)}"
    return Check("file", "warn" if remedies else "ok", detail, "; ".join(remedies))
