"""What `diagnose` says of real connections: certificates, redirects, slow and endless answers, netrc and proxies."""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import count, repeat
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests.adapters import HTTPAdapter

from requests_bearer_env import BearerEnvAuth, MountedAuth
from requests_bearer_env.__main__ import main
from requests_bearer_env.demo.server import Authority, Reply, Request, Server
from requests_bearer_env.doctor import Check, diagnose, url
from requests_bearer_env.doctor.budget import Budget
from requests_bearer_env.doctor.environment import check_proxy
from tests.helpers import (
    KEY,
    OTHER_KEY,
    Proxy,
    Serve,
    always,
    assert_hidden,
    authorizations,
    examine_for_command,
    keyed,
    letters_and_digits,
)


class Raw(Server):
    """Answers each request with bytes, whether they are HTTP or not."""

    def __init__(self, answer: Callable[[bytes], Iterator[bytes]], authority: Authority | None) -> None:
        super().__init__(lambda _: Reply(500), authority.context("localhost", "127.0.0.1") if authority else None)
        self.answer = answer

    def finish_request(self, request: Any, client_address: Any) -> None:
        head = request.recv(65536)
        if head:  # the doctor's first connection only does the handshake, and sends no request
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


@pytest.fixture(autouse=True)
def _trusted(ca: str, key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authority, as a user does whose server has a private CA."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca)


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def checked(target: str, **options: Any) -> dict[str, Check]:
    """The lines about a key in a variable, by their names."""
    rules = {name: options.pop(name) for name in ("hosts", "allow_http", "refresh_on") if name in options}
    checks = diagnose(BearerEnvAuth("TGW_API_KEY", **rules), target, **options)
    found = {check.name: check for check in checks}
    assert len(found) == len(checks)
    assert list(found)[-1] == "verdict"
    del found["verdict"]
    assert all(bool(check.remedy) == (check.status != "ok") for check in found.values())
    return found


def date(seconds: float) -> bytes:
    """A Date header, so many seconds from now."""
    when = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return b"Date: " + format_datetime(when, usegmt=True).encode()


# All is well


def test_right_key_is_ok(serve: Serve) -> None:
    """Everything is looked at, in order, and the request is sent with the key and without it."""
    server = serve(keyed(KEY))
    checks = diagnose(BearerEnvAuth("TGW_API_KEY"), server.url("/v1/models"))
    assert [(check.name, check.status) for check in checks] == [
        ("key", "ok"),
        ("header", "ok"),
        ("url", "ok"),
        ("request", "ok"),
        ("clock", "ok"),
        ("verdict", "ok"),
    ]
    line = "GET answered 200 OK with the key and 401 Unauthorized without it: the server accepts the key"
    assert checks[3].detail == line
    assert checks[-1].detail == "the server accepts the key"
    assert authorizations(server) == [f"Bearer {KEY}", None]


def test_wrong_key_fails(serve: Serve) -> None:
    """The last line says what the others mean together."""
    checks = diagnose(BearerEnvAuth("TGW_API_KEY"), serve(keyed(OTHER_KEY)).url())
    sentence = "the server does not accept the key, or never sees it; failed: request"
    assert checks[-1] == ("verdict", "fail", sentence, "")


@pytest.mark.parametrize("method", ["get", "HEAD"])
def test_safe_method_is_sent_twice(method: str, serve: Serve) -> None:
    """Method, path and query are those that were given; there is no body."""
    server = serve(keyed(KEY))
    check = checked(server.url("/v1/models?page=2"), method=method)["request"]
    assert check.detail.startswith(f"{method.upper()} answered 200 OK with the key and 401 Unauthorized without it")
    seen = [(request.method, request.target, request.body) for request in server.seen]
    assert seen == [(method.upper(), "/v1/models?page=2", b"")] * 2


@pytest.mark.parametrize("method", ["post", "DELETE"])
def test_unsafe_method_is_sent_once(method: str, serve: Serve) -> None:
    """A method that changes something is not repeated, so less is known."""
    server = serve(keyed(KEY))
    line = (
        f"{method.upper()} answered 200 OK (sent with the key only, because {method.upper()} may change something): "
        "the server accepts the key, or does not read it"
    )
    assert checked(server.url(), method=method)["request"] == ("request", "ok", line, "")
    assert [request.method for request in server.seen] == [method.upper()]


def test_second_request_has_no_login_of_its_own(serve: Serve, home: Path) -> None:
    """Neither a cookie of the first answer nor netrc stands in for the key."""
    write_netrc(home, "machine localhost login hunter1 password hunter2\n")
    server = serve(always(200, Set_Cookie="session=1"))
    checked(server.url())
    assert [(request.headers["Authorization"], request.headers["Cookie"]) for request in server.seen] == [
        (f"Bearer {KEY}", None),
        (None, None),
    ]


def test_mounted_key_is_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A MountedAuth is asked as a whole, and the line about the key is about the mount."""
    monkeypatch.setenv("TGW_ADMIN_KEY", OTHER_KEY)
    server = serve(keyed(OTHER_KEY))
    auth = MountedAuth(
        {server.url("/v1/"): BearerEnvAuth("TGW_API_KEY"), server.url("/v1/admin"): BearerEnvAuth("TGW_ADMIN_KEY")}
    )
    checks = diagnose(auth, server.url("/v1/admin/x"))
    assert checks[0].detail.startswith("environment variable TGW_ADMIN_KEY: ")
    assert checks[-1].detail == "the server accepts the key"
    assert authorizations(server) == [f"Bearer {OTHER_KEY}", None]


def test_placeholder_is_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a word can be a server's real key."""
    monkeypatch.setenv("TGW_API_KEY", "changeme")
    found = checked(serve(keyed("changeme")).url())
    assert (found["key"].status, found["request"].status) == ("warn", "ok")


def test_without_a_key_no_request_is_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is looked at without a key, too."""
    monkeypatch.delenv("TGW_API_KEY")
    server = serve(keyed(KEY))
    assert {name: check.status for name, check in checked(server.url()).items()} == {"key": "fail", "url": "ok"}
    assert server.seen == []


# url


def test_days_of_the_certificate_are_shown(serve: Serve) -> None:
    """A verified certificate says how long it is valid."""
    server = serve(keyed(KEY), not_after=datetime.now(timezone.utc) + timedelta(days=61.5))
    check = checked(server.url("/v1/models"))["url"]
    detail = f"{server.url('/v1/models')}: reached, and its certificate is verified and has 61 days left"
    assert check == ("url", "ok", detail, "")


@pytest.mark.parametrize(
    ("days", "status", "remedy"), [(13.9, "warn", "have the certificate renewed"), (14.1, "ok", "")]
)
def test_certificate_that_ends_soon_warns(days: float, status: str, remedy: str, serve: Serve) -> None:
    """A certificate should be renewed two weeks before its end; the request is sent all the same."""
    server = serve(keyed(KEY), not_after=datetime.now(timezone.utc) + timedelta(days=days))
    found = checked(server.url())
    assert (found["url"].status, found["url"].remedy) == (status, remedy)
    assert found["request"].status == "ok"


def only_cas_in(name: str = "REQUESTS_CA_BUNDLE") -> str:
    """What is said of a variable that names the trusted CAs."""
    return f"; {name}={os.environ[name]} is used instead of requests' own public CAs"


def unreached(target: str, **options: Any) -> tuple[str, str]:
    """What is said of a URL that no request is sent to, after the URL itself, and what to do."""
    found = checked(target, **options)
    assert found["url"].status == "fail"
    assert not {"request", "clock"} & found.keys()
    return found["url"].detail.removeprefix(f"{target}: "), found["url"].remedy


def test_expired_certificate_fails(serve: Serve) -> None:
    """The request with the key is not sent."""
    server = serve(keyed(KEY), not_after=datetime.now(timezone.utc) - timedelta(days=1))
    assert unreached(server.url())[0] == "the server's certificate has expired"
    assert server.seen == []


@pytest.mark.parametrize(
    ("names", "host", "shown"),
    [
        (("elsewhere.example",), "localhost", "elsewhere.example"),
        (("localhost",), "127.0.0.1", "localhost"),
        (("a.example", "b.example", "c.example"), "localhost", "a.example, b.example, c.example"),
        (
            ("a.example", "b.example", "c.example", "d.example"),
            "localhost",
            "a.example, b.example, c.example and others",
        ),
    ],
)
def test_certificate_for_another_host_names_it(names: tuple[str, ...], host: str, shown: str, serve: Serve) -> None:
    """A host name or an address in the URL has to be in the certificate."""
    detail, remedy = unreached(serve(keyed(KEY), names=names).url(host=host))
    assert detail == f"the server's certificate is for {shown}, not for this host"
    assert remedy == "use a name that it is for, or have a certificate issued for this one"


def test_key_in_a_certificate_is_hidden(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the server may know the key, but the readers of the report may not."""
    key = "abcdefghijklmnopqrstuvwxyz0123456789"
    monkeypatch.setenv("TGW_API_KEY", key)
    detail = unreached(serve(keyed(key), names=(f"{key}.example",)).url())[0]
    assert detail.startswith("the server's certificate is for ")
    assert key not in detail


class Made(NamedTuple):
    """A certificate that trustme would not make."""

    context: ssl.SSLContext
    authority: str


def make_certificate(
    directory: Path, *, names: tuple[str, ...] = ("localhost",), self_signed: bool = False, key_identifier: bool = True
) -> Made:
    """Make a certificate for localhost, and the authority that it comes from."""
    now = datetime.now(timezone.utc)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def begin(name: str, issuer: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=100))
        )

    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = (
        begin("a CA", "a CA", ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    certificate = begin("localhost", "localhost" if self_signed else "a CA", key.public_key())
    if names:
        alternatives = [x509.DNSName(name) for name in names]
        certificate = certificate.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    if key_identifier:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        certificate = certificate.add_extension(identifier, critical=False)
    signed = certificate.sign(key if self_signed else ca_key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = directory / "server.pem"
    pem.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    root = directory / "root.pem"
    root.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return Made(context, str(root))


def refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """What is said of a server with such a certificate, and what to do."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", made.authority)
    with Server(keyed(KEY), made.context) as server:
        return unreached(server.url())


def changed_context(monkeypatch: pytest.MonkeyPatch, change: Callable[[ssl.SSLContext], None]) -> None:
    """Verify certificates as another release of Python or urllib3 does."""
    make = url._make_context

    def changed(verify: bool | str) -> ssl.SSLContext:
        context = make(verify)
        change(context)
        return context

    monkeypatch.setattr(url, "_make_context", changed)


def test_certificate_without_san_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A common name alone no longer counts (RFC 9525); urllib3 1 still took it."""
    changed_context(monkeypatch, lambda context: setattr(context, "hostname_checks_common_name", False))
    assert refused(make_certificate(tmp_path, names=()), monkeypatch) == (
        "the server's certificate has no subjectAltName, and its common name (CN) does not count",
        "have it issued anew with the host's name, or its address, as a subjectAltName",
    )


def test_self_signed_certificate_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A self-signed certificate is its own authority, so nothing vouches for it."""
    seen = refused(make_certificate(tmp_path, self_signed=True), monkeypatch)
    assert seen == (
        f"the server's certificate is self-signed, so nothing proves whose it is{only_cas_in()}",
        (
            "get that certificate from the server's owner, put it and the CAs that are trusted now into one file, "
            "and name that file in REQUESTS_CA_BUNDLE"
        ),
    )


@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO < (3,), reason="OpenSSL 1.1 does not look at key identifiers")
def test_certificate_that_breaks_rfc_5280_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 verifies as RFC 5280 has it; OpenSSL's own words name the defect."""
    changed_context(
        monkeypatch, lambda context: setattr(context, "verify_flags", context.verify_flags | ssl.VERIFY_X509_STRICT)
    )
    seen = refused(make_certificate(tmp_path, key_identifier=False), monkeypatch)
    assert seen == (
        f"the server's certificate is refused: Missing Authority Key Identifier (OpenSSL){only_cas_in()}",
        "have it issued anew without that defect; Python 3.13 and newer verify certificates more strictly",
    )


def test_mismatch_is_reported_without_names(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate's names are read on a second connection, which may fail."""
    run, turns = Budget.run, count()

    def once(self: Budget, work: Callable[[], Any], at_most: float | None = None) -> Any:
        if next(turns):
            raise TimeoutError
        return run(self, work, at_most)

    monkeypatch.setattr(Budget, "run", once)
    assert unreached(serve(keyed(KEY), names=("elsewhere.example",)).url()) == (
        "the server's certificate is for another host name",
        "use the name that it is for, or correct the URL",
    )


@pytest.mark.parametrize("name", ["", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_unknown_authority_fails(name: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the authority's certificate the server's proves nothing; the variable that leaves it out is named."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    if name:
        monkeypatch.setenv(name, str(tmp_path))
    detail, remedy = unreached(serve(keyed(KEY)).url())
    start = "the server's certificate comes from an issuer that requests does not trust"
    assert detail == start + (only_cas_in(name) if name else "")
    assert remedy.startswith("add the CA's certificate there; " if name else "name the file of a private CA in ")


def test_bundle_is_named_behind_a_proxy(
    serve: Serve, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy, the request is the first to see the server's certificate."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    line = checked(serve(keyed(KEY)).url())["request"]
    assert line.status == "fail"
    assert line.detail.endswith(f"an issuer that requests does not trust{only_cas_in()}")


def test_directory_of_authorities_is_one(
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


@pytest.mark.parametrize(
    ("name", "reason"), [("key=missing.pem", os.strerror(2)), ("empty.pem", "it holds no certificate")]
)
def test_unusable_bundle_fails(
    name: str, reason: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle that is missing, or has no certificates, is not the server's fault."""
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / name))
    assert unreached(serve(keyed(KEY)).url()) == (
        f"REQUESTS_CA_BUNDLE={tmp_path / name} cannot be used ({reason})",
        "correct REQUESTS_CA_BUNDLE",
    )


def test_missing_certifi_fails(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable is at fault for the file that requests brings along."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setattr(url, "DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "missing.pem"))
    assert unreached(serve(keyed(KEY)).url()) == (
        f"the file of trusted CAs in certifi cannot be used ({os.strerror(2)})",
        "reinstall certifi",
    )


def test_refused_connection_fails(unused_port: int) -> None:
    """No program listens on that port."""
    assert unreached(f"https://127.0.0.1:{unused_port}/")[0] == "nothing listens on that port"


def test_unknown_name_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is named as the cause."""

    def unknown(*_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert unreached("https://tgw.local/v1")[0] == "the host name cannot be resolved"


def test_name_that_cannot_be_one_fails() -> None:
    """A label of more than 63 letters, which no resolver takes, is an unknown name as well."""
    assert unreached(f"https://{'a' * 64}.example/")[0] == "the host name cannot be resolved"


@pytest.mark.parametrize(
    ("target", "address"), [("https://[::1]:5000/", ("::1", 5000)), ("https://tgw.local/", ("tgw.local", 443))]
)
def test_host_and_port_are_connected_to(target: str, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPv6 address has no brackets for a socket, https has a port of its own, and the time is limited."""
    seen: list[tuple[tuple[str, int], float]] = []

    def connect(address: tuple[str, int], timeout: float) -> Any:
        seen.append((address, timeout))
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    unreached(target, timeout=7)
    unreached(target)
    assert seen == [(address, 7), (address, 10)]


def test_name_with_a_final_dot_is_verified(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dot is left out for the certificate, because no certificate has it."""
    look_up = socket.getaddrinfo

    def without_dns(_host: Any, *arguments: Any, **options: Any) -> Any:
        return look_up("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", without_dns)
    assert checked(serve(keyed(KEY)).url(host="localhost."))["url"].status == "ok"


def test_key_in_the_path_is_not_shown(serve: Serve) -> None:
    """Some services take the key in the path, as Telegram does."""
    assert_hidden(repr(checked(serve(keyed(KEY)).url(f"/v1/{quote(KEY, safe='')}"))))


def test_url_is_shown_without_its_secrets(serve: Serve) -> None:
    """User, password and query may be secret."""
    target = serve(keyed(KEY)).url("/v1/models?key=hunter2#hunter2").replace("//", "//user:hunter2@")
    assert "hunter2" not in repr(checked(target))


def test_slow_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of a name has no timeout of its own."""
    done = threading.Event()

    def slow(*_: Any) -> Any:
        done.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert unreached("https://tgw.local/", timeout=0.2)[0] == "there was no answer within 0.2 s"
    done.set()


def test_port_without_tls_fails(raw: RawServe) -> None:
    """The remedy names the argument of Python, or the option of the command line."""
    target = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", tls=False).url().replace("http:", "https:")
    remedy = "correct the port; if the server does not speak TLS, use http:// and {}"
    assert unreached(target) == ("the port answers, but not with TLS", remedy.format("allow_http=['localhost']"))
    lines = {check.name: check for check in examine_for_command(BearerEnvAuth("TGW_API_KEY"), target)}
    assert lines["url"].remedy == remedy.format("--allow-http localhost")


def test_address_without_tls_has_no_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """--allow-http takes an IPv6 address without them."""
    error = ssl.SSLError(1, "no TLS")
    error.reason = "WRONG_VERSION_NUMBER"

    def connect(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    lines = {check.name: check for check in examine_for_command(BearerEnvAuth("TGW_API_KEY"), "https://[::1]/")}
    assert lines["url"].remedy.endswith("use http:// and --allow-http ::1")


def test_remedies_name_command_line_options(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy of a 405, and that of a key that vanishes before the request."""
    monkeypatch.setenv("BEARER_TOKEN", KEY)
    target = serve(always(405, Allow="POST")).url()
    lines = {check.name: check for check in examine_for_command(BearerEnvAuth(), target)}
    assert lines["request"].remedy.endswith("try --method POST")

    def vanish(*_: Any) -> Any:
        monkeypatch.delenv("BEARER_TOKEN")
        return BearerEnvAuth().credential()

    monkeypatch.setattr("requests_bearer_env.doctor.examination.send", vanish)
    lines = {check.name: check for check in examine_for_command(BearerEnvAuth(), target)}
    assert lines["request"].remedy.startswith("name another variable with --env NAME")
    assert lines["verdict"].detail == "no request was sent; failed: request"


def test_plain_http_is_refused(serve: Serve) -> None:
    """The check refuses such a URL with the same words as a request does."""
    server = serve(keyed(KEY), tls=False)
    detail, remedy = unreached(server.url())
    assert detail.endswith("because plain HTTP must be allowed by name")
    assert remedy == "use allow_http=['localhost'], or https:// if the server speaks TLS"
    assert server.seen == []


def test_plain_http_may_be_allowed(serve: Serve) -> None:
    """The line says that the connection is plain HTTP, and mentions no certificate."""
    server = serve(keyed(KEY), tls=False)
    found = checked(server.url("/v1"), allow_http="localhost")
    detail = f"{server.url('/v1')}: reached by plain HTTP, which is allowed for this host"
    assert found["url"] == ("url", "ok", detail, "")
    assert found["request"].status == "ok"


# Redirects


def test_redirect_is_not_followed(serve: Serve) -> None:
    """Both requests end at the redirect."""
    server = serve(always(307, Location="/v2/models?page=1"))
    check = checked(server.url("/v1/models"))["request"]
    detail = f"GET answered 307 Temporary Redirect with and without the key: it redirects to {server.url('/v2/models')}"
    remedy = "use that URL itself, because a redirected POST may become a GET"
    assert check == ("request", "warn", detail, remedy)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("//elsewhere.example:8443/v1", "https://elsewhere.example:8443/v1, where requests drops the key"),
        ("http://[hunter2/", "something that is not an http or https URL"),
        ("https://x:99999/", "something that is not an http or https URL"),
    ],
)
def test_target_is_what_requests_makes_of_it(location: str, where: str, serve: Serve) -> None:
    """A Location without a scheme has that of the request, and one that is no URL is no error."""
    detail = checked(serve(always(302, Location=location)).url())["request"].detail
    assert detail == f"GET answered 302 Found with and without the key: it redirects to {where}"


def test_status_300_is_not_a_redirect(serve: Serve) -> None:
    """Requests does not follow it, so the check takes it for an answer."""
    detail = checked(serve(always(300, Location="/x")).url())["request"].detail
    assert detail == "GET answered 300 Multiple Choices with and without the key: APIs do not answer with this status"


# Bodies


REFUSED = "GET answered 401 Unauthorized with and without the key: the server does not accept the key, or never sees it"


@pytest.mark.parametrize("status", [200, 302, 401])
def test_endless_body_takes_no_time(status: int, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 2 KiB of a body are read, whether the key was sent or not."""
    monkeypatch.setattr("requests_bearer_env.doctor.request._BODY_TIMEOUT", 10)
    server = serve(always(status, repeat(b"x" * 1000), Location="/"))
    start = time.monotonic()
    assert checked(server.url(), timeout=20)["request"].detail.startswith(f"GET answered {status} ")
    assert time.monotonic() - start < 5
    assert len(server.seen) == 2


def test_reason_is_read_from_the_beginning(serve: Serve) -> None:
    """A long body is cut off, and its reason is found all the same."""
    body = b'{"detail": "Not this key", "traceback": "' + b"x" * 100_000
    detail = checked(serve(always(401, body)).url())["request"].detail
    assert detail == f'{REFUSED}; it says "Not this key"; in its headers, Server is "uvicorn"'


def test_body_that_drips_is_not_waited_for(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check reads a body for some seconds only, with the key and without it."""
    monkeypatch.setattr("requests_bearer_env.doctor.request._BODY_TIMEOUT", 0.15)
    done = threading.Event()

    def drip(_: bytes) -> Iterator[bytes]:
        yield b'HTTP/1.1 401 No\r\nContent-Type: application/json\r\n\r\n{"detail": "Slow", "rest": "'
        while not done.wait(0.02):
            yield b"x"

    with Raw(drip, authority) as server:
        start = time.monotonic()
        assert checked(server.url(), timeout=20)["request"].detail == f'{REFUSED}; it says "Slow"'
        assert time.monotonic() - start < 5
        done.set()


def test_silent_body_is_not_waited_for(authority: Authority) -> None:
    """A body that stops before its end takes no more than the timeout of all steps together."""
    done = threading.Event()

    def stop(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\n{"
        done.wait(30)

    with Raw(stop, authority) as server:
        start = time.monotonic()
        assert checked(server.url(), timeout=0.5)["request"].detail == REFUSED
        assert time.monotonic() - start < 1
        done.set()


def test_truncated_body_does_not_matter(raw: RawServe) -> None:
    """The status is the answer, whatever the body is."""
    server = raw(b'HTTP/1.1 401 No\r\nContent-Length: 1000\r\n\r\n{"detail": "short",')
    assert checked(server.url())["request"].detail == f'{REFUSED}; it says "short"'


def test_undecodable_body_does_not_matter(raw: RawServe) -> None:
    """The body is not in the encoding that its header names."""
    server = raw(b"HTTP/1.1 401 No\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!")
    assert checked(server.url())["request"].detail == REFUSED


@pytest.mark.parametrize(
    "echo", [KEY, KEY.upper(), quote(KEY, safe=""), " ".join(KEY[at : at + 4] for at in range(76))]
)
def test_key_that_a_server_repeats_is_hidden(echo: str, raw: RawServe) -> None:
    """The key is hidden in the status line, in a header and in the body."""
    answer = f'HTTP/1.1 401 {echo}\r\nWWW-Authenticate: Bearer error="{echo}"\r\n\r\n{{"detail": "{echo}"}}'
    shown = repr(checked(raw(answer.encode("latin-1")).url()))
    assert_hidden(letters_and_digits(shown))
    assert_hidden(shown)


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b31mred", "a\tb", "\xe9", "\x7f\x08\x08", "z" * 3000])
def test_what_a_server_says_keeps_to_its_line(text: str, raw: RawServe) -> None:
    """Nothing that a server says reaches the terminal as a command or fills it."""
    challenge = f'Bearer error="{text}", error_description="{text}", scope="{text}"'
    answer = f'HTTP/1.1 401 {text}\r\nWWW-Authenticate: {challenge}\r\n\r\n{{"detail": "{text} too"}}'
    detail = checked(raw(answer.encode("latin-1")).url())["request"].detail
    assert detail.isascii()
    assert detail.isprintable()
    assert len(detail) < 1100


# The hook


def test_key_that_changes_meanwhile_warns(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook sends the new key, and the first refusal is not hidden."""

    def app(request: Request) -> Reply:
        monkeypatch.setenv("TGW_API_KEY", OTHER_KEY)
        return keyed(OTHER_KEY)(request)

    server = serve(app)
    check = checked(server.url())["request"]
    assert check.status == "warn"
    assert check.detail == (
        "GET answered 200 OK with the key and 401 Unauthorized without it: after a 401 the key was read again "
        "and had changed; the server accepts the key"
    )
    assert authorizations(server) == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}", None]


@pytest.mark.parametrize("status", [200, 401, 403])
def test_no_key_that_was_sent_is_repeated(status: int, serve: Serve) -> None:
    """A provider may have another key at each call; the server may repeat any of them."""
    keys = [
        f"{number}{text}" for number, text in enumerate(["abcdefghijklmnop", "qrstuvwxyzABCDEF", "GHIJKLMNOPQRSTUV"])
    ]
    coming = iter(keys)
    seen: list[str | None] = []

    def app(request: Request) -> Reply:
        seen.append(request.headers["Authorization"])
        echo = ("WWW-Authenticate", f'Bearer error="{" ".join(keys)}"')
        return Reply(401 if len(seen) == 1 else status, f'{{"detail": "{"|".join(keys)}"}}'.encode(), (echo,))

    checks = diagnose(BearerEnvAuth(provider=lambda: next(coming)), serve(app).url())
    assert seen == [f"Bearer {key}" for key in keys[1:]] + [None]
    shown = repr(checks)
    assert not any(key[at : at + 8] in shown for key in keys for at in range(len(key) - 7))


def test_key_that_is_gone_at_the_request_fails(serve: Serve) -> None:
    """A provider may fail the second time; then nothing is sent."""
    keys = iter([KEY, None])
    server = serve(keyed(KEY))
    request = {check.name: check for check in diagnose(BearerEnvAuth(provider=lambda: next(keys)), server.url())}[
        "request"
    ]
    detail = "no key found because provider <lambda> returned no key"
    assert request == ("request", "fail", detail, "run it by hand to see what it returns")
    assert server.seen == []


# No answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the server closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "the port answers, but not with HTTP"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "the port answers, but not with HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "the answer is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000, "the answer is not valid HTTP"),
    ],
)
def test_what_is_not_an_answer_is_explained(answer: bytes, words: str, raw: RawServe) -> None:
    """A server that closes the connection, or speaks another protocol, is named in one sentence."""
    checks = diagnose(BearerEnvAuth("TGW_API_KEY"), raw(answer).url())
    assert checks[3][:3] == ("request", "fail", f"GET: {words}")
    assert checks[-1].detail == "the request was not answered; failed: request"


def test_request_without_an_answer_is_left_out(authority: Authority) -> None:
    """The answer with the key is reported by itself."""

    def app(head: bytes) -> Iterator[bytes]:
        if b"Authorization" in head:
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    with Raw(app, authority) as server:
        line = "GET answered 200 OK: the server accepts the key, or does not read it"
        assert checked(server.url())["request"] == ("request", "ok", line, "")


def test_request_gets_the_time_that_is_left(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout is for all steps together, so each request gets what is left of it."""
    seen: list[float] = []
    send = HTTPAdapter.send

    def spy(self: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        seen.append(options["timeout"])
        return send(self, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", spy)
    checked(serve(keyed(KEY)).url(), timeout=60)
    assert 60 > seen[0] > seen[1] > 0


def test_silent_server_is_not_waited_for(serve: Serve) -> None:
    """A server that never answers takes no longer than the timeout."""
    done = threading.Event()

    def app(_: Request) -> Reply:
        done.wait(30)
        return Reply(200)

    check = checked(serve(app).url(), timeout=0.3)["request"]
    assert check[1:3] == ("fail", "GET: there was no answer within 0.3 s")
    done.set()  # its answer comes too late, and is closed


def test_slow_headers_are_not_waited_for(authority: Authority) -> None:
    """A header that comes letter by letter never trips a socket's timeout, but it trips the check's."""
    done = threading.Event()

    def drip(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nx: "
        while not done.wait(0.02):
            yield b"x"

    with Raw(drip, authority) as server:
        start = time.monotonic()
        check = checked(server.url(), timeout=0.4)["request"]
        done.set()
    assert check[1:3] == ("fail", "GET: there was no answer within 0.4 s")
    assert time.monotonic() - start < 5


# clock


def test_clock_is_that_of_the_answer(raw: RawServe) -> None:
    """A refusal with a wrong clock shows both: one may be the cause of the other."""
    found = checked(raw(b"HTTP/1.1 401 No\r\n%s\r\n\r\n" % date(450)).url())
    assert (found["request"].status, found["clock"].status) == ("fail", "fail")
    assert "clock" not in checked(raw(b"HTTP/1.1 200 OK\r\n\r\n").url())


@pytest.mark.parametrize(("ahead", "words"), [(1200, ", but the clocks differ; failed: clock"), (60, "; see: clock")])
def test_verdict_on_a_wrong_clock_is_consistent(ahead: int, words: str, raw: RawServe) -> None:
    """The server accepts the key, and yet the check fails: the sentence says why."""
    server = raw(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % date(ahead))
    verdict = diagnose(BearerEnvAuth("TGW_API_KEY"), server.url(), method="POST")[-1]
    assert verdict.detail == f"the server accepts the key, or does not read it{words}"


# netrc and proxy


def write_netrc(home: Path, netrc: str | bytes) -> None:
    """Write the netrc file where every version of requests looks for it."""
    path = home / ".netrc"
    path.write_bytes(netrc if isinstance(netrc, bytes) else netrc.encode())


@pytest.mark.parametrize("entry", ["machine localhost", "default"])
def test_netrc_entry_warns(entry: str, serve: Serve, home: Path) -> None:
    """What requests would send after a redirect is named, without its secrets; the key is sent here."""
    write_netrc(home, f"{entry} login hunter1 password hunter2\n")
    server = serve(keyed(KEY))
    check = checked(server.url())["netrc"]
    assert check == (
        "netrc",
        "warn",
        "the netrc file has an entry for this host, which requests sends in place of the key after a redirect",
        "remove the entry, or set session.trust_env = False",
    )
    assert authorizations(server) == [f"Bearer {KEY}", None]


def test_netrc_entry_for_another_host_is_ignored(serve: Serve, home: Path) -> None:
    """The entries of other hosts do not matter here."""
    write_netrc(home, "machine elsewhere.example login hunter1 password hunter2\n")
    assert "netrc" not in checked(serve(keyed(KEY)).url())


@pytest.mark.parametrize("text", [b"hunter2", b"machine localhost hunter2", b"machine localhost login \xff\x81"])
def test_broken_netrc_warns(text: bytes, serve: Serve, home: Path) -> None:
    """Nothing of it is shown. The last bytes are neither UTF-8 nor in Windows' code page 1252."""
    write_netrc(home, text)
    check = checked(serve(keyed(KEY)).url())["netrc"]
    assert check[1:] == ("warn", "the netrc file cannot be read", "correct it, or set session.trust_env = False")


@pytest.mark.posix("named pipes")
@pytest.mark.parametrize("name", [".netrc", "_netrc", "given"])
def test_netrc_that_is_a_pipe_is_not_opened(
    name: str, serve: Serve, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it would wait for a writer, which may never come."""
    os.mkfifo(home / name)
    if name == "given":
        monkeypatch.setenv("NETRC", "~/given")
    monkeypatch.setattr("requests_bearer_env.doctor.environment.get_netrc_auth", pytest.fail)
    assert checked(serve(keyed(KEY)).url())["netrc"].detail == "the netrc file cannot be read"


@pytest.mark.parametrize(
    "name",
    [
        "HTTPS_PROXY",
        "ALL_PROXY",
        *(pytest.param(name, marks=pytest.mark.posix("lower case")) for name in ("https_proxy", "all_proxy")),
    ],
)
def test_proxy_is_reported(name: str, serve: Serve, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that lets the request through is shown with its variable, without its password."""
    monkeypatch.setenv(name, proxy.url)
    address = proxy.url.removeprefix("http://user:hunter2@")
    server = serve(keyed(KEY))
    found = checked(server.url())
    assert found["url"].detail.endswith(": a proxy is used, so only the request shows whether the server is reached")
    assert found["request"].status == "ok"
    assert found["proxy"] == Check("proxy", "ok", f"{name} routes this URL through the proxy {address}")
    assert "hunter2" not in repr(found)
    assert len(proxy.seen) == 2


def test_proxy_of_the_system_has_no_variable() -> None:
    """Windows and macOS have proxy settings of their own."""
    detail = "the environment routes this URL through the proxy proxy.example:3128"
    assert check_proxy("https://a.example/", "http://proxy.example:3128", accepted=True) == ("proxy", "ok", detail, "")


def test_bad_certificate_behind_proxy_is_reported(serve: Serve, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's certificate is not the proxy's fault."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    found = checked(serve(keyed(KEY), not_after=datetime.now(timezone.utc) - timedelta(days=1)).url())
    assert found["request"].detail == "GET: the server's certificate has expired"
    assert found["proxy"].status == "warn"


def test_proxy_that_wants_credentials_is_reported(raw: RawServe, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy answers 407, not the server."""
    proxy = raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", tls=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url())
    found = checked(serve(keyed(KEY)).url())
    assert found["request"].detail == "GET: the proxy asks for credentials of its own (407)"
    assert found["proxy"].status == "warn"
    assert found["proxy"].remedy == "the answer may come from the proxy; to connect directly, name the host in NO_PROXY"


def test_unreachable_proxy_is_reported(serve: Serve, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the proxy, because the server was not reached."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{unused_port}")
    found = checked(serve(keyed(KEY)).url())
    assert found["request"].detail == "GET: the proxy cannot be reached"


@pytest.mark.parametrize("proxy", ["http://", "http://user:hunter2@", "http:///hunter2", "unknown://hunter2:x@a:1"])
def test_unusable_proxy_is_reported(proxy: str, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable address of a proxy fails in one sentence, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    found = checked(serve(keyed(KEY)).url())
    assert found["request"].status == "fail"
    assert "hunter2" not in repr(found)


def test_without_a_request_a_proxy_warns(serve: Serve, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer shows whether the proxy works."""
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


# What the log says to run


@pytest.mark.posix("a POSIX shell's quotes")
@pytest.mark.parametrize("tls", [True, False])
def test_command_in_the_log_finds_out_why(
    tls: bool, serve: Serve, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """It checks the key and the URL of the request that was refused, and changes nothing there."""
    caplog.set_level(logging.INFO, "requests_bearer_env")
    server = serve(keyed(OTHER_KEY), tls=tls)
    auth = BearerEnvAuth("TGW_API_KEY", allow_http="localhost")
    assert requests.delete(server.url("/v1/a b"), auth=auth, timeout=10).status_code == 401
    hint, _, line = caplog.messages[0].partition(" and run ")
    assert hint.endswith(" to find out why, add --method DELETE if a DELETE without a body does no harm,")
    python, _, *words = shlex.split(line)
    assert python == sys.executable
    assert main(words[1:]) == 1
    assert "FAIL  request  GET answered 401 Unauthorized with and without the key: " in capsys.readouterr().out
    assert [request.target for request in server.seen] == ["/v1/a%20b"] * 3
    assert [request.method for request in server.seen] == ["DELETE", "GET", "GET"]


# The key is shown nowhere


def test_no_log_has_the_key(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """No logger logs the key, at any level."""
    caplog.set_level(logging.DEBUG)
    checked(serve(always(401, WWW_Authenticate=f'Bearer error="{KEY}"')).url())
    assert_hidden(caplog.text)


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_interrupt_leaves_no_key_in_frames(calls: int, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """No frame of the package has the key among its locals when KeyboardInterrupt leaves it."""
    run = Budget.run
    turns = count(1)

    def interrupted(self: Budget, work: Callable[[], Any], at_most: float | None = None) -> Any:
        result = run(self, work, at_most)
        if next(turns) == calls:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Budget, "run", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        checked(serve(keyed(KEY)).url())
    traceback: TracebackType | None = caught.tb
    seen: list[str] = []
    while traceback is not None:
        seen.append(repr(traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    assert len(seen) > 3
    assert_hidden("".join(seen))
