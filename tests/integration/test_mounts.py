"""MountedAuth over real TLS: redirects between mounts, rotation within one, two keys of one server."""

from __future__ import annotations

import io
import logging
import pickle

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
    Proxy,
    Serve,
    Vault,
    authorizations,
    keyed,
    redirect,
    statuses,
)

LATER = "Bearer later"


def fixed(key: str) -> BearerEnvAuth:
    """An auth with a key."""
    return BearerEnvAuth(provider=lambda: key)


def mounted(session: requests.Session, *mounts: tuple[str, AuthBase]) -> None:
    """Give a session its keys."""
    session.auth = MountedAuth(dict(mounts))


def test_each_path_of_one_server_gets_its_key(serve: Serve, session: requests.Session) -> None:
    """Text-generation-webui's two keys: the admin key goes to the admin routes and to nothing else."""
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
    """Within its mount an auth does what it always does."""
    server = serve(keyed(OTHER_KEY))
    mounted(session, (server.url(), BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))))
    assert statuses(session.get(server.url())) == [401, 200]
    assert authorizations(server) == [OLD, NEW]


def test_a_second_refusal_is_the_answer(serve: Serve, session: requests.Session) -> None:
    """Although responses with an error count as false."""
    server = serve(keyed("another"))
    mounted(session, (server.url(), BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))))
    assert statuses(session.get(server.url())) == [401, 401]


@pytest.mark.parametrize("host", [HERE, THERE])
def test_after_a_redirect_to_another_mount_its_key_answers(
    host: str, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """One key never reaches the other origin, the other one does, once, with the body."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=host), 307))
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=host), fixed(OTHER_KEY)))
    response = session.post(here.url(), data=b"body")
    assert response.status_code == 200
    assert authorizations(here) == [OLD]
    assert authorizations(there) == [None, NEW]
    assert [request.body for request in there.seen] == [b"body", b"body"]
    origin = there.url(host=host).rstrip("/")
    assert caplog.messages == [f"{origin} answered 401, and the key has changed: sending the request once more"]


def test_a_key_that_is_refused_there_is_sent_once(serve: Serve, session: requests.Session) -> None:
    """Once is once."""
    there = serve(keyed("another"))
    here = serve(redirect(lambda: there.url(host=THERE)))
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
    assert session.get(here.url()).status_code == 401
    assert authorizations(there) == [None, NEW]


def test_an_origin_without_a_mount_gets_no_key(serve: Serve, session: requests.Session) -> None:
    """Not even if ``hosts=`` of a mounted auth names it: the mounts decide."""
    there = serve(keyed(KEY))
    here = serve(redirect(lambda: there.url(host=THERE)))
    mounted(session, (here.url(), BearerEnvAuth(provider=lambda: KEY, hosts=[HERE, THERE])))
    assert session.get(here.url()).status_code == 401
    assert authorizations(there) == [None]


def test_hosts_of_one_mount_do_not_send_its_key_to_another(serve: Serve, session: requests.Session) -> None:
    """There the other one's key answers."""
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE)))
    wide = BearerEnvAuth(provider=lambda: KEY, hosts=[HERE, THERE])
    mounted(session, (here.url(), wide), (there.url(host=THERE), fixed(OTHER_KEY)))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, NEW]


def test_the_same_auth_in_two_mounts_answers_in_both(serve: Serve, session: requests.Session, key_env: str) -> None:
    """A mount is trust given in words."""
    there = serve(keyed(KEY))
    here = serve(redirect(lambda: there.url(host=THERE)))
    auth = BearerEnvAuth(key_env)
    mounted(session, (here.url(), auth), (there.url(host=THERE), auth))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, OLD]


def test_within_a_host_the_header_stays_until_it_is_refused(serve: Serve, session: requests.Session) -> None:
    """Requests keeps it, though the path has left its prefix; a 401 is answered with the right one."""

    def app(request: Request) -> Reply:
        here = request.target == "/v1/internal/x"
        return redirect(lambda: "/v1/models")(request) if here else keyed(OTHER_KEY)(request)

    server = serve(app)
    mounted(session, (server.url("/v1/internal/"), fixed(KEY)), (server.url("/v1/"), fixed(OTHER_KEY)))
    assert session.get(server.url("/v1/internal/x")).status_code == 200
    assert authorizations(server) == [OLD, OLD, NEW]


def test_a_key_that_has_just_been_refused_is_not_sent_again(serve: Serve, session: requests.Session) -> None:
    """Two mounts of one host may have the same key."""

    def app(request: Request) -> Reply:
        return redirect(lambda: "/b")(request) if request.target == "/a" else Reply(401)

    server = serve(app)
    mounted(session, (server.url("/a"), fixed(KEY)), (server.url("/b"), fixed(KEY)))
    session.get(server.url("/a"))
    assert authorizations(server) == [OLD, OLD]


def test_a_mount_without_a_key_leaves_the_401(
    serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why."""
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE)))
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), BearerEnvAuth("NO_KEY")))
    assert session.get(here.url()).status_code == 401
    origin = there.url(host=THERE).rstrip("/")
    reason = "no key found because NO_KEY is not set in this process's environment"
    remedy = "store the key there, or name the source that has it"
    assert caplog.messages == [f"{origin} answered 401, and asking for the key again failed: {reason}: {remedy}"]
    assert [record.levelno for record in caplog.records if record.name == "requests_bearer_env"] == [logging.WARNING]


def test_a_key_that_was_rotated_there_is_sent_as_well(serve: Serve, session: requests.Session) -> None:
    """A kept key is out of date also where a redirect has led."""
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE)))
    auth = BearerEnvAuth(provider=Vault("stale", OTHER_KEY), ttl=3600)
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), auth))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, "Bearer stale", NEW]


def test_a_file_is_whole_at_every_try_there(serve: Serve, session: requests.Session) -> None:
    """The auth that is mounted there may send it twice, each time from where it began."""
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE), 307))
    rotated = BearerEnvAuth(provider=Vault("stale", OTHER_KEY), ttl=3600)
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), rotated))
    file = io.BytesIO(b"head body")
    file.seek(5)
    assert session.post(here.url(), data=file).status_code == 200
    assert [request.body for request in there.seen] == [b"body"] * 3


def test_whoever_redirects_from_elsewhere_gets_no_key_sent(serve: Serve, session: requests.Session) -> None:
    """An origin without a mount would choose where the key with more power goes, and with which body."""
    server = serve(redirect(lambda: elsewhere.url(host=THERE), 307))
    admin = serve(keyed(OTHER_KEY))
    elsewhere = serve(redirect(lambda: admin.url("/v1/internal/unload"), 307))
    mounted(session, (server.url(), fixed(KEY)), (admin.url(), fixed(OTHER_KEY)))
    assert session.post(server.url(), data=b"x").status_code == 401
    assert authorizations(elsewhere) == authorizations(admin) == [None]


def test_another_status_there_is_the_answer(serve: Serve, session: requests.Session) -> None:
    """Only a 401 asks for a key."""
    there = serve(lambda request: Reply(403))
    here = serve(redirect(lambda: there.url(host=THERE)))
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
    assert session.get(here.url()).status_code == 403
    assert authorizations(there) == [None]


def test_a_body_that_is_gone_is_not_sent_again(
    serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests itself has rewound a file for the redirect; what replaces it is not known."""

    class Replacing(requests.Session):
        def rebuild_method(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
            prepared_request.body = iter([b"x"])

    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE), 307))
    with Replacing() as replacing:
        replacing.verify = session.verify
        mounted(replacing, (here.url(), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
        assert replacing.post(here.url(), data=b"x").status_code == 401
    origin = there.url(host=THERE).rstrip("/")
    assert caplog.messages == [f"the 401 of {origin} stands: the request's body cannot be sent twice"]


def test_a_file_is_sent_again_from_where_it_began(serve: Serve, session: requests.Session) -> None:
    """To where a redirect has led, too."""
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE), 307))
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
    file = io.BytesIO(b"0123456789")
    file.seek(3)
    assert session.post(here.url(), data=file).status_code == 200
    assert [request.body for request in there.seen] == [b"3456789"] * 2


def test_plain_http_is_for_the_mounted_auth_to_decide(serve: Serve, session: requests.Session) -> None:
    """After a redirect, too."""
    there = serve(keyed(OTHER_KEY), tls=False)
    here = serve(redirect(lambda: there.url(host=THERE)))
    allowed = BearerEnvAuth(provider=lambda: OTHER_KEY, allow_http=[THERE])
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
    assert session.get(here.url()).status_code == 401
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), allowed))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, None, NEW]


def test_plain_http_is_not_answered_through_a_proxy(
    serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """It would read the key."""
    caplog.set_level(logging.DEBUG, "requests_bearer_env")
    with Proxy() as proxy:
        here = serve(redirect(lambda: "http://tgw.example/"))
        auth = BearerEnvAuth(provider=lambda: KEY, allow_http=["tgw.example"])
        mounted(session, (here.url(), fixed(KEY)), ("http://tgw.example/", auth))
        assert session.get(here.url(), proxies={"http": proxy.url}).status_code == 401
        assert len(proxy.seen) == 1
        assert "Bearer" not in proxy.seen[0]
    assert caplog.messages[-1] == "http://tgw.example gets no key: it is not where the key may go"


def challenging(request: Request) -> Reply:
    """Answer as a server that wants Digest."""
    if str(request.headers.get("Authorization")).startswith("Digest "):
        return Reply(200, b"welcome")
    return Reply(401, headers=(("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'),))


def test_another_auth_works_where_it_is_mounted(serve: Serve, session: requests.Session) -> None:
    """Digest waits for a challenge before it sends anything."""
    server = serve(challenging)
    mounted(session, (server.url(), HTTPDigestAuth("u", "p")))
    assert session.get(server.url()).text == "welcome"


def test_after_a_redirect_another_auth_is_silent(serve: Serve, session: requests.Session) -> None:
    """Only a BearerEnvAuth answers a refusal where a redirect has led."""
    there = serve(lambda request: Reply(401))
    here = serve(redirect(lambda: there.url(host=THERE)))
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), HTTPBasicAuth("u", "p")))
    assert session.get(here.url()).status_code == 401
    assert authorizations(there) == [None]


@pytest.mark.parametrize("host", [HERE, THERE], ids=["another port", "another host"])
def test_after_another_auth_the_mounted_key_answers(host: str, serve: Serve, session: requests.Session) -> None:
    """A place where another auth is mounted is trusted to redirect, over https."""
    there = serve(keyed(KEY))
    here = serve(redirect(lambda: there.url(host=host)))
    mounted(session, (here.url(host=HERE), HTTPBasicAuth("u", "p")), (there.url(host=host), fixed(KEY)))
    assert session.get(here.url(host=HERE)).status_code == 200
    assert authorizations(there) == [None, OLD]


def test_another_auth_over_plain_http_is_not_trusted(serve: Serve, session: requests.Session) -> None:
    """Anyone on the network path could have written the redirect."""
    there = serve(keyed(KEY))
    here = serve(redirect(lambda: there.url(host=THERE)), tls=False)
    mounted(session, (here.url(host=HERE), HTTPBasicAuth("u", "p")), (there.url(host=THERE), fixed(KEY)))
    assert session.get(here.url(host=HERE)).status_code == 401
    assert authorizations(there) == [None]


def test_mounts_within_mounts_work_as_one(serve: Serve, session: requests.Session) -> None:
    """A MountedAuth may be mounted, too; the outer one has the hook."""
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE)))
    inner = MountedAuth({there.url("/", host=THERE): BearerEnvAuth(provider=Vault("stale", OTHER_KEY), ttl=3600)})
    mounted(session, (here.url(), fixed(KEY)), (there.url(host=THERE), inner))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, "Bearer stale", NEW]


def test_two_prefixes_with_one_auth_share_a_rotation(serve: Serve, session: requests.Session) -> None:
    """The cached key is dropped at the second one, too; the provider is called once more."""
    vault = Vault("stale", OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=3600)

    def app(request: Request) -> Reply:
        return redirect(lambda: "/b/x")(request) if request.target == "/a/x" else keyed(OTHER_KEY)(request)

    server = serve(app)
    mounted(session, (server.url("/a"), auth), (server.url("/b"), auth))
    assert statuses(session.get(server.url("/a/x"))) == [302, 200]
    assert vault.calls == 2


def test_one_auth_on_two_origins_shares_a_rotation(serve: Serve, session: requests.Session) -> None:
    """Where requests has dropped the header, the cached key is tried first, then the new one."""
    vault = Vault("stale", OTHER_KEY)
    auth = BearerEnvAuth(provider=vault, ttl=3600)
    there = serve(keyed(OTHER_KEY))
    here = serve(redirect(lambda: there.url(host=THERE)))
    mounted(session, (here.url(), auth), (there.url(host=THERE), auth))
    assert session.get(here.url()).status_code == 200
    assert authorizations(there) == [None, "Bearer stale", NEW]
    assert vault.calls == 2


def test_a_chain_that_returns_is_answered_in_both(serve: Serve, session: requests.Session) -> None:
    """X/a, Y/b, X/a2, all of them mounted: Y and X get their keys."""

    def first(request: Request) -> Reply:
        return redirect(lambda: there.url("/b", host=THERE))(request) if request.target == "/a" else keyed(KEY)(request)

    def second(request: Request) -> Reply:
        reply = keyed(OTHER_KEY)(request)
        return redirect(lambda: here.url("/a2", host=HERE))(request) if reply.status == 200 else reply

    here, there = serve(first), serve(second)
    mounted(session, (here.url(host=HERE), fixed(KEY)), (there.url(host=THERE), fixed(OTHER_KEY)))
    assert session.get(here.url("/a", host=HERE)).status_code == 200
    assert authorizations(here) == [OLD, None, OLD]
    assert authorizations(there) == [None, NEW]


def test_a_pickled_response_has_no_key(
    serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """And can be pickled, whatever is mounted; sent again it says that it has none."""
    server = serve(keyed(KEY))
    mounted(session, (server.url(), fixed(KEY)))
    pickled = pickle.dumps(session.get(server.url()))
    assert KEY.encode() not in pickled
    again = pickle.loads(pickled).request
    assert session.send(again).status_code == 401
    assert caplog.messages == [
        "the server answered 401 to a request that was pickled, without its key: prepare it anew"
    ]
    server.app = keyed("***")
    assert session.send(again).status_code == 200
    assert len(caplog.messages) == 1
    again.prepare_auth(session.auth)
    server.app = keyed("another")
    assert session.send(again).status_code == 401
    assert len(caplog.messages) == 1, "a request that was prepared anew has a key"
