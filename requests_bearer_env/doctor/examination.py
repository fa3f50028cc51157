"""Runs the checks in order, and yields each result as soon as it is known."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

from requests.utils import select_proxy

from requests_bearer_env.auth import BearerEnvAuth
from requests_bearer_env.cleaning import replace_unprintable, sanitize_url
from requests_bearer_env.destination import prepared_url
from requests_bearer_env.errors import BearerAuthError, MissingKeyError, clear_frames
from requests_bearer_env.mounts import MountedAuth

from .answer import explain_answers
from .budget import Budget
from .clock import check_clock
from .environment import check_netrc, check_proxy
from .failure import explain_failure
from .file import check_file
from .jwt import check_jwt
from .key import check_header, find_key
from .report import Check, failed_check, fill_in_options, worst_status
from .request import REPEATABLE, bundle_variable, environment_settings, send
from .url import check_url

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from typing import Any

    from requests_bearer_env.auth import KeyAuth
    from requests_bearer_env.credential import Credential
    from requests_bearer_env.errors import Wording

    from .request import Answer

#: This number of seconds or days, or a greater one, is rejected, because it is a mistake and may overflow a timer.
_LARGEST = 1e8

#: The text of the verdict if the checks before the request failed.
_NOT_SENT = "no request was sent"

_METHOD = re.compile(r"[A-Za-z]+", re.ASCII)


class _Request(NamedTuple):
    """The request to examine.

    Attributes:
        url: The URL as the user gave it.
        prepared: The URL as requests prepares it.
        method: The method, in capitals.
        auth: The auth that the request is made with.
        key_auth: The auth that supplies the key: ``auth`` itself, or what it mounts for the URL.
    """

    url: str
    prepared: str
    method: str
    auth: KeyAuth
    key_auth: BearerEnvAuth


def examine(
    auth: BearerEnvAuth | MountedAuth, url: str | None, *, method: str, timeout: float, max_age: float, wording: Wording
) -> Iterator[Check]:
    """Check the arguments before returning; then yield the report line by line.

    Args:
        auth: As for `requests_bearer_env.doctor.diagnose`.
        url: As for `diagnose`.
        method: As for `diagnose`.
        timeout: As for `diagnose`.
        max_age: As for `diagnose`.
        wording: The names of the options in the remedies.

    Raises:
        TypeError: As for `diagnose`.
        ValueError: As for `diagnose`.
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
    """Yield the checks, then the verdict line."""
    seen: list[Check] = []
    try:
        verdict = yield from _printable(checks, seen)
    except BaseException as error:
        clear_frames(error)
        raise
    for word, status in (("failed", "fail"), ("see", "warn")):
        named = [check.name for check in seen if check.status == status]
        verdict += f"; {word}: {', '.join(named)}" if named else ""
    yield Check("verdict", worst_status(seen), verdict)


def _printable(checks: Generator[Check, None, str], seen: list[Check]) -> Generator[Check, None, str]:
    """Yield the checks with unprintable characters replaced (a path may hold any), and collect them in ``seen``.

    Returns:
        What ``checks`` returns, which is the text of the verdict.
    """
    while True:
        try:
            name, status, detail, remedy = next(checks)
        except StopIteration as stop:
            return str(stop.value)
        check = Check(name, status, replace_unprintable(detail), replace_unprintable(remedy))
        seen.append(check)
        yield check


def _examine(
    auth: BearerEnvAuth | MountedAuth, url: str | None, method: str, timeout: float, max_age: float, wording: Wording
) -> Generator[Check, None, str]:
    """Yield the checks; return the text of the verdict."""
    prepared = None if url is None else prepared_url(url)
    if url is not None and prepared is None:
        yield Check("url", "fail", "requests cannot parse the URL", "write it as https://host/path")
        return _NOT_SENT
    try:
        key_auth = _find_key_auth(auth, prepared)
    except BearerAuthError as error:
        yield failed_check("key", error, wording)
        return _NOT_SENT
    found = find_key(key_auth.sources.each, wording)
    yield found.check
    credential = found.credential
    if credential is not None:
        yield check_header(credential, wording)
    if found.file is not None:
        readable = found.check.status != "fail"
        yield from _if_any(check_file(found.file.path, max_age, given=found.file.given, readable=readable))
    if credential is not None:
        yield from _if_any(check_jwt(credential, time.time()))
    if url is not None and prepared is not None:
        request = _Request(url, prepared, method, auth, key_auth)
        return (yield from _examine_network(request, credential, Budget(timeout), wording))
    if credential is None:
        return "there is no key to send"
    return "the key can be sent; give a URL to see whether the server accepts it"


def _if_any(check: Check | None) -> Iterator[Check]:
    """Yield a check unless it is None."""
    if check is not None:
        yield check


def _find_key_auth(auth: BearerEnvAuth | MountedAuth, url: str | None) -> BearerEnvAuth:
    """Return the auth that supplies the key for a URL, which ``auth`` may have mounted.

    Raises:
        MissingKeyError: No auth is mounted for the URL, or the mounted auth is of another type.
    """
    if isinstance(auth, BearerEnvAuth):
        return auth
    if url is None:
        raise MissingKeyError(
            "a MountedAuth sends a key only to URLs in its prefixes, and no URL was given",
            "give the URL that the requests go to",
        )
    mount = auth.mount_of(url)
    if mount is None:
        raise MissingKeyError(
            f"no key goes to {sanitize_url(url)} because none of the MountedAuth's prefixes covers it",
            "correct the URL, or mount an auth there",
        )
    if isinstance(mount.auth, (BearerEnvAuth, MountedAuth)):
        return _find_key_auth(mount.auth, url)
    raise MissingKeyError(
        f"what is mounted at {mount.prefix} is {type(mount.auth).__name__}, whose key cannot be checked",
        "mount a BearerEnvAuth there, or try that auth by itself",
    )


def _examine_network(
    request: _Request, credential: Credential | None, budget: Budget, wording: Wording
) -> Generator[Check, None, str]:
    """Yield the checks that need a URL; return the text of the verdict.

    Args:
        request: The request to examine.
        credential: The header's value; None if there is no key, so that no request is sent.
        budget: The time for the network.
        wording: The names of the options in the remedies.
    """
    _, prepared, method, auth, key_auth = request
    try:
        key_auth.destination.check(prepared)
    except BearerAuthError as error:
        yield failed_check("url", error, wording)
        return _NOT_SENT
    settings = environment_settings(prepared)
    proxy = select_proxy(prepared, settings["proxies"])
    keys = [] if credential is None else [credential]
    reached = check_url(prepared, settings["verify"], proxy, budget, keys, wording)
    yield reached
    verdict, accepted = _NOT_SENT, False
    if keys and reached.status != "fail":
        try:
            answer = send(request.url, method, auth, settings, budget)
        except BearerAuthError as error:  # the key has vanished since it was checked above
            yield failed_check("request", error, wording)
        except Exception as error:
            detail, remedy = explain_failure(error, budget.seconds, bundle_variable(settings["verify"]))
            yield Check("request", "fail", f"{method}: {detail}", fill_in_options(remedy, wording))
            verdict = "the request was not answered"
        else:
            without = _send_without_key(request, settings, budget)
            check, verdict = explain_answers(answer, without, method, auth, key_auth.refresh_on, keys, wording)
            yield check
            accepted = check.status == "ok"
            clock = check_clock(answer.headers, answer.received)
            yield from _if_any(clock)
            if accepted and clock is not None and clock.status == "fail":
                verdict += ", but the clocks differ"
    yield from _if_any(check_netrc(prepared))
    if proxy:
        yield check_proxy(prepared, proxy, accepted=accepted)
    return verdict


def _send_without_key(request: _Request, settings: Mapping[str, Any], budget: Budget) -> Answer | None:
    """Send the request without the key; return None if the method is not repeatable, or no answer comes in time."""
    if request.method not in REPEATABLE:
        return None
    try:
        return send(request.url, request.method, None, settings, budget)
    except Exception:  # the answer with the key is then reported without a comparison
        return None
