"""A server that says 401, over real TLS: ask again, send once more if the key has changed."""

from __future__ import annotations

import copy
import io
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

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Reply, Request, Server
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, Serve, Vault, authorizations, keyed, statuses


@pytest.fixture
def rotated() -> BearerEnvAuth:
    """An auth whose first key is out of date."""
    return BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))


def test_a_changed_key_is_sent_once_more(
    serve: Serve, session: requests.Session, rotated: BearerEnvAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets the second answer, and the 401 in its history; the log tells of it."""
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
    """Then the 401 is the answer."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    server = serve(keyed(OTHER_KEY))
    response = session.get(server.url(), auth=BearerEnvAuth(key_env))
    assert statuses(response) == [401]
    assert authorizations(server) == [OLD]
    origin = server.url().rstrip("/")
    key = "the key of environment variable TGW_API_KEY (76 characters)"
    remedy = f"to find out why, run python -m requests_bearer_env check --env TGW_API_KEY {server.url()}"
    assert caplog.messages == [f"{origin} answered 401 to {key}, and reading it again gave the same key: {remedy}"]
    assert [record.levelno for record in caplog.records if record.name == "requests_bearer_env"] == [logging.INFO]


def test_a_key_that_changes_all_the_time_is_sent_twice(serve: Serve, session: requests.Session) -> None:
    """Once more means once."""
    server = serve(keyed("another"))
    response = session.get(server.url(), auth=BearerEnvAuth(provider=Vault("a", "b", "c")))
    assert statuses(response) == [401, 401]
    assert authorizations(server) == ["Bearer a", "Bearer b"]


def test_a_request_prepared_twice_is_sent_twice_at_most(serve: Serve, session: requests.Session) -> None:
    """Two preparations do not make two retries."""
    server = serve(keyed("another"))
    auth = BearerEnvAuth(provider=Vault("a", "b", "c", "d"))
    request = session.prepare_request(requests.Request("GET", server.url(), auth=auth))
    request.prepare_auth(auth)
    assert statuses(session.send(request)) == [401, 401]


def test_a_prepared_request_gets_the_new_key_for_hours(
    serve: Serve, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It carries its first key; after ten seconds a refusal of that key asks the provider again."""
    start = time.monotonic()
    vault = Vault(KEY, KEY, OTHER_KEY)
    request = session.prepare_request(
        requests.Request("GET", serve(keyed(OTHER_KEY)).url(), auth=BearerEnvAuth(provider=vault, ttl=3600))
    )
    assert [statuses(session.send(request)) for _ in range(2)] == [[401], [401]]
    monkeypatch.setattr("time.monotonic", lambda: start + 60)
    assert [statuses(session.send(request)) for _ in range(2)] == [[401, 200], [401, 200]]
    assert vault.calls == 3


@pytest.mark.parametrize(("ttl", "calls"), [(3600, 2), (None, 51)])
def test_a_server_that_always_refuses_asks_nobody(
    ttl: float | None, calls: int, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """A revoked key does not turn every request into a call to the vault; every refusal is in the log."""
    caplog.set_level(logging.INFO, "requests_bearer_env")
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=ttl)
    url = serve(keyed("another")).url()
    assert {session.get(url, auth=auth).status_code for _ in range(50)} == {401}
    assert vault.calls == calls
    told = [message.partition("reading it again ")[2].partition(":")[0] for message in caplog.messages]
    assert told == ["gave the same key", *["a moment ago gave the same key"] * 49]


@pytest.mark.parametrize(("ttl", "pause", "calls"), [(50, 4.9, 2), (50, 5.1, 3), (1000, 9.9, 2), (1000, 10.1, 3)])
def test_a_refusal_is_remembered_ten_seconds(
    ttl: float, pause: float, calls: int, serve: Serve, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a tenth of the time to live, if that is less."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    vault = Vault(KEY)
    auth = BearerEnvAuth(provider=vault, ttl=ttl)
    url = serve(keyed("another")).url()
    session.get(url, auth=auth)
    now += pause
    session.get(url, auth=auth)
    assert vault.calls == calls


def test_another_key_is_not_taken_for_the_remembered(
    serve: Serve, session: requests.Session, key_env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the refusal of that very key is remembered."""
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
    for number in range(50):
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
def test_which_answers_refuse_a_key(
    status: int,
    challenge: str | None,
    refresh_on: Any,
    outcome: list[int],
    serve: Serve,
    session: requests.Session,
) -> None:
    """The statuses of refresh_on=, and a Bearer challenge that says invalid_token, at any status from 400 on."""
    headers = () if challenge is None else (("WWW-Authenticate", challenge),)

    def app(request: Request) -> Reply:
        return Reply(200) if request.headers["Authorization"] == NEW else Reply(status, b"no", headers)

    auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600, refresh_on=refresh_on)
    assert statuses(session.get(serve(app).url(), auth=auth)) == outcome


@pytest.mark.parametrize("value", ["Bearer expired-key-of-a-user", "Basic dTpw", None])
def test_a_header_of_somebody_else_is_left_alone(
    value: str | None, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """A header that was set or removed by hand after the preparation is not the auth's, and its 401 stands."""
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


def test_a_copied_header_is_known_by_its_value(serve: Serve, session: requests.Session) -> None:
    """Some adapters make a plain str of it."""
    server = serve(keyed(OTHER_KEY))
    auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
    request = session.prepare_request(requests.Request("GET", server.url(), auth=auth))
    request.headers["Authorization"] = str(request.headers["Authorization"])[:]
    assert statuses(session.send(request)) == [401, 200]


def test_a_kept_key_that_is_refused_at_the_second_try_is_dropped(serve: Serve, session: requests.Session) -> None:
    """The next request asks for another one."""
    vault = Vault("a", "b", OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=3600)
    url = serve(keyed(OTHER_KEY)).url()
    assert [statuses(session.get(url, auth=auth)) for _ in range(2)] == [[401, 401], [200]]
    assert vault.calls == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "no key found because provider vault returned no key: store the key there"),
        (" ", "no key found because provider vault returned no key: store the key there"),
        ("two words", "the value of provider vault (9 characters) has SPACE (U+0020) at position 4"),
        (OSError(KEY), "provider vault raised OSError: call it directly to see why"),
    ],
)
def test_sources_that_fail_now_leave_the_401(
    answer: Any, reason: str, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets the 401, and the log says why it stands."""
    answers: list[Any] = [KEY, answer]

    def vault() -> Any:
        value = answers.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    server = serve(keyed(OTHER_KEY))
    assert statuses(session.get(server.url(), auth=BearerEnvAuth(provider=vault))) == [401]
    assert [record.levelno for record in caplog.records if record.name == "requests_bearer_env"] == [logging.WARNING]
    (message,) = caplog.messages
    origin = server.url().rstrip("/")
    assert message.startswith(f"{origin} answered 401, and asking for the key again failed: {reason}")
    assert KEY not in caplog.text


def test_a_variable_changed_meanwhile_is_read(
    serve: Serve, session: requests.Session, key_env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever rotates a variable in the process needs no restart."""

    def app(request: Request) -> Reply:
        monkeypatch.setenv(key_env, OTHER_KEY)
        return keyed(OTHER_KEY)(request)

    assert statuses(session.get(serve(app).url(), auth=BearerEnvAuth(key_env))) == [401, 200]


@pytest.mark.parametrize(("later", "outcome"), [(OTHER_KEY, [401, 200]), (KEY, [401])], ids=["another", "the same"])
def test_32_threads_refused_at_once_ask_once(later: str, outcome: list[int], serve: Serve, ca: str) -> None:
    """The first to be refused drops the kept key; the others find one that was asked for since they sent theirs."""
    threads = 32
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


def test_an_adapter_that_cannot_send_again_leaves_the_401(
    session: requests.Session, rotated: BearerEnvAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """Adapters that are no HTTPAdapter need not say who they are."""

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
        "the 401 of https://api.example stands: this transport adapter cannot send a request again"
    ]


@pytest.mark.parametrize("status", [200, 302, 401])
def test_a_response_without_a_request_is_left_alone(status: int, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests make such responses."""
    response = requests.Response()
    response.status_code, response.url, response._content = status, "https://api.example/", b""
    monkeypatch.setattr(HTTPAdapter, "send", lambda *arguments, **options: response)
    assert requests.get("https://api.example/", auth=BearerEnvAuth(key_env), timeout=5).status_code == status


def test_the_second_request_can_be_sent_again(serve: Serve, session: requests.Session, key_env: str) -> None:
    """``response.request`` carries the new key, and a refusal of that is answered as well."""
    keys = ["first", "second", "third"]
    server = serve(keyed(keys[-1]))
    auth = BearerEnvAuth(provider=Vault(*keys))
    response = session.get(server.url(), auth=auth)
    assert statuses(response) == [401, 401]
    assert statuses(session.send(response.request)) == [401, 200]


def test_with_requests_mock_it_works_as_over_a_socket(rotated: BearerEnvAuth) -> None:
    """Users' tests can rotate, too."""
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
        """What is in memory is simply there."""
        server = serve(keyed(OTHER_KEY))
        assert statuses(session.post(server.url(), data=data, auth=rotated)) == [401, 200]
        first, second = self.bodies(server)
        assert first == second

    def test_json_and_files_are_sent_again(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """Multipart uploads of requests' own are bytes."""
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
        """Not from its beginning, if the caller had read some of it."""
        (tmp_path / "body").write_bytes(b"0123456789" * 10_000)
        server = serve(keyed(OTHER_KEY))
        with (tmp_path / "body").open("rb") as file:
            file.seek(start)
            assert statuses(session.put(server.url(), data=file, auth=rotated)) == [401, 200]
        first, second = self.bodies(server)
        assert first == second == (b"0123456789" * 10_000)[start:]

    def test_a_file_like_object_that_cannot_be_iterated_is_sent_again(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """Requests does not note where such a body began, so this library does."""

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
        """Half a body would be worse than a 401; the log says why."""

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
        assert caplog.messages == [f"the 401 of {origin} stands: the request's body cannot be sent twice"]
        data.close()

    def test_the_next_request_has_the_new_key_all_the_same(self, serve: Serve, session: requests.Session) -> None:
        """A kept key that was refused is dropped, whatever the body."""
        server = serve(keyed(OTHER_KEY))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
        assert statuses(session.post(server.url(), data=iter([b"x"]), auth=auth)) == [401]
        assert statuses(session.post(server.url(), data=iter([b"x"]), auth=auth)) == [200]


class TestTheSecondTry:
    """It is sent as the first one was."""

    def test_with_its_settings(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Streaming, timeout, certificates and proxies are the first try's."""
        settings: list[dict[str, Any]] = []
        real = HTTPAdapter.send

        def send(adapter: Any, request: Any, **kwargs: Any) -> requests.Response:
            settings.append(dict(kwargs))
            return real(adapter, request, **kwargs)

        monkeypatch.setattr(HTTPAdapter, "send", send)
        server = serve(keyed(OTHER_KEY))
        session.get(server.url(), auth=rotated, timeout=(3, 7), stream=True).close()
        assert settings[0] == settings[1]
        assert settings[0]["timeout"] == (3, 7)
        assert settings[0]["verify"] == session.verify
        assert settings[0]["stream"] is True

    def test_it_streams(self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth) -> None:
        """With ``stream=True`` the body comes when it is asked for."""

        def app(request: Request) -> Reply:
            reply = keyed(OTHER_KEY)(request)
            return Reply(reply.status, iter([b"data: 1\n\n", b"data: 2\n\n"])) if reply.status == 200 else reply

        with session.get(serve(app).url(), auth=rotated, stream=True) as response:
            assert not response._content_consumed
            assert list(response.iter_lines()) == [b"data: 1", b"", b"data: 2", b""]

    def test_an_endless_401_does_not_hang_a_stream(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """What the caller did not ask to read is not read, but closed."""

        def endless() -> Iterator[bytes]:
            while True:
                yield b"x" * 1000

        def app(request: Request) -> Reply:
            known = request.headers["Authorization"] == NEW
            return Reply(200, b"welcome") if known else Reply(401, endless())

        with session.get(serve(app).url(), auth=rotated, stream=True) as response:
            assert response.text == "welcome"

    def test_a_broken_401_does_not_matter(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its body was not what the caller wanted."""

        def app(request: Request) -> Reply:
            known = request.headers["Authorization"] == NEW
            return Reply(200, b"welcome") if known else Reply(401, b"no gzip", (("Content-Encoding", "gzip"),))

        caplog.set_level(logging.DEBUG, "requests_bearer_env")
        assert session.get(serve(app).url(), auth=rotated).text == "welcome"
        assert "the body of the 401 could not be read: ContentDecodingError" in caplog.messages

    def test_with_its_cookies(self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth) -> None:
        """The Cookie header is the same; cookies set by either answer are in the session afterwards."""

        def app(request: Request) -> Reply:
            reply = keyed(OTHER_KEY)(request)
            return Reply(reply.status, reply.body, (("Set-Cookie", f"by{reply.status}=1"),))

        session.cookies.set("mine", "1")
        server = serve(app)
        session.get(server.url(), auth=rotated)
        assert [request.headers["Cookie"] for request in server.seen] == ["mine=1", "mine=1"]
        assert {cookie.name for cookie in session.cookies} == {"mine", "by401", "by200"}

    def test_elapsed_is_its_own_time(self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth) -> None:
        """And neither nothing nor that of both."""
        release = threading.Event()

        def app(request: Request) -> Reply:
            reply = keyed(OTHER_KEY)(request)
            if reply.status == 401:
                release.wait(0.3)
            return reply

        response = session.get(serve(app).url(), auth=rotated)
        assert timedelta(0) < response.elapsed < response.history[0].elapsed

    def test_on_the_same_connection(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second handshake would cost more than the request."""
        ports: set[int] = set()
        server = serve(keyed(OTHER_KEY))
        handle = server.process_request_thread

        def count(request: Any, client_address: Any) -> None:
            ports.add(client_address[1])
            handle(request, client_address)

        monkeypatch.setattr(server, "process_request_thread", count)
        assert statuses(session.get(server.url(), auth=rotated)) == [401, 200]
        assert len(ports) == 1

    def test_hooks_of_the_caller_see_the_second_answer(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth
    ) -> None:
        """They run after this library's."""
        seen: list[int] = []
        server = serve(keyed(OTHER_KEY))
        session.get(
            server.url(), auth=rotated, hooks={"response": lambda response, **_: seen.append(response.status_code)}
        )
        assert seen == [200]

    def test_a_failure_of_it_is_the_callers(
        self, serve: Serve, session: requests.Session, rotated: BearerEnvAuth, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the network fails now, that is what happened."""
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


class TestPickles:
    """Responses and requests are pickled by caches and worker pools."""

    @pytest.mark.parametrize(
        "make", [lambda: BearerEnvAuth(provider=lambda: KEY), lambda: BearerEnvAuth("TGW_API_KEY")]
    )
    def test_a_pickled_response_has_no_key(
        self, make: Callable[[], BearerEnvAuth], serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """And it can be pickled, even where the provider cannot."""
        response = session.get(serve(keyed(KEY)).url(), auth=make())
        pickled = pickle.dumps(response)
        assert KEY.encode() not in pickled
        assert pickle.loads(pickled).text == "welcome"

    @pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
    def test_a_copied_hook_is_the_same(self, copier: Callable[[Any], Any], rotated: BearerEnvAuth) -> None:
        """Copies within the process keep what they need to ask again."""
        request = requests.Request("GET", "https://api.example/", auth=rotated).prepare()
        (hook,) = request.hooks["response"]
        assert copier(hook) is hook

    def test_a_pickled_request_says_that_it_has_no_key(
        self, serve: Serve, session: requests.Session, key_env: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is not sent again; the log says what to do."""
        server = serve(keyed(KEY))
        request = session.prepare_request(requests.Request("GET", server.url(), auth=BearerEnvAuth(key_env)))
        assert statuses(session.send(pickle.loads(pickle.dumps(request)))) == [401]
        assert authorizations(server) == ["Bearer ***"]
        assert caplog.messages == [
            "the server answered 401 to a request that was pickled, without its key: prepare it anew"
        ]
