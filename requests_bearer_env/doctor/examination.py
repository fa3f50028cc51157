"""All checks in their order, each as soon as it is known."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from requests.utils import select_proxy

from requests_bearer_env.auth import BearerEnvAuth
from requests_bearer_env.cleaning import bare_url, printable
from requests_bearer_env.destination import prepared_url
from requests_bearer_env.errors import PYTHON, BearerAuthError, MissingKeyError, clear_frames
from requests_bearer_env.mounts import MountedAuth

from .answer import explain_answers
from .budget import Budget
from .clock import check_clock
from .environment import check_netrc, check_proxy
from .failure import explain_failure
from .file import check_file
from .jwt import check_jwt
from .key import check_header, find_key
from .report import Check, refused, worded, worst
from .request import bundle_variable, environment_settings, send
from .url import check_url

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from typing import Any

    from requests_bearer_env.auth import KeyAuth
    from requests_bearer_env.credential import Credential
    from requests_bearer_env.errors import Wording

    from .request import Answer

#: A larger number of seconds or days is a mistake, and too much for timers.
_LARGEST = 1e8

_METHOD = re.compile(r"[A-Za-z]+", re.ASCII)

#: What can be sent a second time without harm (RFC 9110 section 9.2.1).
_REPEATED = frozenset({"GET", "HEAD"})


def examine(
    auth: KeyAuth,
    url: str | None = None,
    *,
    method: str = "GET",
    timeout: float = 10,
    max_age: float = 90,
    wording: Wording = PYTHON,
) -> Iterator[Check]:
    """Check the arguments at once, and make the report line by line; see `requests_bearer_env.doctor.diagnose`.

    Args:
        auth: As for `diagnose`, as are the next ones.
        url: The URL.
        method: The method.
        timeout: Seconds.
        max_age: Days.
        wording: What the remedies call the options.
    """
    if not isinstance(auth, (BearerEnvAuth, MountedAuth)):
        raise TypeError(f"auth is {type(auth).__name__}: give a BearerEnvAuth or a MountedAuth")
    if url is not None and not isinstance(url, str):
        raise TypeError(f"the url is {type(url).__name__}: give a str")
    if not isinstance(method, str):
        raise TypeError(f"the method is {type(method).__name__}: give a str")
    if not _METHOD.fullmatch(method):
        raise ValueError("the method is not a word of letters: give GET, POST or the like")
    for name, unit, number in (("timeout", "seconds", timeout), ("maximum age", "days", max_age)):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(f"the {name} is {type(number).__name__}: give a number of {unit}")
        if not 0 < number < _LARGEST:
            raise ValueError(f"the {name} is not a positive number below {_LARGEST:.0e}: give a number of {unit}")
    return _report(_examine(auth, url, method.upper(), timeout, max_age, wording))


def _report(checks: Generator[Check, None, str]) -> Iterator[Check]:
    """Pass the lines on, and add the last one."""
    passed: list[Check] = []
    try:
        verdict = yield from _passed_on(checks, passed)
    except BaseException as error:
        clear_frames(error)
        raise
    for word, status in (("failed", "fail"), ("see", "warn")):
        named = [check.name for check in passed if check.status == status]
        verdict += f"; {word}: {', '.join(named)}" if named else ""
    yield Check("verdict", worst(passed), verdict)


def _passed_on(checks: Generator[Check, None, str], passed: list[Check]) -> Generator[Check, None, str]:
    """Pass the lines on; a path in them may hold anything."""
    while True:
        try:
            name, status, detail, remedy = next(checks)
        except StopIteration as stop:
            return str(stop.value)
        check = Check(name, status, printable(detail), printable(remedy))
        passed.append(check)
        yield check


def _examine(
    auth: KeyAuth, url: str | None, method: str, timeout: float, max_age: float, wording: Wording
) -> Generator[Check, None, str]:
    """Make the lines; what they mean together is returned."""
    prepared = None if url is None else prepared_url(url)
    if url is not None and prepared is None:
        yield Check("url", "fail", "requests cannot parse the URL", "write it as https://host/path")
        return "no request was sent"
    try:
        single = _auth_for(auth, prepared)
    except BearerAuthError as error:
        yield refused("key", error, wording)
        return "no request was sent"
    found = find_key(single.sources.each, wording)
    yield found.check
    keys: list[Credential] = []
    if found.credential is not None:
        keys.append(found.credential)
        yield check_header(found.credential, wording)
    if found.file is not None:
        readable = found.check.status != "fail"
        yield from _if_any(check_file(found.file.path, max_age, given=found.file.given, readable=readable))
    for key in keys:
        yield from _if_any(check_jwt(key, time.time()))
    if url is None or prepared is None:
        return (
            "the key can be sent; give a URL to see whether the server accepts it"
            if keys
            else "there is no key to send"
        )
    return (yield from _examine_network(auth, single, url, prepared, method, Budget(timeout), keys, wording))


def _if_any(check: Check | None) -> Iterator[Check]:
    if check is not None:
        yield check


def _auth_for(auth: KeyAuth, url: str | None) -> BearerEnvAuth:
    """The auth whose key belongs to a URL.

    Raises:
        MissingKeyError: There is none.
    """
    if isinstance(auth, BearerEnvAuth):
        return auth
    if url is None:
        raise MissingKeyError(
            "a MountedAuth sends a key only to URLs in its prefixes, and no URL was given",
            "give the URL that the requests go to",
        )
    mount = auth.mount_of(url) if isinstance(auth, MountedAuth) else None
    if mount is None:
        raise MissingKeyError(
            f"no key goes to {bare_url(url)} because none of the MountedAuth's prefixes covers it",
            "correct the URL, or mount an auth there",
        )
    if isinstance(mount.auth, (BearerEnvAuth, MountedAuth)):
        return _auth_for(mount.auth, url)
    raise MissingKeyError(
        f"what is mounted at {mount.prefix} is {type(mount.auth).__name__}, whose key cannot be checked",
        "mount a BearerEnvAuth there, or try that auth by itself",
    )


def _examine_network(
    auth: KeyAuth,
    single: BearerEnvAuth,
    url: str,
    prepared: str,
    method: str,
    budget: Budget,
    keys: Sequence[Credential],
    wording: Wording,
) -> Generator[Check, None, str]:
    """Make the lines that need a URL."""
    try:
        single.destination.check(prepared)
    except BearerAuthError as error:
        yield refused("url", error, wording)
        return "no request was sent"
    settings = environment_settings(prepared)
    proxy = select_proxy(prepared, settings["proxies"])
    reached = check_url(prepared, settings["verify"], proxy, budget, keys, wording)
    yield reached
    verdict, answered = "no request was sent", False
    if keys and reached.status != "fail":
        try:
            answer = send(url, method, auth, settings, budget)
        except BearerAuthError as error:  # the key was there a moment ago
            yield refused("request", error, wording)
        except Exception as error:
            detail, remedy = explain_failure(error, budget.seconds, bundle_variable(settings["verify"]))
            yield Check("request", "fail", f"{method}: {detail}", worded(remedy, wording))
            verdict = "the request was not answered"
        else:
            without = _send_without(url, method, settings, budget)
            check, verdict = explain_answers(answer, without, method, auth, single.refresh_on, keys, wording)
            yield check
            answered = check.status == "ok"
            clock = check_clock(answer.headers, answer.received)
            yield from _if_any(clock)
            if answered and clock is not None and clock.status == "fail":
                verdict += ", but the clocks differ"
    yield from _if_any(check_netrc(prepared))
    if proxy:
        yield check_proxy(prepared, proxy, answered=answered)
    return verdict


def _send_without(url: str, method: str, settings: Mapping[str, Any], budget: Budget) -> Answer | None:
    """The answer without the key, if the method can be repeated and there is an answer in time."""
    if method not in _REPEATED:
        return None
    try:
        return send(url, method, None, settings, budget)
    except Exception:  # the answer with the key is reported by itself
        return None
