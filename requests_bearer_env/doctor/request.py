"""Sends one request, with or without the key, and follows no redirect."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from requests.auth import AuthBase

from requests_bearer_env.credential import Credential
from requests_bearer_env.replay import redirect_target

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from requests import PreparedRequest, Response

    from .budget import Budget

#: Methods that can be sent a second time, without the key, because they change nothing (RFC 9110 section 9.2.1).
REPEATABLE = frozenset({"GET", "HEAD"})

#: The number of bytes of a body that are read.
_MAX_BODY = 2048

#: Seconds to wait for those bytes, because a stream may never send as many.
_BODY_TIMEOUT = 2.0


class Answer(NamedTuple):
    """A server's answer.

    Attributes:
        status: The HTTP status.
        url: The URL of the request.
        headers: The headers.
        body: The beginning of the body.
        target: The URL that it redirects to; blank if that is not a URL, None if the answer is not a redirect.
        refused_status: The status with which the server refused the first key; None if only one key was sent.
        sent: The keys that were sent, which the answer may repeat.
        received: When the answer came, in seconds since 1970.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    target: str | None = None
    refused_status: int | None = None
    sent: tuple[Credential, ...] = ()
    received: float = 0.0


class _Session(requests.Session):
    """A session that follows no redirect.

    ``allow_redirects=False`` is not enough: with it, requests still reads the whole body of a redirect, which may be
    endless, and prepares the next request.
    """

    def resolve_redirects(self, *_args: Any, **_options: Any) -> Generator[Any, None, None]:
        yield from ()


class _NoAuth(AuthBase):
    """An auth that adds nothing; without any auth, requests would add the login in the netrc file."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        return r


def environment_settings(url: str) -> dict[str, Any]:
    """Return the environment's proxies and trusted CAs for a URL, as arguments of `requests.Session.send`."""
    with requests.Session() as session:
        return dict(session.merge_environment_settings(url, {}, True, None, None))


def bundle_variable(verify: object) -> str:
    """Return the variable that names the trusted CAs, with its value; blank if requests' own CAs are trusted.

    Args:
        verify: The ``verify`` of `environment_settings`.
    """
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # as requests.Session.merge_environment_settings reads them
    return next((f"{name}={verify}" for name in names if os.environ.get(name) == verify), "")


def send(url: str, method: str, auth: AuthBase | None, settings: Mapping[str, Any], budget: Budget) -> Answer:
    """Send one request without a body.

    Args:
        url: The URL as the user gave it.
        method: The method.
        auth: The auth that adds the key; None to send the request without a key.
        settings: The result of `environment_settings`.
        budget: The time for the network.

    Raises:
        BearerAuthError: The request could not be authorised.
        Exception: No answer came.
    """
    # Each request has its own session, because the server may accept a cookie of an earlier answer instead of the key.
    with _Session() as session:
        request = session.prepare_request(requests.Request(method, url, auth=auth or _NoAuth()))
        response = _send(session, request, settings, budget)
        received = time.time()
        return _make_answer(response, _read_beginning(response, budget), received)


def _send(session: requests.Session, request: PreparedRequest, settings: Mapping[str, Any], budget: Budget) -> Response:
    """Send a request and return the response; close the connection if the response comes too late."""
    arrived: list[Response] = []
    given_up = threading.Event()

    def work() -> Response:
        arrived.append(session.send(request, timeout=max(budget.left, 0.001), **settings))
        if given_up.is_set():
            arrived[0].close()
        return arrived[0]

    try:
        return budget.run(work)
    except BaseException:
        given_up.set()
        for response in arrived:
            response.close()
        raise


def _read_beginning(response: Response, budget: Budget) -> bytes:
    """Return the beginning of a body, as far as it comes within some seconds and before the connection fails."""
    patience = min(_BODY_TIMEOUT, budget.left / 2)
    end = time.monotonic() + patience
    read = bytearray()

    def collect() -> None:
        # Read byte by byte, because a larger read blocks until all of its bytes have come.
        with contextlib.closing(response):
            for piece in response.iter_content(1):
                read.extend(piece)
                if len(read) >= _MAX_BODY or time.monotonic() > end:
                    return

    with contextlib.suppress(Exception):  # a body that fails does not matter: the status and the headers have come
        budget.run(collect, at_most=patience)
    return bytes(read[:_MAX_BODY])


def _make_answer(response: Response, body: bytes, received: float) -> Answer:
    """Return the answer that a response gives."""
    headers = [one.request.headers.get("Authorization") for one in (*response.history, response)]
    return Answer(
        response.status_code,
        str(response.url),
        response.headers,
        body,
        (redirect_target(response) or "") if response.is_redirect else None,
        # No redirect is followed, so the history holds only refusals after which the hook resent the request.
        response.history[0].status_code if response.history else None,
        tuple(Credential(header) for header in headers if header is not None),
        received,
    )
