"""Other libraries that work with requests get the key as requests does, over real sockets where they use sockets."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache
import requests_toolbelt
import responses
import vcr
from requests_futures.sessions import FuturesSession

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.demo.server import Server
from tests.helpers import (
    KEY,
    NEW,
    OLD,
    OTHER_KEY,
    THERE,
    Serve,
    Vault,
    assert_hidden,
    authorizations,
    keyed,
    redirect,
    statuses,
)


@pytest.fixture
def server(serve: Serve) -> Server:
    """A server that knows the rotated key."""
    return serve(keyed(OTHER_KEY))


@pytest.fixture
def rotated() -> BearerEnvAuth:
    """An auth whose first key is out of date."""
    return BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))


@pytest.mark.parametrize("backend", ["sqlite", "filesystem"])
def test_requests_cache_stores_no_key(
    backend: str, server: Server, ca: str, rotated: BearerEnvAuth, tmp_path: Path
) -> None:
    """The answer after a rotation is cached, and no key is on the disk."""
    cache = tmp_path / "cache"
    with requests_cache.CachedSession(cache, backend=backend, serializer="pickle") as session:
        session.auth = rotated
        first = session.get(server.url(), verify=ca)
        second = session.get(server.url(), verify=ca)
    assert (first.text, second.text) == ("welcome", "welcome")
    assert second.from_cache
    assert authorizations(server) == [OLD, NEW]
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"localhost" in stored
    assert KEY.encode() not in stored
    assert OTHER_KEY.encode() not in stored


def test_requests_cache_in_json_writes_the_key(server: Server, ca: str, rotated: BearerEnvAuth, tmp_path: Path) -> None:
    """requests-cache removes the header from the last request, but not from those in the history."""
    with requests_cache.CachedSession(tmp_path / "cache", backend="filesystem", serializer="json") as session:
        session.get(server.url(), verify=ca, auth=rotated)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() in stored
    assert OTHER_KEY.encode() not in stored


def test_requests_cache_may_call_hooks_twice(server: Server, ca: str, tmp_path: Path) -> None:
    """A refused key is sent once more, once."""
    vault = Vault("a", "b", OTHER_KEY)
    with requests_cache.CachedSession(tmp_path / "cache") as session:
        session.verify = ca
        auth = BearerEnvAuth(provider=vault)
        assert statuses(session.get(server.url(), auth=auth)) == [401, 401]
        request = session.prepare_request(requests.Request("GET", server.url(), auth=auth))
        assert session.send(request).status_code == 200
    assert authorizations(server) == ["Bearer a", "Bearer b", NEW]


@pytest.mark.parametrize("mount", [False, True])
def test_redirect_from_the_cache_gets_no_key(mount: bool, serve: Serve, ca: str, key_env: str, tmp_path: Path) -> None:
    """requests-cache calls the first request's hooks again, with the last response of the chain."""
    home = serve(
        lambda request: (redirect(lambda: away.url(host=THERE)) if request.target == "/" else keyed(KEY))(request)
    )
    away = serve(redirect(lambda: home.url("/chosen")))
    with requests_cache.CachedSession(tmp_path / "cache") as session:
        session.verify = ca
        auth = BearerEnvAuth(key_env, hosts="localhost")
        request = requests.Request("GET", home.url(), auth=MountedAuth({home.url(): auth}) if mount else auth)
        assert session.send(session.prepare_request(request)).status_code == 401
    assert authorizations(away) == [None]


def test_requests_futures_shares_a_rotation(server: Server, ca: str) -> None:
    """Sixteen requests in eight threads get the rotated key."""
    with FuturesSession(max_workers=8) as session:
        session.auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
        futures: list[Any] = [session.get(server.url(), verify=ca) for _ in range(16)]
        assert {future.result(30).status_code for future in futures} == {200}


def test_requests_toolbelt_streams_a_multipart(server: Server, session: requests.Session) -> None:
    """A streamed upload is sent."""
    encoder = requests_toolbelt.MultipartEncoder({"file": ("name", b"content" * 1000)})
    headers = {"Content-Type": encoder.content_type}
    auth = BearerEnvAuth(provider=lambda: OTHER_KEY)
    assert session.post(server.url(), data=encoder, headers=headers, auth=auth).status_code == 200
    assert b"content" * 1000 in server.seen[0].body


def test_requests_toolbelt_cannot_stream_it_twice(
    server: Server, session: requests.Session, rotated: BearerEnvAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """MultipartEncoder cannot be rewound, so the 401 stands, the log says why, and the next upload has the new key."""
    for expected in (401, 200):
        encoder = requests_toolbelt.MultipartEncoder({"file": ("name", b"content")})
        headers = {"Content-Type": encoder.content_type}
        response = session.post(server.url(), data=encoder, headers=headers, auth=rotated)
        assert response.status_code == expected
    assert "body cannot be sent twice" in caplog.text
    assert len(server.seen) == 2


def test_responses_can_test_a_rotation(rotated: BearerEnvAuth) -> None:
    """Users can test a rotation with responses, which needs no server."""
    with responses.RequestsMock() as mock:
        mock.get("https://api.example/", status=401)
        mock.get("https://api.example/", body="welcome")
        response = requests.get("https://api.example/", auth=rotated, timeout=5)
        assert (statuses(response), response.text) == ([401, 200], "welcome")
        assert [call.request.headers["Authorization"] for call in mock.calls] == [OLD, NEW]


def test_vcrpy_records_no_key(
    server: Server, session: requests.Session, rotated: BearerEnvAuth, tmp_path: Path
) -> None:
    """With vcrpy's documented filter the cassette has no key, and plays back."""
    recorder = vcr.VCR(filter_headers=["authorization"])
    path = tmp_path / "cassette.yaml"
    with recorder.use_cassette(str(path)):
        assert statuses(session.get(server.url(), auth=rotated)) == [401, 200]
    assert_hidden(path.read_text())
    with recorder.use_cassette(str(path), record_mode="none"):
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
        assert session.get(server.url(), auth=auth).text == "welcome"
    assert len(server.seen) == 2


def test_a_pickled_session_reads_the_key_itself(
    server: Server, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pickle of a session has no key, so the worker process reads the variable."""
    monkeypatch.setenv("TGW_API_KEY", OTHER_KEY)
    session.auth = BearerEnvAuth("TGW_API_KEY")
    spawn: Any = multiprocessing.get_context("spawn")
    get = methodcaller("get", server.url(), timeout=30)  # a function of this module would have the process import it
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert [response.status_code for response in pool.map(get, [session] * 2)] == [200, 200]
