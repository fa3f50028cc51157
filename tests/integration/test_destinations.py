"""Where the key goes, over real sockets: redirects, netrc, proxies, plain HTTP, wrong certificates."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from requests_bearer_env import BearerEnvAuth, InsecureTransportError, UntrustedHostError
from requests_bearer_env.demo.server import Authority, Reply, Request, Server
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
    netrc,
    redirect,
    statuses,
)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A forward proxy."""
    with Proxy() as proxy:
        yield proxy


class TestRedirect:
    """The header is dropped across origins by requests, and stays dropped."""

    def test_within_an_origin_the_key_stays(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """That is requests' business, and is left to it."""

        def app(request: Request) -> Reply:
            return redirect(lambda: "/there")(request) if request.target == "/" else keyed(KEY)(request)

        server = serve(app)
        assert statuses(session.get(server.url(), auth=BearerEnvAuth(key_env))) == [302, 200]
        assert authorizations(server) == [OLD, OLD]

    @pytest.mark.parametrize("host", [HERE, THERE], ids=["another port", "another host"])
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_across_origins_the_key_is_not_sent(
        self, host: str, status: int, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not even if it has changed and the other origin asks for it; the log tells of it."""
        caplog.set_level(logging.DEBUG, "requests_bearer_env")
        there = serve(keyed(OTHER_KEY))
        here = serve(redirect(lambda: there.url(host=host), status))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
        assert statuses(session.post(here.url(host=HERE), data=b"x", auth=auth)) == [status, 401]
        assert authorizations(there) == [None]
        origin = there.url(host=host).rstrip("/")
        assert caplog.messages == [f"{origin} gets no key: it is not where the key may go"]

    @pytest.mark.parametrize("hosts", [None, [HERE]])
    def test_back_from_another_origin_the_key_is_not_sent(
        self, hosts: list[str] | None, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """Who redirects from there has chosen the URL, so the key stays dropped."""

        def app(request: Request) -> Reply:
            return (
                redirect(lambda: there.url(host=THERE), 307)(request) if request.target == "/" else keyed(KEY)(request)
            )

        here = serve(app)
        there = serve(redirect(lambda: here.url("/unload", host=HERE), 307))
        auth = BearerEnvAuth(key_env, hosts=hosts)
        seen: list[int] = []
        hooks = {"response": lambda response, **kwargs: seen.append(response.status_code)}
        request = session.prepare_request(
            requests.Request("POST", here.url(host=HERE), data=b"x", auth=auth, hooks=hooks)
        )
        for _ in range(2):
            response = session.send(request)
            assert statuses(response) == [307, 307, 401]
        assert authorizations(here) == [OLD, None, OLD, None]
        assert seen == [307, 307, 401] * 2, "hooks of others are called all the way"

    def test_by_way_of_a_host_that_is_named_the_key_is_sent(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """It is trusted to redirect as well."""
        last = serve(keyed(KEY))
        there = serve(redirect(lambda: last.url(host=HERE)))
        here = serve(redirect(lambda: there.url(host=THERE)))
        auth = BearerEnvAuth(key_env, hosts=[HERE, THERE])
        assert session.get(here.url(host=HERE), auth=auth).status_code == 200
        assert (authorizations(there), authorizations(last)) == ([None], [None, OLD])

    def test_a_cached_key_that_is_refused_is_replaced(self, serve: Serve, session: requests.Session) -> None:
        """Each key is sent there once: the cached one, and the one that the provider returns by now."""
        there = serve(keyed(OTHER_KEY))
        here = serve(redirect(lambda: there.url(host=THERE)))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600, hosts=[HERE, THERE])
        assert session.get(here.url(host=HERE), auth=auth).status_code == 200
        assert authorizations(there) == [None, OLD, NEW]

    def test_a_host_that_is_named_gets_the_key_once(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """Trust given in words: requests has dropped the key, the server asks for it, it is sent."""
        there = serve(keyed(KEY))
        here = serve(redirect(lambda: there.url(host=THERE), 307))
        auth = BearerEnvAuth(key_env, hosts=[HERE, THERE])
        response = session.post(here.url(), data=b"body", auth=auth)
        assert response.status_code == 200
        assert authorizations(there) == [None, OLD]
        assert [request.body for request in there.seen] == [b"body", b"body"]

    def test_a_host_that_is_named_and_refuses_gets_it_once(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """Once is once."""
        there = serve(keyed("another"))
        here = serve(redirect(lambda: there.url(host=THERE)))
        session.get(here.url(), auth=BearerEnvAuth(key_env, hosts=[HERE, THERE]))
        assert authorizations(there) == [None, OLD]

    def test_a_port_that_is_not_named_does_not_get_it(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """A pattern with a port means that port."""
        there = serve(keyed(KEY))
        here = serve(redirect(lambda: there.url(host=HERE)))
        session.get(here.url(), auth=BearerEnvAuth(key_env, hosts=[f"{HERE}:{here.server_port}"]))
        assert authorizations(there) == [None]

    def test_a_named_host_does_not_get_it_in_clear(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """``hosts=`` does not allow plain HTTP."""
        there = serve(keyed(KEY), tls=False)
        here = serve(redirect(lambda: there.url(host=THERE)))
        session.get(here.url(), auth=BearerEnvAuth(key_env, hosts=[HERE, THERE]))
        assert authorizations(there) == [None]

    def test_from_plain_http_to_https_is_another_origin(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """The scheme is part of it."""
        there = serve(keyed(KEY))
        here = serve(redirect(lambda: there.url(host=HERE)), tls=False)
        session.get(here.url(), auth=BearerEnvAuth(key_env, allow_http=[HERE]))
        assert authorizations(here) == [OLD]
        assert authorizations(there) == [None]

    def test_after_a_hop_in_clear_the_key_is_not_sent(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """Anyone on the network path could have written that redirect, though ``hosts=`` names the host."""

        def app(request: Request) -> Reply:
            start = request.target == "/start"
            return (redirect(lambda: plain.url("/x", host=HERE), 307) if start else keyed(KEY))(request)

        here = serve(app)
        plain = serve(redirect(lambda: here.url("/v1/internal/unload", host=HERE), 307), tls=False)
        auth = BearerEnvAuth(key_env, hosts=HERE)
        assert statuses(session.post(here.url("/start", host=HERE), data=b"x", auth=auth)) == [307, 307, 401]
        assert authorizations(here) == [OLD, None]

    def test_a_hop_in_clear_that_is_allowed_is_trusted(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """The key is not put back there, because it is another origin, but on the way back it is."""

        def app(request: Request) -> Reply:
            start = request.target == "/start"
            return (redirect(lambda: plain.url("/x", host=HERE)) if start else keyed(KEY))(request)

        here = serve(app)
        plain = serve(redirect(lambda: here.url("/back", host=HERE)), tls=False)
        auth = BearerEnvAuth(key_env, hosts=HERE, allow_http=HERE)
        assert statuses(session.get(here.url("/start", host=HERE), auth=auth)) == [302, 302, 200]
        assert authorizations(here) == [OLD, None, OLD]
        assert authorizations(plain) == [None]

    @pytest.mark.parametrize("status", [200, 401, 403, 500])
    def test_whatever_an_untrusted_host_answers_ends_it(
        self, status: int, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """Another hook may send its request again, and the host redirects only then."""

        def untrusted(request: Request) -> Reply:
            again = "Again" in request.headers
            return redirect(lambda: here.url("/chosen", host=HERE), 307)(request) if again else Reply(status)

        def sending_again(response: requests.Response, **options: Any) -> requests.Response | None:
            if f":{there.server_port}/" not in str(response.url):
                return None
            request = response.request.copy()
            request.headers["Again"] = "yes"
            response.close()
            answer: requests.Response = response.connection.send(request, **options)
            return answer

        there = serve(untrusted)
        here = serve(
            lambda request: (redirect(lambda: there.url(host=THERE), 307) if request.target == "/" else keyed(KEY))(
                request
            )
        )
        auth = BearerEnvAuth(key_env, hosts=HERE)
        response = session.get(here.url(host=HERE), auth=auth, hooks={"response": sending_again})
        assert response.status_code == 401
        assert authorizations(here) == [OLD, None]

    def test_an_untrusted_host_cannot_repeat_a_redirect(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """Not even to a URL that a trusted host has redirected to before."""

        def app(request: Request) -> Reply:
            first = len(there.seen) == 1
            return (redirect(lambda: untrusted.url(host=THERE), 307) if first else keyed(KEY))(request)

        here = serve(redirect(lambda: there.url("/x", host=HERE), 307))
        there = serve(app)
        untrusted = serve(redirect(lambda: there.url("/x", host=HERE), 307))
        auth = BearerEnvAuth(key_env, hosts=HERE)
        assert statuses(session.post(here.url(host=HERE), data=b"x", auth=auth)) == [307, 307, 307, 401]
        assert authorizations(there) == [None, None]

    def test_a_kept_header_brings_no_new_key_back(self, serve: Serve, ca: str) -> None:
        """A session that keeps the header on every redirect gets no new key sent where an untrusted host points."""

        class Keeping(requests.Session):
            def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
                """Leave the header where it is."""

        here = serve(
            lambda request: (redirect(lambda: there.url(host=THERE)) if request.target == "/" else keyed(OTHER_KEY))(
                request
            )
        )
        there = serve(redirect(lambda: here.url("/chosen", host=HERE)))
        with Keeping() as session:
            auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
            assert session.get(here.url(host=HERE), auth=auth, verify=ca).status_code == 401
        assert authorizations(here) == [OLD, OLD]

    @pytest.mark.parametrize("hosts", [None, HERE])
    @pytest.mark.parametrize("chosen", ["/chosen", "/chosen/without/slash", "/start", "/next"])
    def test_an_adapter_that_copies_hides_no_redirect(
        self, chosen: str, hosts: str | None, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """The hook cannot be removed from a copy; but no trusted host has led from the start to that URL.

        Neither a redirect of the trusted host after that, nor one to the same URL before it, makes up for that.
        """

        class Copying(HTTPAdapter):
            def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
                return super().send(request.copy(), *arguments, **options)

        def app(request: Request) -> Reply:
            if there.seen:
                slash = redirect(lambda: "/chosen/without/slash/")
                return (slash if request.target == "/chosen/without/slash" else keyed(KEY))(request)
            return redirect(lambda: "/next" if request.target == "/start" else there.url(host=THERE))(request)

        here = serve(app)
        there = serve(redirect(lambda: here.url(chosen, host=HERE)))
        session.mount("https://", Copying())
        auth = BearerEnvAuth(key_env, hosts=hosts)
        assert session.get(here.url("/start", host=HERE), auth=auth).status_code == 401
        seen = authorizations(here)
        assert seen[:2] == [OLD, OLD]
        assert set(seen[2:]) == {None}

    @pytest.mark.parametrize(
        "location",
        ["/there", "there", "//{host}/there", "https://{host}/there#part", "/th%65re", "/there?a b"],
    )
    def test_every_form_of_a_location_is_followed(
        self, location: str, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """Relative to the path, the scheme or the host, or absolute; netrc plays no part in it."""

        def first(request: Request) -> Reply:
            return redirect(lambda: location.format(host=f"{HERE}:{here.server_port}"))(request)

        def app(request: Request) -> Reply:
            return first(request) if request.target == "/" else keyed(KEY)(request)

        class Forgetting(requests.Session):
            def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
                prepared_request.headers.pop("Authorization", None)

        here = serve(app)
        with Forgetting() as forgetting:
            forgetting.verify = session.verify
            assert forgetting.get(here.url(), auth=BearerEnvAuth(key_env)).status_code == 200
        assert authorizations(here) == [OLD, None, OLD]

    def test_a_session_that_keeps_the_header_does_not_get_a_new_key_sent(self, serve: Serve, ca: str) -> None:
        """Whatever header a request carries by then, its origin is another one."""

        class Keeping(requests.Session):
            def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
                """Leave the header where it is, as recipes on the web have it."""

        there = serve(keyed(OTHER_KEY))
        here = serve(redirect(lambda: there.url(host=THERE)))
        with Keeping() as session:
            session.get(here.url(), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)), verify=ca)
        assert authorizations(there) == [OLD]

    def test_after_a_second_try_the_redirected_request_gets_the_new_key(
        self, serve: Serve, session: requests.Session
    ) -> None:
        """Requests follows the redirect with the first try's header, and the 401 there is answered, too."""

        def app(request: Request) -> Reply:
            reply = keyed(OTHER_KEY)(request)
            return redirect(lambda: "/there")(request) if reply.status == 200 and request.target == "/" else reply

        server = serve(app)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
        assert session.get(server.url(), auth=auth).status_code == 200
        assert authorizations(server) == [OLD, NEW, OLD, NEW]


class TestNetrc:
    """Credentials in netrc do not replace the key, and do not attract it."""

    def test_it_does_not_replace_the_key(
        self, serve: Serve, session: requests.Session, key_env: str, home: Path
    ) -> None:
        """It is for requests without an auth."""
        netrc(home, HERE)
        server = serve(keyed(KEY))
        assert session.get(server.url(), auth=BearerEnvAuth(key_env)).status_code == 200

    def test_on_a_redirect_across_origins_the_key_does_not_follow(
        self, serve: Serve, session: requests.Session, home: Path
    ) -> None:
        """Requests sends what netrc has for that host; that it is refused is no reason to send a key."""
        netrc(home, THERE)
        there = serve(keyed(OTHER_KEY))
        here = serve(redirect(lambda: there.url(host=THERE)))
        session.get(here.url(), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)))
        (seen,) = authorizations(there)
        assert str(seen).startswith("Basic ")

    def test_on_a_redirect_within_an_origin_the_key_comes_back(
        self, serve: Serve, session: requests.Session, key_env: str, home: Path
    ) -> None:
        """Requests puts netrc's credentials in its place; when they are refused, the key is sent."""
        netrc(home, HERE)

        def app(request: Request) -> Reply:
            return redirect(lambda: "/there")(request) if request.target == "/" else keyed(KEY)(request)

        server = serve(app)
        assert session.get(server.url(), auth=BearerEnvAuth(key_env)).status_code == 200
        first, second, third = authorizations(server)
        assert (first, third) == (OLD, OLD)
        assert str(second).startswith("Basic ")


class TestPlainHttp:
    """Only to hosts that are named, and only directly."""

    def test_it_is_refused_and_nothing_arrives(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """Not even a connection is made."""
        server = serve(keyed(KEY), tls=False)
        with pytest.raises(InsecureTransportError):
            session.post(server.url(), data=b"secret prompt", auth=BearerEnvAuth(key_env))
        assert server.seen == []

    def test_a_named_host_is_reached(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """A text-generation-webui listens on http://127.0.0.1:5000 unless told otherwise."""
        server = serve(keyed(KEY), tls=False)
        auth = BearerEnvAuth(key_env, allow_http=["127.0.0.1", "localhost"])
        assert session.get(server.url(host=THERE), auth=auth).status_code == 200

    def test_a_changed_key_is_sent_once_more(self, serve: Serve, session: requests.Session) -> None:
        """As over https."""
        server = serve(keyed(OTHER_KEY), tls=False)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), allow_http=[HERE])
        assert statuses(session.get(server.url(), auth=auth)) == [401, 200]

    def test_through_a_proxy_it_is_refused(
        self, serve: Serve, session: requests.Session, key_env: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The proxy would read the key."""
        monkeypatch.setenv("http_proxy", proxy.url)
        server = serve(keyed(KEY), tls=False)
        with pytest.raises(InsecureTransportError, match="NO_PROXY=localhost"):
            session.get(server.url(), auth=BearerEnvAuth(key_env, allow_http=[HERE]))
        assert proxy.seen == []

    def test_a_new_key_is_not_sent_through_a_proxy_given_to_requests(
        self, serve: Serve, session: requests.Session, proxy: Proxy
    ) -> None:
        """The first try cannot know of it, as is documented; the second one does."""
        server = serve(keyed(OTHER_KEY), tls=False)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), allow_http=[HERE])
        assert statuses(session.get(server.url(), auth=auth, proxies={"http": proxy.url})) == [401]
        assert len(proxy.seen) == 1


class TestHttps:
    """TLS to the very end."""

    def test_a_proxy_sees_no_key(
        self, serve: Serve, session: requests.Session, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It tunnels, and so does the second try."""
        monkeypatch.setenv("https_proxy", proxy.url)
        server = serve(keyed(OTHER_KEY))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
        assert statuses(session.get(server.url(), auth=auth)) == [401, 200]
        session.close()  # or the tunnel would stay, and the proxy with it
        assert proxy.seen
        assert all(head.startswith("CONNECT ") and "Bearer" not in head for head in proxy.seen)

    def test_a_wrong_certificate_gets_no_key(self, serve: Serve, key_env: str) -> None:
        """Requests checks it before anything is sent; the error is requests' own."""
        server = serve(keyed(KEY))
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(server.url(), auth=BearerEnvAuth(key_env), timeout=10)
        assert server.seen == []

    def test_a_certificate_for_another_name_gets_no_key(
        self, authority: Authority, session: requests.Session, key_env: str
    ) -> None:
        """The name is part of the certificate's check."""
        with Server(keyed(KEY), authority.context("tgw.example")) as server:
            with pytest.raises(requests.exceptions.SSLError):
                session.get(server.url(), auth=BearerEnvAuth(key_env))
            assert server.seen == []

    def test_a_host_that_is_not_named_is_not_reached(
        self, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """``hosts=`` binds the key."""
        server = serve(keyed(KEY))
        auth = BearerEnvAuth(key_env, hosts=[HERE])
        with pytest.raises(UntrustedHostError):
            session.get(server.url(host=THERE), auth=auth)
        assert server.seen == []
        assert session.get(server.url(host=HERE), auth=auth).status_code == 200
