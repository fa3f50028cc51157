"""A server that answers 401, over real TLS: the sources are read again, and a changed key is sent, once."""

from __future__ import annotations

import copy
import io
import itertools
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest
import requests
import requests_mock
from requests.adapters import BaseAdapter, HTTPAdapter

from requests_bearer_env import BearerEnvAuth, MountedAuth, platforms
from requests_bearer_env.demo.server import Reply, Request, Server
from tests.helpers import (
    KEY,
    NEW,
    OLD,
    OTHER_KEY,
    THERE,
    App,
    Serve,
    Vault,
    assert_hidden,
    authorizations,
    keyed,
    redirect,
    redirecting,
    routed,
    statuses,
)


@pytest.fixture
def rotated() -> BearerEnvAuth:
    """An auth whose first key the server no longer accepts."""
    return BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))


def test_a_changed_key_is_sent_once_more(
    serve: Serve, session: requests.Session, rotated: BearerEnvAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets the second response, with the 401 in its history; the log says so."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    server = serve(keyed(OTHER_KEY))
    response = session.get(server.url(), auth=rotated)
    assert statuses(response) == [401, 200]
    origin = server.url().rstrip("/")
    assert caplog.messages == [f"{origin} answered 401, and the key has changed: sending the request once more"]
    assert response.text == "welcome"
    assert response.history[0].text == "who are you?"
    assert authorizations(server) == [OLD, NEW]
    assert dict(response.request.headers)["Authorization"] == NEW
    assert response.history[0].request.headers["Authorization"] == OLD


def test_the_same_key_is_not_sent_again(
    serve: Serve, session: requests.Session, key_env: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The 401 is returned, and one INFO line names the source and the check."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    server = serve(keyed(OTHER_KEY))
    response = session.get(server.url(), auth=BearerEnvAuth(key_env))
    assert statuses(response) == [401]
    assert authorizations(server) == [OLD]
    origin = server.url().rstrip("/")
    key = "the key of environment variable TGW_API_KEY (76 characters)"
    program = f"{platforms.python_for_shell()} -m requests_bearer_env"
    remedy = f"to find out why, run {program} check --env TGW_API_KEY {server.url()}"
    assert caplog.messages == [f"{origin} answered 401 to {key}, and reading it again gave the same key: {remedy}"]
    assert [record.levelno for record in caplog.records if record.name == "requests_bearer_env"] == [logging.INFO]


def test_the_log_shows_no_url_of_a_server(
    serve: Serve, session: requests.Session, key_env: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A redirect's target may hold anything; the command names the URL that the program asked for."""
    caplog.set_level(logging.INFO, "requests_bearer_env")
    server = serve(routed("/start", redirect(lambda: "/chosen/$(calc)"), keyed(OTHER_KEY)))
    assert session.get(server.url("/start"), auth=BearerEnvAuth(key_env)).status_code == 401
    assert caplog.messages[0].endswith(f" check --env TGW_API_KEY {server.url('/start')}")
    assert "chosen" not in caplog.text


def test_the_log_shows_no_url_of_another_mount(
    serve: Serve, session: requests.Session, key_env: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server may put the key that it got into the path at another mount."""
    caplog.set_level(logging.INFO, "requests_bearer_env")
    here, there = redirecting(serve, keyed("another"), path=f"/{KEY}")
    session.auth = MountedAuth(
        {here.url("/"): BearerEnvAuth(key_env), there.url("/", host=THERE): BearerEnvAuth(provider=lambda: OTHER_KEY)}
    )
    assert session.get(here.url()).status_code == 401
    assert " diagnose(auth, 'URL') " in caplog.messages[0].replace("requests_bearer_env.doctor.", "")
    assert_hidden(caplog.text)


@pytest.mark.parametrize("preparations", [1, 2])
def test_a_request_is_retried_once(preparations: int, serve: Serve, session: requests.Session) -> None:
    """A key that changes at each reading is sent twice, and a second preparation adds no retry."""
    server = serve(keyed("another"))
    auth = BearerEnvAuth(provider=Vault("a", "b", "c", "d"))
    request = session.prepare_request(requests.Request("GET", server.url()))
    for _ in range(preparations):
        request.prepare_auth(auth)
    assert statuses(session.send(request)) == [401, 401]
    assert authorizations(server) == [["Bearer a", "Bearer b"], ["Bearer b", "Bearer c"]][preparations - 1]


def test_an_old_prepared_request_gets_the_new_key(
    serve: Serve, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prepared request keeps its key; a refusal more than ten seconds after the first calls the provider again."""
    start = time.monotonic()
    vault = Vault(KEY, KEY, OTHER_KEY)
    request = session.prepare_request(
        requests.Request("GET", serve(keyed(OTHER_KEY)).url(), auth=BearerEnvAuth(provider=vault, ttl=3600))
    )
    assert [statuses(session.send(request)) for _ in range(2)] == [[401], [401]]
    monkeypatch.setattr("time.monotonic", lambda: start + 60)
    assert [statuses(session.send(request)) for _ in range(2)] == [[401, 200], [401, 200]]
    assert vault.calls == 3


@pytest.mark.parametrize(("ttl", "calls"), [(3600, 2), (None, 11)])
def test_repeated_refusals_do_not_ask_again(
    ttl: float | None, calls: int, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the first refusal calls the provider again; the log has every refusal."""
    caplog.set_level(logging.INFO, "requests_bearer_env")
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=ttl)
    url = serve(keyed("another")).url()
    assert {session.get(url, auth=auth).status_code for _ in range(10)} == {401}
    assert vault.calls == calls
    assert {message.partition(" to the key of ")[2].partition(" (")[0] for message in caplog.messages} == {
        "provider Vault"
    }
    told = [message.partition("reading it again ")[2].partition(":")[0] for message in caplog.messages]
    assert told == ["gave the same key", *["less than 10 s ago gave the same key"] * 9]


@pytest.mark.parametrize(("ttl", "pause", "calls"), [(50, 4.9, 2), (50, 5.1, 3), (1000, 9.9, 2), (1000, 10.1, 3)])
def test_a_refusal_is_remembered_ten_seconds(
    ttl: float, pause: float, calls: int, serve: Serve, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is remembered for a tenth of ``ttl=`` if that is less."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=ttl)
    url = serve(keyed("another")).url()
    session.get(url, auth=auth)
    now += pause
    session.get(url, auth=auth)
    assert vault.calls == calls


def test_another_key_was_not_refused(
    serve: Serve, session: requests.Session, key_env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a refusal of the very same key is remembered."""
    auth = BearerEnvAuth(key_env)
    url = serve(keyed(OTHER_KEY)).url()
    assert session.get(url, auth=auth).status_code == 401
    monkeypatch.setenv(key_env, OTHER_KEY)
    assert session.get(url, auth=auth).status_code == 200


@pytest.mark.parametrize("resolution", [0.0156, 0.0])
def test_a_coarse_clock_loses_no_rotation(
    resolution: float, serve: Serve, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows a key may be asked for, sent and refused within one tick of the clock."""
    real = time.monotonic
    monkeypatch.setattr("time.monotonic", lambda: real() // resolution * resolution if resolution else real())
    keys: list[str] = []

    def app(request: Request) -> Reply:
        return Reply(200 if request.headers["Authorization"] == f"Bearer {keys[-1]}" else 401)

    url = serve(app).url()
    auth = BearerEnvAuth(provider=lambda: keys[-1], ttl=3600)
    for number in range(20):
        keys.append(f"key-{number}")
        assert session.get(url, auth=auth).status_code == 200


@pytest.mark.parametrize(
    ("status", "challenge", "refresh_on", "outcome"),
    [
        (403, None, (401,), [403]),
        (403, None, (401, 403), [403, 200]),
        (400, None, 400, [400, 200]),
        (401, None, [403], [401]),
        (403, 'Bearer error="invalid_token"', (401,), [403, 200]),
        (400, 'Basic realm="a, b", Bearer realm="x", error=invalid_token', (401,), [400, 200]),
        (403, 'Bearer error="insufficient_scope"', (401,), [403]),
        (403, 'Digest error="invalid_token"', (401,), [403]),
        (500, "invalid_token", (401,), [500]),
        (200, 'Bearer error="invalid_token"', (401,), [200]),
    ],
)
def test_which_responses_refuse_a_key(
    status: int,
    challenge: str | None,
    refresh_on: Any,
    outcome: list[int],
    serve: Serve,
    session: requests.Session,
) -> None:
    """A status of ``refresh_on=`` refuses it, and so does a Bearer challenge with invalid_token from 400 on."""
    headers = () if challenge is None else (("WWW-Authenticate", challenge),)
    server = serve(keyed(OTHER_KEY, refusal=Reply(status, b"no", headers)))
    auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600, refresh_on=refresh_on)
    assert statuses(session.get(server.url(), auth=auth)) == outcome


@pytest.mark.parametrize("value", ["Bearer expired-key-of-a-user", "Basic dTpw", None])
def test_a_header_set_by_another_is_left_alone(
    value: str | None, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The auth does not answer a 401 to a header that was set or removed after the preparation."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    server = serve(keyed(OTHER_KEY))
    auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
    request = session.prepare_request(requests.Request("GET", server.url(), auth=auth))
    del request.headers["Authorization"]
    if value is not None:
        request.headers["Authorization"] = value
    assert statuses(session.send(request)) == [401]
    assert authorizations(server) == [value]
    assert caplog.messages == [f"{server.url().rstrip('/')} refused an Authorization header that this auth did not set"]


def test_a_redirect_accounts_for_one_request(serve: Serve, session: requests.Session) -> None:
    """A header that is removed after the chain is left alone, although requests drops headers along a chain."""
    server = serve(routed("/old", redirect(lambda: "/"), keyed(KEY)))
    auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
    request = session.get(server.url("/old"), auth=auth).request
    del request.headers["Authorization"]
    assert statuses(session.send(request)) == [401]
    assert authorizations(server) == [f"Bearer {KEY}", f"Bearer {KEY}", None]


def test_a_copied_header_is_recognised(serve: Serve, session: requests.Session) -> None:
    """Some adapters replace the header with a plain str of the same value."""
    server = serve(keyed(OTHER_KEY))
    auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
    request = session.prepare_request(requests.Request("GET", server.url(), auth=auth))
    request.headers["Authorization"] = str(request.headers["Authorization"])[:]
    assert statuses(session.send(request)) == [401, 200]


def test_a_key_refused_at_the_retry_is_dropped(serve: Serve, session: requests.Session) -> None:
    """The next request asks the provider again."""
    vault = Vault("a", "b", OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=3600)
    url = serve(keyed(OTHER_KEY)).url()
    assert [statuses(session.get(url, auth=auth)) for _ in range(2)] == [[401, 401], [200]]
    assert vault.calls == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "no key found because provider vault returned no key: {store}"),
        (" ", "no key found because provider vault returned no key: {store}"),
        ("two words", "the value of provider vault (9 characters) has SPACE (U+0020) at position 4: {visible}"),
        (OSError(KEY), "provider vault raised OSError: call it directly to see why"),
    ],
)
def test_a_failing_source_leaves_the_401(
    answer: Any, reason: str, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets the 401, and a warning says why no key was sent."""
    answers: list[Any] = [KEY, answer]

    def vault() -> Any:
        value = answers.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    server = serve(keyed(OTHER_KEY))
    assert statuses(session.get(server.url(), auth=BearerEnvAuth(provider=vault))) == [401]
    assert [record.levelno for record in caplog.records if record.name == "requests_bearer_env"] == [logging.WARNING]
    store = "run it by hand to see what it returns"
    reason = reason.format(store=store, visible="a key is visible ASCII without white space, so copy it again")
    origin = server.url().rstrip("/")
    assert caplog.messages == [f"{origin} answered 401, and asking for the key again failed: {reason}"]


def test_a_variable_changed_meanwhile_is_read(
    serve: Serve, session: requests.Session, key_env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is rotated within the process needs no restart."""

    def app(request: Request) -> Reply:
        monkeypatch.setenv(key_env, OTHER_KEY)
        return keyed(OTHER_KEY)(request)

    assert statuses(session.get(serve(app).url(), auth=BearerEnvAuth(key_env))) == [401, 200]


@pytest.mark.parametrize(("later", "outcome"), [(OTHER_KEY, [401, 200]), (KEY, [401])], ids=["another", "the same"])
def test_threads_refused_at_once_ask_once(later: str, outcome: list[int], serve: Serve, ca: str) -> None:
    """The first thread drops the cached key; the others find one that was asked for after they had sent theirs."""
    threads = 8
    barrier = threading.Barrier(threads)

    def app(request: Request) -> Reply:
        if request.headers["Authorization"] == OLD:
            barrier.wait(30)
        return keyed(OTHER_KEY)(request)

    vault = Vault(KEY, later)
    auth = BearerEnvAuth(provider=vault, ttl=3600)
    server = serve(app)

    def call() -> list[int]:
        return statuses(requests.get(server.url(), auth=auth, verify=ca, timeout=30))

    with ThreadPoolExecutor(threads) as pool:
        results = [pool.submit(call) for _ in range(threads)]
        assert [result.result(60) for result in results] == [outcome] * threads
    assert vault.calls == 2


def test_another_kind_of_adapter_cannot_retry(
    session: requests.Session, rotated: BearerEnvAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """Only HTTPAdapter has to set ``response.connection``, without which the 401 stands."""

    class Adapter(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response.request, response._content = 401, request, b""
            response.raw = io.BytesIO()
            return response

        def close(self) -> None:
            """Hold nothing."""

    session.mount("https://", Adapter())
    assert statuses(session.get("https://api.example/", auth=rotated)) == [401]
    assert caplog.messages == [
        "keeping the 401 from https://api.example: this transport adapter cannot send a request again"
    ]


@pytest.mark.parametrize("status", [200, 302, 401])
def test_a_response_without_a_request_is_ignored(status: int, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests make such responses."""
    response = requests.Response()
    response.status_code, response.url, response._content = status, "https://api.example/", b""
    monkeypatch.setattr(HTTPAdapter, "send", lambda *arguments, **options: response)
    assert requests.get("https://api.example/", auth=BearerEnvAuth(key_env), timeout=5).status_code == status


def test_the_retried_request_can_be_sent_again(serve: Serve, session: requests.Session, key_env: str) -> None:
    """``response.request`` carries the new key, and a refusal of that key is answered, too."""
    keys = ["first", "second", "third"]
    server = serve(keyed(keys[-1]))
    auth = BearerEnvAuth(provider=Vault(*keys))
    response = session.get(server.url(), auth=auth)
    assert statuses(response) == [401, 401]
    assert statuses(session.send(response.request)) == [401, 200]


def accepting(headers: set[str]) -> App:
    """An app that answers 200 to the headers that are in a set at the time, and 401 to others."""
    return lambda request: Reply(200 if request.headers.get("Authorization") in headers else 401)


class TestTheRetriedRequest:
    """The request of the second response keeps all that a third one needs."""

    def test_its_refusal_is_retried_once(self, serve: Serve, session: requests.Session) -> None:
        """The hook of the retried request knows the key that it was sent with."""
        accepted = {"Bearer b"}
        server = serve(accepting(accepted))
        response = session.get(server.url(), auth=BearerEnvAuth(provider=Vault("a", "b", "c", "d")))
        accepted.clear()
        assert session.send(response.request).status_code == 401
        assert authorizations(server) == ["Bearer a", "Bearer b", "Bearer b", "Bearer c"]

    def test_its_body_is_sent_again(self, serve: Serve, session: requests.Session) -> None:
        """The hook of the retried request knows where the body began."""
        accepted = {NEW}
        server = serve(accepting(accepted))
        body = io.BytesIO(b"skipped, body")
        body.seek(9)
        response = session.post(server.url(), data=body, auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY, "third")))
        accepted.clear()
        accepted.add("Bearer third")
        body.seek(9)
        assert session.send(response.request).status_code == 200
        assert [request.body for request in server.seen] == [b"body"] * 4

    def test_the_callers_hooks_stay(self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth) -> None:
        """The hooks that the program set are called for a third response, too."""
        seen: list[int] = []
        url = serve(keyed(OTHER_KEY)).url()
        response = session.get(url, auth=rotated, hooks={"response": lambda r, **_: seen.append(r.status_code)})
        session.send(response.request)
        assert seen == [200, 200]

    def test_the_log_names_the_first_url(
        self, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The URL of the retried request may be a server's choice."""
        caplog.set_level(logging.INFO, "requests_bearer_env")
        accepted = {NEW}
        server = serve(routed("/start", redirect(lambda: "/chosen"), accepting(accepted)))
        response = session.get(server.url("/start"), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)))
        accepted.clear()
        assert session.send(response.request).status_code == 401
        assert f"diagnose(auth, {server.url('/start')!r})" in caplog.messages[-1]


def test_requests_mock_can_test_a_rotation(rotated: BearerEnvAuth) -> None:
    """Users can test a rotation without a server."""
    with requests_mock.Mocker() as mock:
        mock.get("https://api.example/", [{"status_code": 401}, {"status_code": 200}])
        assert statuses(requests.get("https://api.example/", auth=rotated, timeout=5)) == [401, 200]
    assert [request.headers["Authorization"] for request in mock.request_history] == [OLD, NEW]


class TestBody:
    """A body is sent again exactly, or not at all."""

    def bodies(self, server: Server) -> list[bytes]:
        """The bodies that the server has seen."""
        return [request.body for request in server.seen]

    @pytest.mark.parametrize(
        "data",
        ["text", b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), {"a": "form"}, None],
        ids=lambda data: type(data).__name__,
    )
    def test_bytes_and_forms_are_sent_again(
        self, data: Any, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """A body in memory is sent again as it is."""
        server = serve(keyed(OTHER_KEY))
        assert statuses(session.post(server.url(), data=data, auth=rotated)) == [401, 200]
        first, second = self.bodies(server)
        assert first == second

    def test_json_and_files_are_sent_again(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """Requests encodes JSON and multipart uploads as bytes."""
        server = serve(keyed(OTHER_KEY))
        session.post(server.url(), json={"prompt": "Once"}, auth=rotated)
        session.post(
            server.url(), files={"f": io.BytesIO(b"x" * 100)}, auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
        )
        first, second, third, fourth = self.bodies(server)
        assert first == second == b'{"prompt": "Once"}'
        assert third == fourth != b""

    @pytest.mark.parametrize("start", [0, 3])
    def test_a_file_is_sent_again_from_where_it_began(
        self, start: int, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, tmp_path: Path
    ) -> None:
        """The caller may have read some of the file, so its beginning is not sent."""
        (tmp_path / "body").write_bytes(b"0123456789" * 10_000)
        server = serve(keyed(OTHER_KEY))
        with (tmp_path / "body").open("rb") as file:
            file.seek(start)
            assert statuses(session.put(server.url(), data=file, auth=rotated)) == [401, 200]
        first, second = self.bodies(server)
        assert first == second == (b"0123456789" * 10_000)[start:]

    def test_a_reader_without_iteration_is_sent_again(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """Requests does not record where such a body begins, so the auth does."""

        class Reader:
            def __init__(self) -> None:
                self.file = io.BytesIO(b"0123456789")
                self.len = 10
                self.read, self.seek, self.tell = self.file.read, self.file.seek, self.file.tell

        server = serve(keyed(OTHER_KEY))
        reader: Any = Reader()
        assert statuses(session.post(server.url(), data=reader, auth=rotated)) == [401, 200]
        assert self.bodies(server) == [b"0123456789"] * 2

    @pytest.mark.parametrize("kind", ["generator", "pipe", "closed", "replaced"])
    def test_a_body_that_is_gone_is_not_sent_again(
        self,
        kind: str,
        serve: Serve,
        session: requests.Session,
        rotated: BearerEnvAuth,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A truncated body would do more harm than a 401; a warning says why the 401 stands."""

        class Closing(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                data = super().read(size)
                if not data:
                    self.close()
                return data

        def generate() -> Iterator[bytes]:
            yield b"0123456789"

        def pipe() -> IO[bytes]:
            reading, writing = os.pipe()
            with os.fdopen(writing, "wb") as file:
                file.write(b"0123456789")
            return os.fdopen(reading, "rb")

        makers: dict[str, Callable[[], Any]] = {
            "generator": generate,
            "pipe": pipe,
            "closed": lambda: Closing(b"0123456789"),
            "replaced": lambda: io.BytesIO(b"x"),
        }
        data = makers[kind]()
        server = serve(keyed(OTHER_KEY))
        request = session.prepare_request(requests.Request("POST", server.url(), data=data, auth=rotated))
        if kind == "replaced":
            request.body = io.BytesIO(b"0")
        assert statuses(session.send(request)) == [401]
        assert len(server.seen) == 1
        origin = server.url().rstrip("/")
        assert caplog.messages == [f"keeping the 401 from {origin}: the request's body cannot be sent twice"]
        data.close()

    def test_a_lost_body_still_drops_the_cached_key(self, serve: Serve, session: requests.Session) -> None:
        """The next request has the new key even though the first one could not be retried."""
        server = serve(keyed(OTHER_KEY))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
        assert statuses(session.post(server.url(), data=iter([b"x"]), auth=auth)) == [401]
        assert statuses(session.post(server.url(), data=iter([b"x"]), auth=auth)) == [200]


class TestRetry:
    """The retry is sent as the first request was."""

    def test_it_has_the_same_settings(self, session: requests.Session, rotated: BearerEnvAuth) -> None:
        """Streaming, timeout, certificates and proxies are those of the first request."""
        settings: list[dict[str, Any]] = []

        class Recording(HTTPAdapter):
            def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
                settings.append(options)
                response = requests.Response()
                response.status_code = 401 if len(settings) == 1 else 200
                response.raw = io.BytesIO()
                vars(response).update(request=request, url=request.url, connection=self)
                return response

        session.mount("https://", Recording())
        given: dict[str, Any] = {
            "stream": True,
            "timeout": (3, 7),
            "verify": "server.pem",
            "cert": "client.pem",
            "proxies": {"https": "http://proxy.example:3128"},
        }
        assert statuses(session.get("https://tgw.example/", auth=rotated, **given)) == [401, 200]
        assert settings == [given, given]

    def test_it_streams(self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth) -> None:
        """With ``stream=True`` the body of the retry is read when the caller asks for it."""

        def app(request: Request) -> Reply:
            reply = keyed(OTHER_KEY)(request)
            return Reply(reply.status, iter([b"data: 1\n\n", b"data: 2\n\n"])) if reply.status == 200 else reply

        with session.get(serve(app).url(), auth=rotated, stream=True) as response:
            assert not response._content_consumed
            assert list(response.iter_lines()) == [b"data: 1", b"", b"data: 2", b""]

    def test_an_endless_401_does_not_hang_a_stream(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """The body of the 401 is closed unread, because the caller asked to stream."""

        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 1000

        server = serve(keyed(OTHER_KEY, refusal=Reply(401, endless())))
        with session.get(server.url(), auth=rotated, stream=True) as response:
            assert response.text == "welcome"

    def test_a_broken_401_does_not_matter(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A 401 whose body cannot be decoded is retried."""
        caplog.set_level(logging.DEBUG, "requests_bearer_env")
        server = serve(keyed(OTHER_KEY, refusal=Reply(401, b"no gzip", (("Content-Encoding", "gzip"),))))
        assert session.get(server.url(), auth=rotated).text == "welcome"
        assert "the body of the 401 could not be read: ContentDecodingError" in caplog.messages

    def test_it_has_the_same_cookies(self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth) -> None:
        """The Cookie header is the same; the session has the cookies of both responses afterwards."""

        def app(request: Request) -> Reply:
            reply = keyed(OTHER_KEY)(request)
            return Reply(reply.status, reply.body, (("Set-Cookie", f"by{reply.status}=1"),))

        session.cookies.set("mine", "1")
        server = serve(app)
        session.get(server.url(), auth=rotated)
        assert [request.headers["Cookie"] for request in server.seen] == ["mine=1", "mine=1"]
        assert {cookie.name for cookie in session.cookies} == {"mine", "by401", "by200"}

    def test_elapsed_is_its_own_time(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``elapsed`` is the time of the retry alone."""
        monkeypatch.setattr("time.perf_counter", itertools.count(100, 7).__next__)
        response = session.get(serve(keyed(OTHER_KEY)).url(), auth=rotated)
        assert response.elapsed == timedelta(seconds=7)

    def test_it_uses_the_same_connection(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second TLS handshake would cost more than the request."""
        ports: set[int] = set()
        server = serve(keyed(OTHER_KEY))
        handle = server.process_request_thread

        def count(request: Any, client_address: Any) -> None:
            ports.add(client_address[1])
            handle(request, client_address)

        monkeypatch.setattr(server, "process_request_thread", count)
        assert statuses(session.get(server.url(), auth=rotated)) == [401, 200]
        assert len(ports) == 1

    def test_the_callers_hooks_get_its_response(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """The hook of the auth runs before the caller's."""
        seen: list[int] = []
        server = serve(keyed(OTHER_KEY))
        session.get(
            server.url(), auth=rotated, hooks={"response": lambda response, **_: seen.append(response.status_code)}
        )
        assert seen == [200]

    def test_its_failure_is_raised(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A network failure during the retry reaches the caller."""
        real = HTTPAdapter.send
        sent: list[None] = []

        def send(adapter: Any, request: Any, **kwargs: Any) -> requests.Response:
            sent.append(None)
            if len(sent) == 2:
                raise requests.ConnectionError(request=request)
            return real(adapter, request, **kwargs)

        monkeypatch.setattr(HTTPAdapter, "send", send)
        with pytest.raises(requests.ConnectionError):
            session.get(serve(keyed(OTHER_KEY)).url(), auth=rotated)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_a_copied_hook_is_the_same(copier: Callable[[Any], Any], rotated: BearerEnvAuth) -> None:
    """Copies within the process keep what they need to ask again."""
    request = requests.Request("GET", "https://api.example/", auth=rotated).prepare()
    (hook,) = request.hooks["response"]
    assert copier(hook) is hook


@pytest.mark.parametrize("mounted", [False, True])
def test_a_pickled_response_has_no_key(
    mounted: bool, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """A pickle has a mask in place of the key; its request logs a warning after a 401 until it is prepared anew."""
    server = serve(keyed(KEY))
    bearer = BearerEnvAuth(provider=lambda: KEY)  # which cannot be pickled
    session.auth = MountedAuth({server.url(): bearer}) if mounted else bearer
    pickled = pickle.dumps(session.get(server.url()))
    assert KEY.encode() not in pickled
    assert pickle.loads(pickled).text == "welcome"
    again = pickle.loads(pickled).request
    refused = session.send(again)
    assert refused.status_code == 401
    again.hooks["response"][0](refused, verify=True, allow_redirects=True)  # as requests-cache calls it once more
    assert caplog.messages == [
        "the server answered 401 to a request that was pickled, without its key: prepare it again"
    ]
    server.app = keyed("***")
    assert session.send(again).status_code == 200
    again.prepare_auth(session.auth)
    server.app = keyed("another")
    assert session.send(again).status_code == 401
    assert len(caplog.messages) == 1
