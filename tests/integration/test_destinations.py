"""Where the key goes, over real sockets: redirects, netrc, proxies, plain HTTP, wrong certificates."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from requests_bearer_env import BearerEnvAuth, InsecureTransportError, UntrustedHostError
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
    always,
    authorizations,
    keyed,
    netrc,
    redirect,
    redirecting,
    routed,
    statuses,
)


class TestRedirect:
    """Whether the key is sent after redirects: requests drops the header across origins."""

    def test_within_an_origin_the_key_stays(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """Requests decides about the header here, and the auth does not interfere."""
        server = serve(routed("/", redirect(lambda: "/there"), keyed(KEY)))
        assert statuses(session.get(server.url(), auth=BearerEnvAuth(key_env))) == [302, 200]
        assert authorizations(server) == [OLD, OLD]

    @pytest.mark.parametrize("host", [HERE, THERE], ids=["another port", "another host"])
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_another_origin_gets_no_key(
        self, host: str, status: int, serve: Serve, session: requests.Session, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The key is not put back even if it has changed and the other origin refuses the request; the log says so."""
        caplog.set_level(logging.DEBUG, "requests_bearer_env")
        here, there = redirecting(serve, keyed(OTHER_KEY), host=host, status=status)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
        assert statuses(session.post(here.url(host=HERE), data=b"x", auth=auth)) == [status, 401]
        assert authorizations(there) == [None]
        origin = there.url(host=host).rstrip("/")
        message = "no key is put back along this redirect chain: it may not be sent to {}, or not through this proxy"
        assert caplog.messages == [message.format(origin)]

    @pytest.mark.parametrize("hosts", [None, [HERE]])
    def test_a_redirect_back_gets_no_key(
        self, hosts: list[str] | None, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """The other origin chose the URL, so the header that requests dropped is not put back."""
        here = serve(routed("/", redirect(lambda: there.url(host=THERE), 307), keyed(KEY)))
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

    def test_a_redirect_by_a_named_host_is_trusted(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """A host that ``hosts=`` names may choose the next URL, too."""
        last = serve(keyed(KEY))
        here, there = redirecting(serve, redirect(lambda: last.url(host=HERE)))
        auth = BearerEnvAuth(key_env, hosts=[HERE, THERE])
        assert session.get(here.url(host=HERE), auth=auth).status_code == 200
        assert (authorizations(there), authorizations(last)) == ([None], [None, OLD])

    def test_a_cached_key_that_is_refused_is_replaced(self, serve: Serve, session: requests.Session) -> None:
        """Each key is sent there once: the cached one, and the one that the provider returns now."""
        here, there = redirecting(serve, keyed(OTHER_KEY))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600, hosts=[HERE, THERE])
        assert session.get(here.url(host=HERE), auth=auth).status_code == 200
        assert authorizations(there) == [None, OLD, NEW]

    def test_a_named_host_gets_two_keys_at_most(self, serve: Serve, session: requests.Session) -> None:
        """The provider may return another key at each call, and the server may refuse each of them."""
        here, there = redirecting(serve, always(401))
        auth = BearerEnvAuth(provider=Vault(*(f"key-{number}" for number in range(9))), hosts=[HERE, THERE])
        assert session.get(here.url(host=HERE), auth=auth).status_code == 401
        assert authorizations(there) == [None, "Bearer key-1", "Bearer key-2"]

    @pytest.mark.parametrize(("accepted", "status"), [(KEY, 200), ("another", 401)])
    def test_a_named_host_gets_the_key_once(
        self, accepted: str, status: int, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """``hosts=`` states trust: after the 401 to the request without a header, the key is sent, with the body."""
        here, there = redirecting(serve, keyed(accepted), status=307)
        auth = BearerEnvAuth(key_env, hosts=[HERE, THERE])
        assert session.post(here.url(), data=b"body", auth=auth).status_code == status
        assert authorizations(there) == [None, OLD]
        assert [request.body for request in there.seen] == [b"body", b"body"]

    def test_an_unnamed_port_gets_no_key(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """A pattern with a port names that port only."""
        here, there = redirecting(serve, keyed(KEY), host=HERE)
        session.get(here.url(), auth=BearerEnvAuth(key_env, hosts=[f"{HERE}:{here.server_port}"]))
        assert authorizations(there) == [None]

    @pytest.mark.parametrize(
        ("tls", "options"),
        [((True, False), {"hosts": [HERE]}), ((False, True), {"allow_http": [HERE]})],
        ids=["to plain HTTP", "from plain HTTP"],
    )
    def test_another_scheme_is_another_origin(
        self, tls: tuple[bool, bool], options: dict[str, Any], serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """``hosts=`` does not permit plain HTTP, and ``allow_http=`` does not make a redirect trusted."""
        there = serve(keyed(KEY), tls=tls[1])
        here = serve(redirect(lambda: there.url(host=HERE)), tls=tls[0])
        session.get(here.url(host=HERE), auth=BearerEnvAuth(key_env, **options))
        assert authorizations(here) == [OLD]
        assert authorizations(there) == [None]

    def test_after_a_plain_http_hop_no_key_is_sent(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """Anyone on the network path could have written that redirect, even if ``hosts=`` names the host."""
        here = serve(routed("/start", redirect(lambda: plain.url("/x", host=HERE), 307), keyed(KEY)))
        plain = serve(redirect(lambda: here.url("/v1/internal/unload", host=HERE), 307), tls=False)
        auth = BearerEnvAuth(key_env, hosts=HERE)
        assert statuses(session.post(here.url("/start", host=HERE), data=b"x", auth=auth)) == [307, 307, 401]
        assert authorizations(here) == [OLD, None]

    def test_an_allowed_plain_http_hop_is_trusted(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """The plain HTTP URL is another origin and gets no key, but the redirect back to https is trusted."""
        here = serve(routed("/start", redirect(lambda: plain.url("/x", host=HERE)), keyed(KEY)))
        plain = serve(redirect(lambda: here.url("/back", host=HERE)), tls=False)
        auth = BearerEnvAuth(key_env, hosts=HERE, allow_http=HERE)
        assert statuses(session.get(here.url("/start", host=HERE), auth=auth)) == [302, 302, 200]
        assert authorizations(here) == [OLD, None, OLD]
        assert authorizations(plain) == [None]

    @pytest.mark.parametrize("status", [200, 401, 403, 500])
    def test_an_untrusted_hosts_answer_ends_the_trust(
        self, status: int, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """The host may answer anything first, and redirect when another hook sends the request again."""

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
        here = serve(routed("/", redirect(lambda: there.url(host=THERE), 307), keyed(KEY)))
        auth = BearerEnvAuth(key_env, hosts=HERE)
        response = session.get(here.url(host=HERE), auth=auth, hooks={"response": sending_again})
        assert response.status_code == 401
        assert authorizations(here) == [OLD, None]

    def test_an_untrusted_host_repeats_a_redirect(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """A redirect to a URL gets no key, even if a trusted host has redirected there before."""

        def app(request: Request) -> Reply:
            first = len(there.seen) == 1
            return (redirect(lambda: untrusted.url(host=THERE), 307) if first else keyed(KEY))(request)

        here = serve(redirect(lambda: there.url("/x", host=HERE), 307))
        there = serve(app)
        untrusted = serve(redirect(lambda: there.url("/x", host=HERE), 307))
        auth = BearerEnvAuth(key_env, hosts=HERE)
        assert statuses(session.post(here.url(host=HERE), data=b"x", auth=auth)) == [307, 307, 307, 401]
        assert authorizations(there) == [None, None]

    def test_a_resent_request_has_its_own_origin(self, serve: Serve, session: requests.Session) -> None:
        """The place that the program asked for is another origin for a request that was resent after a redirect."""

        def app(request: Request) -> Reply:
            refused = len(there.seen) == 1
            return Reply(401) if refused else (always(200) if len(there.seen) == 2 else back)(request)

        back = redirect(lambda: here.url("/chosen", host=HERE))
        here = serve(routed("/", redirect(lambda: there.url(host=THERE)), keyed(OTHER_KEY)), tls=False)
        there = serve(app)
        auth = BearerEnvAuth(provider=Vault(KEY, KEY, OTHER_KEY), hosts=[HERE, THERE], allow_http=HERE)
        request = session.get(here.url(host=HERE), auth=auth).request
        assert statuses(session.send(request)) == [302, 401]
        assert authorizations(here) == [OLD, None]
        assert authorizations(there) == [None, OLD, OLD]

    def test_pending_redirects_are_remembered(self, serve: Serve, session: requests.Session, key_env: str) -> None:
        """Threads may send one prepared request, which has one hook, and follow its redirects at the same time."""
        here, there = redirecting(serve, keyed(KEY))
        auth = BearerEnvAuth(key_env, hosts=[HERE, THERE])
        request = session.prepare_request(requests.Request("GET", here.url(host=HERE), auth=auth))
        pending = [session.send(request, allow_redirects=False).next for _ in range(2)]
        assert [session.send(target).status_code for target in pending if target is not None] == [200, 200]
        assert authorizations(there) == [None, OLD] * 2

    @pytest.mark.parametrize("answer", ["a refusal", "a redirect back"])
    def test_a_kept_header_gets_no_new_key(self, answer: str, serve: Serve, ca: str) -> None:
        """A session that keeps the header on every redirect sends no new key after an untrusted host's answer."""

        class Keeping(requests.Session):
            def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
                """Leave the header where it is, as recipes on the web do."""

        back = redirect(lambda: here.url("/chosen", host=HERE))
        here = serve(routed("/", redirect(lambda: there.url(host=THERE)), keyed(OTHER_KEY)))
        there = serve(keyed(OTHER_KEY) if answer == "a refusal" else back)
        with Keeping() as session:
            auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
            assert session.get(here.url(host=HERE), auth=auth, verify=ca).status_code == 401
        assert {*authorizations(here), *authorizations(there)} == {OLD}

    @pytest.mark.parametrize("hosts", [None, HERE])
    @pytest.mark.parametrize("chosen", ["/chosen", "/chosen/without/slash", "/start", "/next"])
    def test_a_copying_adapter_leaks_no_key(
        self, chosen: str, hosts: str | None, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """The hook stays on the request that was copied, but sends no key, because an untrusted host chose the URL."""

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
    def test_every_form_of_location_is_recognised(
        self, location: str, serve: Serve, session: requests.Session, key_env: str
    ) -> None:
        """This session drops the header on a redirect; the hook sends the key again for every spelling of the URL."""

        class Forgetting(requests.Session):
            def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
                prepared_request.headers.pop("Authorization", None)

        there = redirect(lambda: location.format(host=f"{HERE}:{here.server_port}"))
        here = serve(routed("/", there, keyed(KEY)))
        with Forgetting() as forgetting:
            forgetting.verify = session.verify
            assert forgetting.get(here.url(), auth=BearerEnvAuth(key_env)).status_code == 200
        assert authorizations(here) == [OLD, None, OLD]

    def test_a_redirect_after_a_retry_has_the_new_key(self, serve: Serve, session: requests.Session) -> None:
        """Requests follows the redirect with the header of the first request, and the 401 there is retried, too."""

        def app(request: Request) -> Reply:
            reply = keyed(OTHER_KEY)(request)
            return redirect(lambda: "/there")(request) if reply.status == 200 and request.target == "/" else reply

        server = serve(app)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), ttl=3600)
        assert session.get(server.url(), auth=auth).status_code == 200
        assert authorizations(server) == [OLD, NEW, OLD, NEW]


class TestNetrc:
    """A refused netrc login is answered with the key only where a redirect may get the key."""

    def test_a_refused_netrc_login_attracts_no_key(self, serve: Serve, session: requests.Session, home: Path) -> None:
        """On a redirect across origins requests sends the netrc login; its refusal is not answered with the key."""
        netrc(home, THERE)
        here, there = redirecting(serve, keyed(OTHER_KEY))
        session.get(here.url(), auth=BearerEnvAuth(provider=Vault(KEY, OTHER_KEY)))
        (seen,) = authorizations(there)
        assert str(seen).startswith("Basic ")

    def test_within_an_origin_the_key_replaces_netrc(
        self, serve: Serve, session: requests.Session, key_env: str, home: Path
    ) -> None:
        """On a redirect requests replaces the key with the netrc login; after a 401 the key is sent again."""
        netrc(home, HERE)
        server = serve(routed("/", redirect(lambda: "/there"), keyed(KEY)))
        assert session.get(server.url(), auth=BearerEnvAuth(key_env)).status_code == 200
        first, second, third = authorizations(server)
        assert (first, third) == (OLD, OLD)
        assert str(second).startswith("Basic ")

    def test_a_netrc_login_set_by_hand_is_left_alone(
        self, serve: Serve, session: requests.Session, key_env: str, home: Path
    ) -> None:
        """No redirect put the login there, so its refusal is the program's."""
        netrc(home, HERE)
        server = serve(keyed(KEY))
        request = session.prepare_request(requests.Request("GET", server.url(), auth=BearerEnvAuth(key_env)))
        request.prepare_auth(requests.utils.get_netrc_auth(server.url()))
        assert statuses(session.send(request)) == [401]
        assert len(server.seen) == 1

    @pytest.mark.parametrize("entry", [False, True])
    def test_a_header_set_on_a_redirect_is_left_alone(
        self, entry: bool, serve: Serve, ca: str, key_env: str, home: Path
    ) -> None:
        """A session may set its own header on a redirect; only a refused netrc login is answered with the key."""

        class Replacing(requests.Session):
            def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
                prepared_request.headers["Authorization"] = NEW

        if entry:
            netrc(home, HERE)
        server = serve(routed("/", redirect(lambda: "/there"), keyed(KEY)))
        with Replacing() as session:
            assert session.get(server.url(), auth=BearerEnvAuth(key_env), verify=ca).status_code == 401
        assert authorizations(server) == [OLD, NEW]


class TestPlainHttp:
    """Plain HTTP is possible to named hosts only, and only directly."""

    def test_an_allowed_host_gets_the_key(self, serve: Serve, session: requests.Session) -> None:
        """``allow_http=`` permits the first request and the retry with a rotated key."""
        server = serve(keyed(OTHER_KEY), tls=False)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), allow_http=["127.0.0.1", "localhost"])
        assert statuses(session.get(server.url(host=THERE), auth=auth)) == [401, 200]

    def test_plain_http_through_a_proxy_raises(
        self, serve: Serve, session: requests.Session, key_env: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy would read the key, so nothing is sent if the environment names one."""
        monkeypatch.setenv("http_proxy", proxy.url)
        server = serve(keyed(KEY), tls=False)
        with pytest.raises(InsecureTransportError, match="NO_PROXY=localhost"):
            session.get(server.url(), auth=BearerEnvAuth(key_env, allow_http=[HERE]))
        assert proxy.seen == []

    def test_no_retry_through_a_proxy_argument(self, serve: Serve, session: requests.Session, proxy: Proxy) -> None:
        """``proxies=`` is unknown when the request is prepared; the hook sees it and sends no new key."""
        server = serve(keyed(OTHER_KEY), tls=False)
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY), allow_http=[HERE])
        assert statuses(session.get(server.url(), auth=auth, proxies={"http": proxy.url})) == [401]
        assert len(proxy.seen) == 1


class TestHttps:
    """A key over https is readable to the server alone."""

    def test_a_proxy_sees_no_key(
        self, serve: Serve, session: requests.Session, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first request and the retry each open a tunnel, because the refusal closes the connection."""
        monkeypatch.setenv("https_proxy", proxy.url)
        server = serve(keyed(OTHER_KEY, refusal=Reply(401, headers=(("Connection", "close"),))))
        auth = BearerEnvAuth(provider=Vault(KEY, OTHER_KEY))
        assert statuses(session.get(server.url(), auth=auth)) == [401, 200]
        session.close()  # or the tunnel would stay, and the proxy with it
        assert len(proxy.seen) == 2
        assert all(head.startswith("CONNECT ") and "Bearer" not in head for head in proxy.seen)

    @pytest.mark.parametrize(("name", "trusted"), [("localhost", False), ("tgw.example", True)])
    def test_a_wrong_certificate_gets_no_key(
        self, name: str, trusted: bool, serve: Serve, session: requests.Session, key_env: str, ca: str
    ) -> None:
        """Requests checks the authority and the name before it sends anything, and raises its own error."""
        session.verify = ca if trusted else True
        server = serve(keyed(KEY), names=(name,))
        with pytest.raises(requests.exceptions.SSLError):
            session.get(server.url(), auth=BearerEnvAuth(key_env))
        assert server.seen == []


@pytest.mark.parametrize(("tls", "error"), [(False, InsecureTransportError), (True, UntrustedHostError)])
def test_a_forbidden_url_is_not_connected_to(
    tls: bool, error: type[Exception], serve: Serve, session: requests.Session, key_env: str
) -> None:
    """Neither the key nor the body is sent to plain HTTP, or to a host that ``hosts=`` does not name."""
    server = serve(keyed(KEY), tls=tls)
    with pytest.raises(error):
        session.post(server.url(host=THERE), data=b"secret prompt", auth=BearerEnvAuth(key_env, hosts=[HERE]))
    assert server.seen == []
