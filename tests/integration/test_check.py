"""What `diagnose` says of real servers: refusing, redirecting, slow, expired, out of time, not speaking HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import pytest
import requests
from cryptography import x509
from requests.adapters import HTTPAdapter

from requests_bearer_env import BearerEnvAuth
from requests_bearer_env.demo.server import Authority, Reply, Request, Server
from requests_bearer_env.doctor import Check, diagnose
from requests_bearer_env.doctor.network import Probe, _clock
from tests.helpers import KEY, OTHER_KEY, Serve, always, authorizations, keyed


class Raw(Server):
    """Answers each request with bytes, whether they are HTTP or not."""

    def __init__(self, answer: Callable[[bytes], Iterator[bytes]], authority: Authority | None) -> None:
        super().__init__(lambda _: Reply(500), authority.context("localhost", "127.0.0.1") if authority else None)
        self.answer = answer

    def finish_request(self, request: Any, client_address: Any) -> None:
        head = request.recv(65536)
        if head:  # the doctor's first connection is there for the certificate
            for piece in self.answer(head):
                request.sendall(piece)


RawServe = Callable[..., Server]


@pytest.fixture
def raw(authority: Authority) -> Iterator[RawServe]:
    """Start servers that answer with bytes: ``raw(b"HTTP/1.1 200 OK")``."""
    with ExitStack() as stack:

        def start(*pieces: bytes, tls: bool = True) -> Server:
            return stack.enter_context(Raw(lambda _: iter(pieces), authority if tls else None))

        yield start


@pytest.fixture
def tunnel() -> Iterator[Server]:
    """A proxy that lets everything through, to this machine."""

    def answer(head: bytes) -> Iterator[bytes]:
        yield from ()

    class Tunnel(Raw):
        def finish_request(self, request: Any, client_address: Any) -> None:
            target = request.recv(65536).split()[1].decode()
            with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as server:
                request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, request))
                back.start()
                pump(request, server)
                back.join()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):  # also after a reset, which an unread body makes of a close
            target.shutdown(socket.SHUT_WR)

    with Tunnel(answer, None) as server:
        yield server


@pytest.fixture(autouse=True)
def _trusted(ca: str, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of someone whose server has a CA of its own."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca)


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def checked(url: str, **options: Any) -> dict[str, Check]:
    """The checks of a key in a variable, by their names."""
    rules = {name: options.pop(name) for name in ("hosts", "allow_http") if name in options}
    auth = BearerEnvAuth("TGW_API_KEY", **rules)
    checks = diagnose(auth, url, **options)
    found = {check.name: check for check in checks}
    assert len(found) == len(checks)
    assert all(check.remedy for check in checks if check.status != "ok")
    assert not any(check.remedy for check in checks if check.status == "ok")
    return found


def answered(serve: Serve, status: int, *headers: tuple[str, str], **options: Any) -> Check:
    """The check of a request that a server answers so."""

    def app(_: Request) -> Reply:
        return Reply(status, b"", headers)

    return checked(serve(app).url("/v1/models"), **options)["request"]


def date(seconds: float) -> bytes:
    """A Date header, so many seconds from now."""
    when = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return b"Date: " + format_datetime(when, usegmt=True).encode()


def pieces_of_key(text: str) -> list[str]:
    """What of the key is in a text, in pieces of eight characters."""
    return [KEY[at : at + 8] for at in range(len(KEY) - 7) if KEY[at : at + 8].lower() in text.lower()]


# All is well


def test_a_server_that_takes_the_key_is_ok(serve: Serve) -> None:
    """Everything is looked at, in order, and nothing is wrong."""
    server = serve(keyed(KEY))
    found = checked(server.url("/v1/models"))
    assert [(check.name, check.status) for check in found.values()] == [
        ("key", "ok"),
        ("header", "ok"),
        ("url", "ok"),
        ("request", "ok"),
        ("clock", "ok"),
    ]
    assert found["request"].detail == "GET answered 200 OK: the server accepts the key, or asks for none"
    assert found["clock"].detail == "within 30 s of the server's"
    assert authorizations(server) == [f"Bearer {KEY}"]


def test_the_request_is_the_users_own(serve: Serve) -> None:
    """Method, path and query are those that were given; there is no body."""
    server = serve(keyed(KEY))
    checked(server.url("/v1/models?page=2"), method="delete")
    (request,) = server.seen
    assert (request.method, request.target, request.body) == ("DELETE", "/v1/models?page=2", b"")


# url


def test_the_certificate_tells_its_days(serve: Serve) -> None:
    """The days that a verified certificate has left are shown."""
    server = serve(keyed(KEY), not_after=datetime.now(timezone.utc) + timedelta(days=61.5))
    check = checked(server.url("/v1/models"))["url"]
    assert check.status == "ok"
    assert check.detail == f"{server.url('/v1/models')}: reached, and its certificate is verified and has 61 days left"


@pytest.mark.parametrize(
    ("days", "status", "remedy"), [(13.9, "warn", "have the certificate renewed"), (14.1, "ok", "")]
)
def test_a_certificate_that_ends_soon_warns(days: float, status: str, remedy: str, serve: Serve) -> None:
    """Two weeks before its end somebody should renew a certificate; the request is sent all the same."""
    server = serve(keyed(KEY), not_after=datetime.now(timezone.utc) + timedelta(days=days))
    found = checked(server.url())
    assert (found["url"].status, found["url"].remedy) == (status, remedy)
    assert found["request"].status == "ok"


def unreached(url: str, **options: Any) -> tuple[str, str]:
    """What is said of a URL that no request is sent to."""
    found = checked(url, **options)
    assert found["url"].status == "fail"
    assert "request" not in found
    assert "clock" not in found
    return found["url"].detail, found["url"].remedy


def test_an_expired_certificate_fails(serve: Serve) -> None:
    """An expired certificate is told as that, and the key stays here."""
    server = serve(keyed(KEY), not_after=datetime.now(timezone.utc) - timedelta(days=1))
    assert unreached(server.url())[0] == f"{server.url()}: the server's certificate has expired"
    assert server.seen == []


def test_a_certificate_for_another_name_fails(serve: Serve) -> None:
    """A host name that the certificate is not for is told as that."""
    server = serve(keyed(KEY), names=("elsewhere.example",))
    assert unreached(server.url())[0] == f"{server.url()}: the server's certificate is for another host name"


def test_a_certificate_for_another_address_fails(serve: Serve) -> None:
    """An address in the URL has to be in the certificate."""
    url = serve(keyed(KEY), names=("localhost",)).url(host="127.0.0.1")
    assert unreached(url)[0] == f"{url}: the server's certificate is not for that address"


@pytest.mark.parametrize("bundle", ["", "{tmp}"])
def test_a_certificate_of_an_unknown_authority_fails(
    bundle: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the authority's certificate, in a file or a directory of them, the server's is nobody's."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle.format(tmp=tmp_path))
    detail, remedy = unreached(serve(keyed(KEY)).url())
    assert "does not come from an authority that requests trusts" in detail
    assert "REQUESTS_CA_BUNDLE" in remedy


def test_a_directory_of_authorities_is_one(
    serve: Serve, ca: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE may be a directory, whose files OpenSSL finds by the hash of their subject."""
    certificate = x509.load_pem_x509_certificate(Path(ca).read_bytes())
    canonical = b""
    for attribute in certificate.subject:
        value = attribute.value.encode() if isinstance(attribute.value, str) else attribute.value
        inner = bytes([6, 3, 0x55, 4, int(attribute.oid.dotted_string.split(".")[3]), 12, len(value)]) + value.lower()
        canonical += bytes([0x31, len(inner) + 2, 0x30, len(inner)]) + inner
    subject = int.from_bytes(hashlib.sha1(canonical).digest()[:4], "little")
    (tmp_path / f"{subject:08x}.0").write_bytes(Path(ca).read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert checked(serve(keyed(KEY)).url())["url"].status == "ok"


@pytest.mark.parametrize("name", ["missing.pem", "empty.pem"])
def test_an_unusable_bundle_fails(name: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is missing or no certificates is told as that, not as the server's fault."""
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / name))
    detail, remedy = unreached(serve(keyed(KEY)).url())
    assert detail.endswith("the file of trusted CAs that the environment names cannot be used")
    assert remedy == "correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"


def test_a_refused_connection_fails(unused_port: int) -> None:
    """A port that nothing listens on is told as that."""
    assert unreached(f"https://127.0.0.1:{unused_port}/")[0].endswith(": nothing listens on that port")


def test_an_unknown_name_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is told as that."""

    def unknown(*_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert unreached("https://tgw.local/v1")[0] == "https://tgw.local/v1: the host's name is not known"


def test_a_name_that_cannot_be_one_fails() -> None:
    """A label of more than 63 letters, which no resolver takes, is an unknown name as well."""
    detail, _ = unreached(f"https://{'a' * 64}.example/")
    assert detail.endswith(": the host's name is not known")


@pytest.mark.parametrize(
    ("url", "address"), [("https://[::1]:5000/", ("::1", 5000)), ("https://tgw.local/", ("tgw.local", 443))]
)
def test_the_host_and_port_of_the_url_are_connected_to(
    url: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of IPv6 has no brackets for a socket, https has a port of its own, and the time is limited."""
    seen: list[tuple[tuple[str, int], float]] = []

    def connect(address: tuple[str, int], timeout: float) -> Any:
        seen.append((address, timeout))
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    unreached(url, timeout=7)
    unreached(url)
    assert seen == [(address, 7), (address, 10)]


def test_a_name_with_a_dot_at_its_end_is_verified_without(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """No certificate names the root of the DNS."""
    look_up = socket.getaddrinfo

    def without_dns(_host: Any, *arguments: Any, **options: Any) -> Any:
        return look_up("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", without_dns)
    assert checked(serve(keyed(KEY)).url(host="localhost."))["url"].status == "ok"


def test_a_key_in_the_path_is_not_shown(serve: Serve) -> None:
    """Wherever somebody has put it."""
    assert not pieces_of_key(repr(checked(serve(keyed(KEY)).url(f"/v1/{quote(KEY, safe='')}"))))


def test_a_slow_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of a name, which has no timeout of its own, ends with the time there is."""
    done = threading.Event()

    def slow(*_: Any) -> Any:
        done.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    before = threading.enumerate()
    assert unreached("https://tgw.local/", timeout=0.2)[0].endswith(": there was no answer within 0.2 s")
    left = [thread for thread in threading.enumerate() if thread not in before]
    assert [thread.daemon for thread in left] == [True], "or the process would wait for it at its end"
    done.set()


def test_a_port_without_tls_fails(serve: Serve) -> None:
    """An http server behind an https URL is told as that."""
    url = serve(keyed(KEY), tls=False).url().replace("http:", "https:")
    assert unreached(url)[0].endswith(
        (": no TLS connection comes about", ": the server closed the connection without an answer")
    )


def test_plain_http_is_refused(serve: Serve) -> None:
    """What a request would be refused is refused here, with the same words."""
    server = serve(keyed(KEY), tls=False)
    detail, remedy = unreached(server.url())
    assert detail.endswith("because plain HTTP shows it to everyone on the way")
    assert remedy.startswith("use https://")
    assert server.seen == []


def test_plain_http_may_be_allowed(serve: Serve) -> None:
    """Where allow_http names the host there is no certificate to speak of."""
    server = serve(keyed(KEY), tls=False)
    found = checked(server.url("/v1"), allow_http="localhost")
    assert found["url"].detail == f"{server.url('/v1')}: reached, in clear, as allow_http= permits for this host"
    assert found["request"].status == "ok"


def test_a_host_that_is_not_named_is_refused(serve: Serve) -> None:
    """A host that hosts= does not name is not even connected to."""
    server = serve(keyed(KEY))
    detail, remedy = unreached(server.url(), hosts=["api.example.com"])
    assert "because hosts= names only api.example.com" in detail
    assert remedy.startswith("correct the URL")


@pytest.mark.parametrize("url", ["tgw.local/v1", "https://", "https://[::1", "https://*.example/"])
def test_a_url_that_is_none_fails(url: str) -> None:
    """What requests makes no URL of is not repeated."""
    assert unreached(url) == ("requests cannot make sense of the URL", "write it as https://host/path")


@pytest.mark.parametrize("url", ["ftp://hunter2@host/", "tgw.local:5000/hunter2", f"x:{KEY}", "file:///hunter2"])
def test_a_url_of_another_kind_fails(url: str) -> None:
    """Neither a URL that is not http nor what was taken for one is repeated."""
    detail, remedy = unreached(url)
    assert detail == "the key was not sent because the URL has no https:// and plain host name"
    assert remedy == "correct the URL"


def test_the_url_is_shown_without_its_secrets(serve: Serve) -> None:
    """User, password and query may be secret."""
    url = serve(keyed(KEY)).url("/v1/models?key=hunter2#hunter2").replace("//", "//user:hunter2@")
    assert "hunter2" not in repr(checked(url))


def test_without_a_key_no_request_is_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is looked at without a key, too, but nothing is asked."""
    monkeypatch.delenv("TGW_API_KEY")
    server = serve(keyed(KEY))
    assert {name: check.status for name, check in checked(server.url()).items()} == {"key": "fail", "url": "ok"}
    assert server.seen == []


def test_a_placeholder_is_not_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is none has no business on the way."""
    monkeypatch.setenv("TGW_API_KEY", "changeme")
    server = serve(keyed(KEY))
    assert list(checked(server.url())) == ["key", "header", "url"]
    assert server.seen == []


# The statuses


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (204, "ok", "204 No Content: the server accepts the key"),
        (304, "fail", "304 Not Modified: that is no answer to a request"),
        (400, "warn", "400 Bad Request: by its status the server finds fault with the request"),
        (401, "fail", "401 Unauthorized: the server does not accept the key"),
        (403, "fail", "403 Forbidden: not a 401: the server knows the key, but it may not do this"),
        (404, "fail", "404 Not Found: there is nothing at that path"),
        (405, "warn", "405 Method Not Allowed: the path does not take that method"),
        (407, "fail", "407 Proxy Authentication Required: a proxy wants credentials of its own"),
        (429, "warn", "429 Too Many Requests: the key has used up what it may"),
        (499, "warn", "499: by its status the server finds fault with the request"),
        (500, "fail", "500 Internal Server Error: the server failed"),
        (503, "fail", "503 Service Unavailable: the server failed"),
        (599, "fail", "599: the server failed"),
        (999, "fail", "999: that is no answer to a request"),
    ],
)
def test_a_status_is_told_in_words(status: int, verdict: str, words: str, serve: Serve) -> None:
    """Each status says what it means for the key."""
    check = answered(serve, status)
    assert check.status == verdict
    assert check.detail.startswith(f"GET answered {words}")


def test_a_missing_path_has_a_remedy(serve: Serve) -> None:
    """A 404 points to where these APIs are."""
    assert "/v1/models" in answered(serve, 404).remedy


# The challenges


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        ('Bearer error="invalid_token"', "its reason is invalid_token, so the key is expired, revoked or wrong"),
        ("Bearer error=invalid_token", "its reason is invalid_token, so the key is expired, revoked or wrong"),
        ('bearer realm="a, b", ERROR = "invalid_request"', "its reason is invalid_request, so the request is"),
        ('Basic realm="x", Bearer error="invalid_token"', "its reason is invalid_token, so"),
        ('Bearer error="teapot"', 'its reason is "teapot"'),
        ('Bearer error_description="It \\"has\\" expired"', 'it says "It "has" expired"'),
        ('Bearer scope="read write"', 'it wants the scope "read write"'),
        ('Bearer error="invalid_token", error_description="Late"', 'expired, revoked or wrong; it says "Late"'),
        ('Basic realm="x"', "it asks for basic, not for Bearer"),
        ("Negotiate", "it asks for negotiate, not for Bearer"),
    ],
)
def test_a_challenge_is_told_in_words(challenge: str, words: str, serve: Serve) -> None:
    """What the server gives as its reason is told (RFC 6750 section 3)."""
    check = answered(serve, 401, ("WWW-Authenticate", challenge))
    assert check.status == "fail"
    assert f"; {words}" in check.detail or words in check.detail.partition("; ")[2]


@pytest.mark.parametrize(
    "challenge", ["", "Bearer", "Bearer abcdef==", 'Basic error="invalid_token", Bearer', '="', '"', ",,,", "\\"]
)
def test_a_challenge_without_a_reason_adds_nothing(challenge: str, serve: Serve) -> None:
    """A parameter counts only in the challenge it belongs to, and garbage is none."""
    detail = answered(serve, 401, ("WWW-Authenticate", challenge)).detail
    assert detail == "GET answered 401 Unauthorized: the server does not accept the key"


def test_several_challenges_are_one(serve: Serve) -> None:
    """A header that comes twice is read as one."""
    check = answered(serve, 401, ("WWW-Authenticate", "Basic"), ("WWW-Authenticate", 'Bearer error="invalid_token"'))
    assert "its reason is invalid_token" in check.detail
    assert "not for Bearer" not in check.detail


def test_the_first_of_two_parameters_counts(serve: Serve) -> None:
    """A parameter that comes twice cannot hide the first."""
    check = answered(serve, 401, ("WWW-Authenticate", 'Bearer error="invalid_token", error="other"'))
    assert "invalid_token" in check.detail
    assert "other" not in check.detail


def test_a_missing_right_is_told(serve: Serve) -> None:
    """A 403 names the scope that the key lacks."""
    challenge = 'Bearer error="insufficient_scope", scope="models:write"'
    check = answered(serve, 403, ("WWW-Authenticate", challenge))
    assert check.detail.endswith(
        "; its reason is insufficient_scope, so the key lacks a right that is needed here; "
        'it wants the scope "models:write"'
    )


def test_a_403_does_not_ask_for_another_scheme(serve: Serve) -> None:
    """A 403 is no question for credentials, so the scheme is not told."""
    assert "not for Bearer" not in answered(serve, 403, ("WWW-Authenticate", "Basic")).detail


def test_a_challenge_of_another_answer_is_not_told(serve: Serve) -> None:
    """What comes with a 200 is no reason."""
    assert "reason" not in answered(serve, 200, ("WWW-Authenticate", 'Bearer error="invalid_token"')).detail


def test_an_endless_challenge_is_cut(serve: Serve) -> None:
    """A header of the length that http.client takes is read in no time, and cut."""
    start = time.process_time()
    detail = answered(serve, 401, ("WWW-Authenticate", "Bearer " + 'error_description="' * 3400)).detail
    assert len(detail) < 500
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        KEY.upper(),
        KEY.lower(),
        quote(KEY, safe=""),
        KEY[:30],
        KEY[-30:],
        f"Bearer {KEY}",
        KEY.replace("~", "\x00"),
    ],
)
@pytest.mark.parametrize("where", ['Bearer error="{}"', 'Bearer error_description="{}"', 'Bearer scope="{}"', "{}"])
def test_a_key_that_the_server_repeats_is_hidden(echo: str, where: str, raw: RawServe) -> None:
    """Whatever of the key a server repeats is not shown."""
    server = raw(f"HTTP/1.1 401 {KEY}\r\nWWW-Authenticate: {where.format(echo)}\r\n\r\n".encode("latin-1"))
    assert not pieces_of_key(checked(server.url())["request"].detail)


@pytest.mark.parametrize(
    "location", ["https://{}.example/", "/{}", "https://x.example/{}", "?{}", "https://{}@x.example/"]
)
def test_a_key_in_a_redirect_is_hidden(location: str, serve: Serve) -> None:
    """A redirect that repeats the key, in whatever part, does not show it."""
    for echo in (KEY.replace("/", "-"), quote(KEY, safe="")):
        check = answered(serve, 302, ("Location", location.format(echo)))
        assert check.status == "warn"
        assert not pieces_of_key(check.detail)


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b31mred", "a\tb", "\xe9", "\x7f\x08\x08", "z" * 3000])
def test_what_a_server_says_keeps_to_its_line(text: str, raw: RawServe) -> None:
    """Nothing that a server says reaches the terminal as a command or fills it."""
    challenge = f'Bearer error="{text}", error_description="{text}", scope="{text}"'
    server = raw(f"HTTP/1.1 401 {text}\r\nWWW-Authenticate: {challenge}\r\n\r\n".encode("latin-1"))
    detail = checked(server.url())["request"].detail
    assert detail.isascii()
    assert detail.isprintable()
    assert len(detail) < 1000


# The redirects


def test_a_redirect_on_the_same_origin_is_reported(serve: Serve) -> None:
    """The key stays with a redirect within the origin; it is not followed here."""
    server = serve(always(307, Location="/v2/models?page=1"))
    check = checked(server.url("/v1/models"))["request"]
    detail = f"GET answered 307 Temporary Redirect: redirects to {server.url('/v2/models')}"
    remedy = "use that URL itself, for a redirected POST may become a GET"
    assert check == ("request", "warn", detail, remedy)
    assert len(server.seen) == 1


@pytest.mark.parametrize("target", ["https://elsewhere.example:8443/v1", "//elsewhere.example:8443/v1"])
def test_a_redirect_to_another_origin_is_reported(target: str, serve: Serve) -> None:
    """Elsewhere the key is dropped, which is why it is refused there."""
    check = answered(serve, 302, ("Location", target))
    assert check.status == "warn"
    assert check.detail.endswith("redirects to https://elsewhere.example:8443/v1, where requests drops the key")
    assert check.remedy == "use that URL itself, if the key belongs there"


def test_a_redirect_to_another_port_is_another_origin(serve: Serve) -> None:
    """The port is part of the origin."""
    assert answered(serve, 302, ("Location", "https://localhost:1/")).detail.endswith("where requests drops the key")


def test_a_redirect_to_plain_http_is_another_origin(serve: Serve) -> None:
    """A redirect to http on the same host loses the key, and hosts= does not change that."""

    def app(request: Request) -> Reply:
        return Reply(302, b"", (("Location", f"http://{request.headers['Host']}/"),))

    server = serve(app)
    detail = checked(server.url(), hosts="localhost")["request"].detail
    assert detail.endswith(f"redirects to {server.url().replace('https', 'http')}, where requests drops the key")


def test_a_redirect_to_a_named_host_keeps_the_key(serve: Serve) -> None:
    """Where hosts= names the other host the key is sent when it is asked for."""
    check = answered(serve, 302, ("Location", "https://b.example/"), hosts=["localhost", "b.example"])
    where = "https://b.example/, where the key is sent if it is asked for, as hosts= names that host"
    detail = f"GET answered 302 Found: redirects to {where}"
    assert check == ("request", "warn", detail, "use that URL itself")


@pytest.mark.parametrize(
    "target",
    ["ftp://hunter2.example/", "javascript:hunter2()", "https://[hunter2/", "https://:99999/", "https://x:99999/"],
)
def test_a_redirect_to_nowhere_is_reported(target: str, serve: Serve) -> None:
    """A Location that is no URL is told as that, or as another origin, and never an error."""
    check = answered(serve, 302, ("Location", target))
    assert check.status == "warn"
    assert "hunter2" not in check.detail


def test_the_body_of_a_redirect_is_not_read(serve: Serve) -> None:
    """A redirect whose body never ends takes no time."""
    server = serve(always(302, (b"x" * 1000 for _ in count()), Location="/"))
    check = checked(server.url(), timeout=20)["request"]
    assert "redirects to" in check.detail


def test_a_body_is_not_read(serve: Serve) -> None:
    """An answer whose body never ends takes no time."""
    server = serve(always(200, (b"x" * 1000 for _ in count())))
    assert checked(server.url(), timeout=20)["request"].status == "ok"


# The 401 hook


def test_a_key_that_changes_meanwhile_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook sends the new key, and the 401 before it is not hidden."""

    def app(request: Request) -> Reply:
        monkeypatch.setenv("TGW_API_KEY", OTHER_KEY)
        return keyed(OTHER_KEY)(request)

    server = serve(app)
    check = checked(server.url())["request"]
    assert check.status == "warn"
    assert check.detail.startswith("GET answered 200 OK: with the key read anew, for it changed after a 401; ")
    assert check.remedy == "check again: if this stays, the key is kept longer than it is valid, so lower ttl="
    assert authorizations(server) == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}"]


def test_a_new_key_that_is_refused_as_well_fails(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second 401 is the answer, and says that it is the second."""

    def app(request: Request) -> Reply:
        monkeypatch.setenv("TGW_API_KEY", OTHER_KEY)
        return Reply(401)

    check = checked(serve(app).url())["request"]
    assert check.status == "fail"
    assert "for it changed after a 401; the server does not accept the key" in check.detail


@pytest.mark.parametrize("status", [200, 401, 403])
def test_none_of_the_keys_that_were_sent_is_repeated(status: int, serve: Serve) -> None:
    """A provider may have another key at each call; the server may repeat any of them."""
    keys = [
        f"{number}{text}" for number, text in enumerate(["abcdefghijklmnop", "qrstuvwxyzABCDEF", "GHIJKLMNOPQRSTUV"])
    ]
    coming = iter(keys)
    seen: list[str] = []

    def app(request: Request) -> Reply:
        seen.append(request.headers["Authorization"])
        echo = ("WWW-Authenticate", f'Bearer error="{" ".join(keys)}"')
        return Reply(401 if len(seen) == 1 else status, b"", (echo,))

    checks = diagnose(BearerEnvAuth(provider=lambda: next(coming)), serve(app).url())
    assert seen == [f"Bearer {key}" for key in keys[1:]]
    shown = repr(checks)
    assert not any(key[at : at + 8] in shown for key in keys for at in range(len(key) - 7))


def test_a_key_that_is_gone_at_the_request_fails(serve: Serve) -> None:
    """A provider that fails the second time is told as that; nothing is sent."""
    keys = iter([KEY, None])
    server = serve(keyed(KEY))
    checks = diagnose(BearerEnvAuth(provider=lambda: next(keys)), server.url())
    request = {check.name: check for check in checks}["request"]
    assert request.status == "fail"
    assert request.detail.startswith("there is no key to send")
    assert request.remedy == "put the key there"
    assert server.seen == []


# No answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the server closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "what answers does not speak HTTP"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "what answers does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "the answer is not proper HTTP"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000, "the answer is not proper HTTP"),
    ],
)
def test_what_is_no_answer_is_told_in_words(answer: bytes, words: str, raw: RawServe) -> None:
    """A server that hangs up or speaks something else is one sentence."""
    check = checked(raw(answer).url())["request"]
    assert check[1:3] == ("fail", f"GET: {words}")


def test_a_truncated_body_does_not_matter(raw: RawServe) -> None:
    """What comes after the headers is not waited for."""
    assert checked(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort").url())["request"].status == "ok"


def test_the_request_gets_the_time_that_is_left(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps together take no longer than they may."""
    seen: list[float] = []
    send = HTTPAdapter.send

    def spy(self: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        seen.append(options["timeout"])
        return send(self, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", spy)
    checked(serve(keyed(KEY)).url(), timeout=60)
    assert 0 < seen[0] < 60


def test_a_silent_server_is_not_waited_for(serve: Serve) -> None:
    """A server that never answers is told as that, after the time there is."""
    done = threading.Event()

    def app(_: Request) -> Reply:
        done.wait(30)
        return Reply(200)

    check = checked(serve(app).url(), timeout=0.5)["request"]
    assert check[1:3] == ("fail", "GET: there was no answer within 0.5 s")
    done.set()


def test_a_server_that_drips_is_not_waited_for(authority: Authority) -> None:
    """A header that comes letter by letter never trips a socket's timeout, but the time is limited in all."""
    done = threading.Event()

    def drip(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nx: "
        while not done.wait(0.02):
            yield b"x"

    with Raw(drip, authority) as server:
        start = time.monotonic()
        check = checked(server.url(), timeout=1)["request"]
        done.set()
    assert check[1:3] == ("fail", "GET: there was no answer within 1 s")
    assert time.monotonic() - start < 10


# clock


SET_THE_CLOCK = "set it by NTP: keys with a lifetime are refused early or late; or tell the server's owner"


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [
        (0, "ok", "within 30 s of the server's"),
        (25, "ok", "within 30 s of the server's"),
        (-25, "ok", "within 30 s of the server's"),
        (100, "warn", "s behind the server's"),
        (-200.5, "warn", "this machine's clock is 3 minutes ahead of the server's"),
        (250.5, "warn", "this machine's clock is 4 minutes behind the server's"),
        (330, "fail", "this machine's clock is 5 minutes behind the server's"),
        (-330, "fail", "this machine's clock is 5 minutes ahead of the server's"),
        (-100 * 86400 - 9, "fail", "this machine's clock is 100 days ahead of the server's"),
    ],
)
def test_the_clocks_are_compared(seconds: float, status: str, words: str, raw: RawServe) -> None:
    """More than 30 s between the clocks warn, more than 5 minutes fail."""
    check = checked(raw(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % date(seconds)).url())["clock"]
    assert check.status == status
    assert words in check.detail
    assert check.remedy == ("" if status == "ok" else SET_THE_CLOCK)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("seconds", "status"), [(30, "ok"), (31, "warn"), (300, "warn"), (301, "fail")])
def test_the_limits_of_the_clocks_are_exact(seconds: int, sign: int, status: str) -> None:
    """30 s are nothing yet, and 5 minutes a warning."""
    response = requests.Response()
    response.headers["Date"] = "Fri, 15 Jan 2027 08:00:00 GMT"
    check = _clock(response, 1_800_000_000 + sign * seconds)
    assert check is not None
    assert check.status == status


def test_the_age_of_a_cached_answer_counts(raw: RawServe) -> None:
    """A cache hands on an old date and says how old it is (RFC 9111 section 5.1)."""
    server = raw(b"HTTP/1.1 200 OK\r\n%s\r\nAge: 3600\r\n\r\n" % date(-3600))
    assert checked(server.url())["clock"].status == "ok"


@pytest.mark.parametrize("age", [b"", b"-3600", b"x", b"\xb2", b"9" * 10, b"9" * 5000])
def test_an_age_that_is_none_does_not_count(age: bytes, raw: RawServe) -> None:
    """A garbled Age is passed over."""
    server = raw(b"HTTP/1.1 200 OK\r\n%s\r\nAge: %s\r\n\r\n" % (date(0), age))
    assert checked(server.url())["clock"].status == "ok"


@pytest.mark.parametrize(
    "value",
    [
        b"", b"yesterday", b"0", b"Mon, 99 Foo 2020 99:99:99 GMT", b"\xff\xfe", b"Mon, 1 Jan 9999999999999 0:0:0 GMT",
        b"Mon, 01 Jan 2024 00:00:00 +999999999999999", b"Mon, 01 Jan 0001 00:00:00 +2359", b",", b"1 1 1 1 1 1 1",
    ],
)  # fmt: skip
def test_a_date_that_is_none_warns(value: bytes, raw: RawServe) -> None:
    """A garbled Date says nothing about our clock."""
    check = checked(raw(b"HTTP/1.1 200 OK\r\nDate: %s\r\n\r\n" % value).url())["clock"]
    if check.detail != "the server's Date header is no date":  # parsers differ in what they take for one
        assert check.detail.startswith("this machine's clock is ")
    else:
        assert (check.status, check.remedy) == ("warn", "ask who runs the server to mend it")


def test_a_date_of_an_unknown_zone_is_taken_as_utc(raw: RawServe) -> None:
    """-0000 means a time in UTC whose place is unknown (RFC 5322 section 3.3)."""
    server = raw(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % date(0).replace(b"GMT", b"-0000"))
    assert checked(server.url())["clock"].status == "ok"


def test_a_server_without_a_clock_is_no_fault(raw: RawServe) -> None:
    """Without a Date there is nothing to compare."""
    assert "clock" not in checked(raw(b"HTTP/1.1 200 OK\r\n\r\n").url())


def test_a_refusal_tells_the_time_as_well(raw: RawServe) -> None:
    """A 401 with a skewed clock shows both: the one may be why."""
    found = checked(raw(b"HTTP/1.1 401 No\r\n%s\r\n\r\n" % date(450)).url())
    assert (found["request"].status, found["clock"].status) == ("fail", "fail")


# netrc and proxy


def at_home(netrc: str | bytes) -> None:
    """Write the netrc file where every version of requests looks for it."""
    path = Path.home() / ".netrc"
    path.write_bytes(netrc if isinstance(netrc, bytes) else netrc.encode())


@pytest.mark.parametrize("entry", ["machine localhost", "default"])
def test_a_netrc_entry_warns(entry: str, serve: Serve) -> None:
    """What requests would send after a redirect is named, without its secrets; the key is sent here."""
    at_home(f"{entry} login hunter1 password hunter2\n")
    server = serve(keyed(KEY))
    check = checked(server.url())["netrc"]
    assert check == (
        "netrc",
        "warn",
        "the netrc file has an entry for this host, which requests sends in place of the key after a redirect",
        "remove the entry, or set session.trust_env = False",
    )
    assert authorizations(server) == [f"Bearer {KEY}"]


def test_a_netrc_entry_for_another_host_is_none(serve: Serve) -> None:
    """Other hosts' entries are nobody's business here."""
    at_home("machine elsewhere.example login hunter1 password hunter2\n")
    assert "netrc" not in checked(serve(keyed(KEY)).url())


@pytest.mark.parametrize("text", [b"hunter2", b"machine localhost hunter2", b"machine localhost login \xff\xfe"])
def test_a_broken_netrc_warns(text: bytes, serve: Serve) -> None:
    """A netrc that cannot be read is told as that, without a word of it."""
    at_home(text)
    check = checked(serve(keyed(KEY)).url())["netrc"]
    assert check[1:] == ("warn", "the netrc file cannot be read", "mend it, or set session.trust_env = False")


def test_a_proxy_is_told(serve: Serve, tunnel: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that lets the request through is shown, without its password."""
    address = tunnel.url().removeprefix("http://").rstrip("/")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@{address}")
    server = serve(keyed(KEY))
    found = checked(server.url())
    assert found["url"].detail.endswith(": goes through a proxy, so the request alone tells whether it is reached")
    assert found["request"].status == "ok"
    assert found["proxy"] == Check("proxy", "ok", f"the environment routes this URL through the proxy {address}")
    assert "hunter2" not in repr(found)


def test_a_wrong_certificate_behind_a_proxy_is_told(
    serve: Serve, tunnel: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's certificate is not the proxy's fault."""
    monkeypatch.setenv("HTTPS_PROXY", tunnel.url())
    found = checked(serve(keyed(KEY), not_after=datetime.now(timezone.utc) - timedelta(days=1)).url())
    assert found["request"].detail == "GET: the server's certificate has expired"
    assert found["proxy"].status == "warn"


def test_a_proxy_that_wants_credentials_is_told(raw: RawServe, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 407 on the way is the proxy's."""
    proxy = raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", tls=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url())
    found = checked(serve(keyed(KEY)).url())
    assert found["request"].detail == "GET: the proxy wants credentials of its own (407)"
    assert found["proxy"].status == "warn"
    assert found["proxy"].remedy == "an answer may be the proxy's; to go without it, name the host in NO_PROXY"


def test_a_proxy_that_is_not_there_is_told(serve: Serve, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection to the proxy is not the server's."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port}")
    found = checked(serve(keyed(KEY)).url())
    assert found["request"].detail == "GET: the proxy does not let the request through"


@pytest.mark.parametrize("proxy", ["http://", "http://user:hunter2@", "http:///hunter2", "unknown://hunter2:x@a:1"])
def test_a_proxy_that_is_none_is_told(proxy: str, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of a proxy that cannot be used is one sentence."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    found = checked(serve(keyed(KEY)).url())
    assert found["request"].status == "fail"
    assert "hunter2" not in repr(found)


def test_without_a_request_a_proxy_warns(serve: Serve, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was asked, the proxy may still be what is in the way."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port}")
    monkeypatch.delenv("TGW_API_KEY")
    assert checked(serve(keyed(KEY)).url())["proxy"].status == "warn"


def test_no_proxy_is_heeded(serve: Serve, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that the environment exempts is reached directly."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port}")
    monkeypatch.setenv("NO_PROXY", "localhost")
    found = checked(serve(keyed(KEY)).url())
    assert "proxy" not in found
    assert found["request"].status == "ok"


# The key is shown nowhere


def test_no_log_has_the_key(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG does anything log the key."""
    caplog.set_level(logging.DEBUG)
    answered(serve, 401, ("WWW-Authenticate", f'Bearer error="{KEY}"'))
    assert not pieces_of_key(caplog.text)


@pytest.mark.parametrize("calls", [1, 2])
def test_an_interrupt_takes_no_key_along(calls: int, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of our frames shows the key when an interrupt leaves them."""
    within = Probe._within
    turns = iter(range(1, 3))

    def interrupted(self: Probe, work: Callable[[], Any]) -> Any:
        if next(turns) == calls:
            raise KeyboardInterrupt
        return within(self, work)

    monkeypatch.setattr(Probe, "_within", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        checked(serve(keyed(KEY)).url())
    traceback: TracebackType | None = caught.tb
    seen: list[str] = []
    while traceback is not None:
        seen.append(repr(traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    assert len(seen) > 3
    assert not pieces_of_key("".join(seen))
