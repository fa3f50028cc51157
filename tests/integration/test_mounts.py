"""MountedAuth over real TLS: redirects between mounts, rotation within one, two keys of one server."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.demo.app import TextGenerationWebUI
from requests_bearer_env.demo.server import Reply, Request
from tests.helpers import (
    HERE,
    KEY,
    NEW,
    OLD,
    OTHER_KEY,
    THERE,
    App,
    Proxy,
    Serve,
    Vault,
    always,
    authorizations,
    keyed,
    redirect,
    redirecting,
    routed,
    statuses,
)


def fixed(key: str, **options: Any) -> BearerEnvAuth:
    """An auth whose provider returns one key."""
    return BearerEnvAuth(provider=lambda: key, **options)


def stale() -> BearerEnvAuth:
    """An auth that caches a key which the server no longer accepts."""
    return BearerEnvAuth(provider=Vault("stale", OTHER_KEY), ttl=3600)


def mounted(session: requests.Session, *mounts: tuple[str, AuthBase]) -> None:
    """Set ``session.auth`` to a MountedAuth."""
    session.auth = MountedAuth(dict(mounts))


def test_each_path_of_one_server_gets_its_key(serve: Serve, session: requests.Session) -> None:
    """The admin key of text-generation-webui is sent to the admin routes and nowhere else."""
    server = serve(TextGenerationWebUI(KEY, OTHER_KEY))
    admin = [server.url(f"/v1/internal/{path}") for path in ("model/list", "model/load", "model/unload", "lora")]
    mounted(session, (server.url("/v1/"), fixed(KEY)), *((url, fixed(OTHER_KEY)) for url in admin))
    for path in ("/v1/models", "/v1/internal/model/info", "/v1/internal/model/list", "/v1/internal/lora/list"):
        assert session.get(server.url(path)).status_code == 200
    assert session.post(server.url("/v1/internal/model/load"), json={"model_name": "m"}).status_code == 200
    assert session.post(server.url("/v1/internal/model/unload")).status_code == 200
    assert session.post(server.url("/v1/internal/stop-generation")).status_code == 200
    assert session.post(server.url("/api/v1/generate")).status_code == 404
    assert authorizations(server) == [OLD, OLD, NEW, NEW, NEW, NEW, OLD, None]


def test_a_rotated_key_is_sent_once_more(serve: Serve, session: requests.Session) -> None:
    """A mounted auth retries a refused request as it does when used alone."""
    server = serve(keyed(OTHER_KEY))
    mounted(session, (server.url(), BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))))
    assert statuses(session.get(server.url())) == [401, 200]
    assert authorizations(server) == [OLD, NEW]


def test_a_second_refusal_is_the_answer(serve: Serve, session: requests.Session) -> None:
    """The second response is returned, although a response with an error status is falsy."""
    server = serve(keyed("another"))
    mounted(session, (server.url(), BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))))
    assert statuses(session.get(server.url())) == [401, 401]


def test_a_mounted_auth_retries_once(serve: Serve, session: requests.Session) -> None:
    """A provider with another key at each call is asked for one more key, as when its auth is used alone."""
    server = serve(keyed("another"))
    mounted(session, (server.url(), BearerEnvAuth(provider=Vault("a", "b", "c", "d"))))
    session.get(server.url())
    assert authorizations(server) == ["Bearer a", "Bearer b"]


def test_another_auths_body_reaches_a_mount(serve: Serve, session: requests.Session) -> None:
    """A body that another auth's server redirects is resent from where it began."""
    here, there = redirecting(serve, keyed(OTHER_KEY), status=307)
    mounted(session, (here.url(), HTTPBasicAuth("u", "p")), (there.url(host=THERE), fixed(OTHER_KEY)))
    body = io.BytesIO(b"skipped, body")
    body.seek(9)
    assert session.post(here.url(), data=body).status_code == 200
    assert [request.body for request in there.seen] == [b"body", b"body"]


@pytest.mark.parametrize("host", [HERE, THERE])
def test_a_redirect_to_a_mount_sends_its_key(
    host: str, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The second origin gets its own key, once, with the body, and never the key of the first."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    here, there = redirecting(serve, keyed(OTHER_KEY), host=host, status=307)
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=host), fixed(OTHER_KEY)))
    response = session.post(here.url(), data=b"body")
    assert response.status_code == 200
    assert authorizations(here) == [OLD]
    assert authorizations(there) == [None, NEW]
    assert [request.body for request in there.seen] == [b"body", b"body"]
    origin = there.url(host=host).rstrip("/")
    assert caplog.messages == [f"{origin} answered 401, and the key has changed: sending the request once more"]


@pytest.mark.parametrize(
    ("first", "mount", "app", "status", "seen"),
    [
        (fixed(KEY), lambda url: fixed(OTHER_KEY), keyed("another"), 401, [None, NEW]),
        (fixed(KEY), lambda url: fixed(OTHER_KEY), always(403), 403, [None]),
        (fixed(KEY, hosts=[HERE, THERE]), lambda url: fixed(OTHER_KEY), keyed(OTHER_KEY), 200, [None, NEW]),
        (fixed(KEY), lambda url: stale(), keyed(OTHER_KEY), 200, [None, "Bearer stale", NEW]),
        (fixed(KEY), lambda url: MountedAuth({url: stale()}), keyed(OTHER_KEY), 200, [None, "Bearer stale", NEW]),
        (fixed(KEY), lambda url: HTTPBasicAuth("u", "p"), always(401), 401, [None]),
    ],
    ids=["a second refusal", "another status", "hosts= of the first mount", "a rotated key", "nested", "another auth"],
)
def test_the_second_mount_handles_its_refusal(
    first: AuthBase,
    mount: Callable[[str], AuthBase],
    app: App,
    status: int,
    seen: list[str | None],
    serve: Serve,
    session: requests.Session,
) -> None:
    """The auth that is mounted at the second origin answers its refusal, as it does when used alone."""
    here, there = redirecting(serve, app)
    mounted(session, (here.url(), first), (there.url(host=THERE), mount(there.url(host=THERE))))
    assert session.get(here.url()).status_code == status
    assert authorizations(there) == seen


def test_an_origin_without_a_mount_gets_no_key(serve: Serve, session: requests.Session) -> None:
    """The mounts decide, even if ``hosts=`` of a mounted auth names the origin."""
    here, there = redirecting(serve, keyed(KEY))
    mounted(session, (here.url(), fixed(KEY, hosts=[HERE, THERE])))
    assert session.get(here.url()).status_code == 401
    assert authorizations(there) == [None]


def test_a_refused_header_is_replaced(serve: Serve, session: requests.Session) -> None:
    """Requests keeps the header within an origin; the mount of the new path answers its 401."""
    server = serve(routed("/v1/internal/x", redirect(lambda: "/v1/models"), keyed(OTHER_KEY)))
    mounted(session, (server.url("/v1/internal/"), fixed(KEY)), (server.url("/v1/"), fixed(OTHER_KEY)))
    assert session.get(server.url("/v1/internal/x")).status_code == 200
    assert authorizations(server) == [OLD, OLD, NEW]


def test_a_key_just_refused_is_not_sent_again(serve: Serve, session: requests.Session) -> None:
    """Two mounts of one origin may have the same key."""
    server = serve(routed("/a", redirect(lambda: "/b"), always(401)))
    mounted(session, (server.url("/a"), fixed(KEY)), (server.url("/b"), fixed(KEY)))
    session.get(server.url("/a"))
    assert authorizations(server) == [OLD, OLD]


def test_a_mount_without_a_key_leaves_the_401(
    serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The 401 is returned, and a warning says why no key was sent."""
    here, there = redirecting(serve, keyed(OTHER_KEY))
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), BearerEnvAuth("NO_KEY")))
    assert session.get(here.url()).status_code == 401
    origin = there.url(host=THERE).rstrip("/")
    reason = "no key found because NO_KEY is not set in this process's environment"
    remedy = "set it before the program starts, or set NO_KEY_FILE to the path of a file with the key"
    assert caplog.messages == [f"{origin} answered 401, and asking for the key again failed: {reason}: {remedy}"]
    assert [record.levelno for record in caplog.records if record.name == "requests_bearer_env"] == [logging.WARNING]


def test_a_file_is_sent_whole_each_time(serve: Serve, session: requests.Session) -> None:
    """A file is rewound to where it began for the redirect and for each of the two keys."""
    here, there = redirecting(serve, keyed(OTHER_KEY), status=307)
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), stale()))
    file = io.BytesIO(b"head body")
    file.seek(5)
    assert session.post(here.url(), data=file).status_code == 200
    assert [request.body for request in there.seen] == [b"body"] * 3


def test_an_origin_without_a_mount_is_not_trusted(serve: Serve, session: requests.Session) -> None:
    """Its redirect would choose where the more powerful key goes, and with which body."""
    server = serve(redirect(lambda: elsewhere.url(host=THERE), 307))
    admin = serve(keyed(OTHER_KEY))
    elsewhere = serve(redirect(lambda: admin.url("/v1/internal/unload"), 307))
    mounted(session, (server.url(), fixed(KEY)), (admin.url(), fixed(OTHER_KEY)))
    assert session.post(server.url(), data=b"x").status_code == 401
    assert authorizations(elsewhere) == authorizations(admin) == [None]


def test_a_replaced_body_is_not_sent_again(
    serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The position at which the new body began is unknown, so the 401 stands."""

    class Replacing(requests.Session):
        def rebuild_method(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
            prepared_request.body = iter([b"x"])

    here, there = redirecting(serve, keyed(OTHER_KEY), status=307)
    with Replacing() as replacing:
        replacing.verify = session.verify
        mounted(replacing, (here.url(), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
        assert replacing.post(here.url(), data=b"x").status_code == 401
    origin = there.url(host=THERE).rstrip("/")
    assert caplog.messages == [f"keeping the 401 from {origin}: the request's body cannot be sent twice"]


def test_plain_http_needs_allow_http_of_the_mount(serve: Serve, session: requests.Session) -> None:
    """After a redirect, the mounted auth decides whether its key may be sent over plain HTTP."""
    there = serve(keyed(OTHER_KEY), tls=False)
    here = serve(redirect(lambda: there.url(host=THERE)))
    allowed = fixed(OTHER_KEY, allow_http=[THERE])
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
    assert session.get(here.url()).status_code == 401
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), allowed))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, None, NEW]


def test_plain_http_through_a_proxy_gets_no_key(
    serve: Serve, session: requests.Session, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """The proxy would read the key."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    here = serve(redirect(lambda: "http://tgw.example/"))
    auth = fixed(KEY, allow_http=["tgw.example"])
    mounted(session, (here.url(), fixed(KEY)), ("http://tgw.example/", auth))
    assert session.get(here.url(), proxies={"http": proxy.url}).status_code == 401
    assert len(proxy.seen) == 1
    assert "Bearer" not in proxy.seen[0]
    message = "no key is put back along this redirect chain: it may not be sent to {}, or not through this proxy"
    assert caplog.messages[-1] == message.format("http://tgw.example")


def challenging(request: Request) -> Reply:
    """Refuse every request without Digest credentials."""
    if str(request.headers.get("Authorization")).startswith("Digest "):
        return Reply(200, b"welcome")
    return Reply(401, headers=(("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'),))


def test_a_mounted_digest_auth_works(serve: Serve, session: requests.Session) -> None:
    """Digest sends a header only after a challenge."""
    server = serve(challenging)
    mounted(session, (server.url(), HTTPDigestAuth("u", "p")))
    assert session.get(server.url()).text == "welcome"


@pytest.mark.parametrize(
    ("tls", "host", "status", "seen"),
    [(True, HERE, 200, [None, OLD]), (True, THERE, 200, [None, OLD]), (False, THERE, 401, [None])],
    ids=["to another port", "to another host", "over plain HTTP"],
)
def test_another_auths_redirect_is_trusted(
    tls: bool, host: str, status: int, seen: list[str | None], serve: Serve, session: requests.Session
) -> None:
    """A mount states trust, but anyone on the network path could have written a redirect over plain HTTP."""
    there = serve(keyed(KEY))
    here = serve(redirect(lambda: there.url(host=host)), tls=tls)
    mounted(session, (here.url(host=HERE), HTTPBasicAuth("u", "p")), (there.url(host=host), fixed(KEY)))
    assert session.get(here.url(host=HERE)).status_code == status
    assert authorizations(there) == seen


def test_one_auth_on_two_paths_shares_a_rotation(serve: Serve, session: requests.Session) -> None:
    """The 401 at the second path drops the cached key, so the provider is called once more."""
    vault = Vault("stale", OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=3600)
    server = serve(routed("/a/x", redirect(lambda: "/b/x"), keyed(OTHER_KEY)))
    mounted(session, (server.url("/a"), auth), (server.url("/b"), auth))
    assert statuses(session.get(server.url("/a/x"))) == [302, 200]
    assert vault.calls == 2


def test_one_auth_on_two_origins_shares_a_key(serve: Serve, session: requests.Session) -> None:
    """Requests has dropped the header, so the cached key is sent first, and after its refusal the new one."""
    vault = Vault("stale", OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=3600)
    here, there = redirecting(serve, keyed(OTHER_KEY))
    mounted(session, (here.url(), auth), (there.url(host=THERE), auth))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, "Bearer stale", NEW]
    assert vault.calls == 2


def test_a_chain_between_mounts_gets_both_keys(serve: Serve, session: requests.Session) -> None:
    """A redirect chain from one mounted origin to another and back gets the key of each."""

    def second(request: Request) -> Reply:
        reply = keyed(OTHER_KEY)(request)
        return redirect(lambda: here.url("/a2", host=HERE))(request) if reply.status == 200 else reply

    here = serve(routed("/a", redirect(lambda: there.url("/b", host=THERE)), keyed(KEY)))
    there = serve(second)
    mounted(session, (here.url(host=HERE), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
    assert session.get(here.url("/a", host=HERE)).status_code == 200
    assert authorizations(here) == [OLD, None, OLD]
    assert authorizations(there) == [None, NEW]
