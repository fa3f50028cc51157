"""Where a key may go."""

from __future__ import annotations

import string
from urllib.parse import unquote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from requests_bearer_env import InsecureTransportError, UntrustedHostError
from requests_bearer_env.destination import Destination, Hosts, Origin, origin_of

LABEL = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)

HOSTS = ["example.com", "a", "A.b", "[::1]", "[fe80::1%25eth0]", "127.0.0.1", "bücher.example", "xn--bcher-kva.example"]
#: What makes parsers of URLs disagree.
PIECES = [
    *"a1.:/?#@\\[]%*;&=é \t\n\r\0\u00ad\u3002\uff0f\uff20",
    "//",
    "%40",
    "%2f",
    "%5c",
    "%00",
    "%25",
    ":443",
    ":80",
]
NOISE = st.lists(st.sampled_from([*PIECES, *HOSTS, "user:pass@"]), max_size=4).map("".join)

NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)

#: Two names. The second is often the first one, a subdomain of it, or one that begins or ends with it.
NAMES = NAME.flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.one_of(
            NAME,
            st.just(name),
            st.just(name.swapcase()),
            LABEL.map(lambda label: f"{name}.{label}"),
            LABEL.map(lambda label: f"{label}.{name}"),
            LABEL.map(lambda label: f"{label}{name}"),
        ),
    )
)


def prepared(url: str) -> str:
    """Return the URL that requests connects to."""
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    assert request.url is not None
    return request.url


def pool_for(url: str) -> HTTPConnectionPool:
    """Return the connection pool that requests would use for a prepared URL, without connecting."""
    request = requests.PreparedRequest()
    request.url = url
    adapter = HTTPAdapter()
    try:
        if hasattr(adapter, "get_connection_with_tls_context"):  # requests 2.32.2
            return adapter.get_connection_with_tls_context(request, True)
        return adapter.get_connection(url)
    finally:
        adapter.close()


def names(pattern: str, url: str) -> bool:
    """Say whether a pattern names a URL's host."""
    return Destination([pattern], ()).permits(prepared(url))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.com", ("https", "example.com", 443)),
        ("https://example.com:8443/x", ("https", "example.com", 8443)),
        ("http://example.com", ("http", "example.com", 80)),
        ("HTTPS://EXAMPLE.com/", ("https", "example.com", 443)),
        ("https://example.com@evil.test/", ("https", "evil.test", 443)),
        ("https://example.com:443@evil.test/", ("https", "evil.test", 443)),
        ("https://example.com%2f@evil.test/", ("https", "evil.test", 443)),
        ("https://evil.test/@example.com", ("https", "evil.test", 443)),
        ("https://evil.test?@example.com", ("https", "evil.test", 443)),
        ("https://evil.test#@example.com", ("https", "evil.test", 443)),
        ("https://bücher.example/", ("https", "xn--bcher-kva.example", 443)),
        ("https://[::1]:5000/", ("https", "[::1]", 5000)),
        ("https://[FE80::A]/", ("https", "[fe80::a]", 443)),
        ("https://example.com./", ("https", "example.com.", 443)),
        ("https://example.com:443/", ("https", "example.com", 443)),
    ],
)
def test_the_origin_is_that_of_the_connection(url: str, origin: tuple[str, str, int]) -> None:
    """Scheme, host and port are those that requests will connect to."""
    assert origin_of(prepared(url)) == origin


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://evil.test?@example.com", "evil.test"),
        ("https://evil.test?x@example.com/", "evil.test"),
        ("https://evil.test#x@example.com/", "evil.test"),
        ("https://evil.test?x/y", "evil.test"),
        ("https://evil.test#x/y", "evil.test"),
        ("https://@example.com/", "example.com"),
        ("https://[::ffff:127.0.0.1]/", "[::ffff:127.0.0.1]"),
        ("https://[2001:db8::9af]/", "[2001:db8::9af]"),
        ("https://[fe80::a%25eth0]/", "[fe80::a%25eth0]"),
        ("https://[fe80::a%251]/", "[fe80::a%251]"),
        ("HTTPS://EXAMPLE.com/", "example.com"),
        ("https://[FE80::A]/", "[fe80::a]"),
        ("https://example.com:/", "example.com"),
    ],
)
def test_a_url_that_was_set_by_hand_has_an_origin(url: str, host: str) -> None:
    """A program may set the URL of a prepared request; its origin is the one that requests will connect to."""
    assert origin_of(url) == ("https", host, 443)
    assert unquote(pool_for(url).host).lower() == unquote(host.strip("[]"))


@given(st.tuples(NOISE, st.sampled_from(HOSTS), NOISE).map("".join))
def test_the_origin_is_what_requests_connects_to(rest: str) -> None:
    """The origin of a URL, prepared or not, is where requests' adapter connects to, or the URL has none.

    Some releases parse with the standard library, others with urllib3.
    """
    for prepare in (prepared, str) if rest.isascii() else (prepared,):
        try:
            url = prepare(f"https://{rest}")
            pool, parsed = pool_for(url), parse_url(url)
        except (RequestException, ValueError, LocationParseError):
            continue
        origin = origin_of(url)
        if origin is not None:
            assert origin == ("https", origin.host, pool.port) == ("https", origin.host, parsed.port or 443)
            # urllib3 writes percent-encoded bytes in capitals, and decodes the one before a zone.
            host = unquote(origin.host)
            assert host == unquote(str(parsed.host)).lower()
            assert host.strip("[]") == unquote(str(pool.host)).lower()


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://",
        "https:///x",
        "ftp://example.com/",
        "mailto:x@example.com",
        b"https://example.com/",
        "httpss://example.com/",
        "https://exa mple.com/",
        "https://example.com\\@evil.test/",
        "https://a@b@example.com/",
        "https://example.com:x/",
        "https://[::1/",
        "https://[]/",
        "https://[::g]/",
        "https://[::1%]/",
        "https://a b@example.com/",
        "https://exam\\ple.com/",
        "https://exam[ple.com/",
        "https://exam]ple.com/",
        *(f"https://[fe80::1%25et{character}h0]/" for character in "/?#@\\ ]"),
        "https://example.com:1:2/",
        "https://example.com:000443/",
        "http\u017f://example.com/",
        "example.com",
    ],
)
def test_an_ambiguous_url_has_no_origin(url: object) -> None:
    """A URL that parsers may read in different ways has no origin, so no key is sent there."""
    assert origin_of(url) is None
    with pytest.raises(InsecureTransportError, match="not http or https with a plain host name"):
        Destination(None, ()).check(url)
    assert not Destination(None, ()).permits(url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("api.example.com", "https://api.example.com/v1"),
        ("API.Example.COM", "https://api.example.com/"),
        ("api.example.com", "https://API.EXAMPLE.com:8443/"),
        ("api.example.com:8443", "https://api.example.com:8443/"),
        ("api.example.com:443", "https://api.example.com/"),
        ("*.example.org", "https://a.example.org/"),
        ("*.example.org", "https://a.b.example.org:1/"),
        ("*.example.org:8443", "https://a.example.org:8443/"),
        ("*.BÜCHER.example", "https://a.xn--bcher-kva.example/"),
        ("bücher.example", "https://BÜCHER.example/"),
        ("[::1]", "https://[::1]:5000/"),
        ("::1", "https://[::1]/"),
        ("[::1]:5000", "https://[::1]:5000/"),
        ("127.0.0.1", "https://127.0.0.1/"),
        ("[::ffff:127.0.0.1]", "https://[::ffff:127.0.0.1]/"),
        ("[2001:DB8:0::9AF]", "https://[2001:db8:0::9af]/"),
        ("[2001:db8:0::9af]", "https://[2001:DB8:0::9AF]/"),
        ("tgw", "https://tgw/"),
        ("t", "https://t/"),
        ("tgw:1", "https://tgw:1/"),
        ("tgw:9", "https://tgw:9/"),
        ("tgw:65535", "https://tgw:65535/"),
    ],
)
def test_a_pattern_names_its_hosts(pattern: str, url: str) -> None:
    """Hosts compare as requests normalises them, and a pattern without a port names every port."""
    assert names(pattern, url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("example.com", "https://example.com.evil.test/"),
        ("example.com", "https://example.com@evil.test/"),
        ("example.com", "https://evilexample.com/"),
        ("example.com", "https://api.example.com/"),
        ("example.com", "https://example.com./"),
        ("example.com:8443", "https://example.com/"),
        ("example.com:443", "https://example.com:8443/"),
        ("*.example.org", "https://example.org/"),
        ("*.example.org", "https://evilexample.org/"),
        ("*.example.org", "https://a.example.org.evil.test/"),
        ("*.example.org:8443", "https://a.example.org/"),
        ("127.0.0.1", "https://127.0.0.2/"),
        ("127.0.0.1", "https://127.0.0.1.evil.test/"),
        ("::1", "https://[::2]/"),
    ],
)
def test_a_pattern_names_no_other_host(pattern: str, url: str) -> None:
    """A pattern names neither a longer nor a shorter name, nor another port, nor a name that looks alike."""
    assert not names(pattern, url)


@given(NAMES)
def test_an_exact_pattern_names_one_host(drawn: tuple[str, str]) -> None:
    """A pattern without a star names a URL's host if and only if they differ in nothing but case."""
    host, other = drawn
    try:
        patterns = Hosts("hosts", host, wildcards=True)
        origin = origin_of(prepared(f"https://{other}/"))
    except (ValueError, RequestException):
        return
    assert origin is not None
    assert patterns.matches(origin) == (host.lower() == other.lower())


@given(NAMES)
def test_a_wildcard_names_subdomains_only(drawn: tuple[str, str]) -> None:
    """A star stands for one or more labels."""
    domain, other = drawn
    try:
        patterns = Hosts("hosts", f"*.{domain}", wildcards=True)
        origin = origin_of(prepared(f"https://{other}/"))
    except (ValueError, RequestException):
        return
    assert origin is not None
    assert patterns.matches(origin) == other.lower().endswith(f".{domain.lower()}")


def test_a_wildcard_matches_no_empty_label() -> None:
    """Requests does not prepare a URL with an empty label, but a program may set it."""
    assert not Hosts("hosts", "*.example.org", wildcards=True).matches(Origin("https", ".example.org", 443))


def test_patterns_are_sorted_and_normal() -> None:
    """Equal configurations have equal patterns, so that auth objects compare equal."""
    patterns = Hosts("hosts", ["b.example", "A.example:8443", "*.C.example", "b.example"], wildcards=True).patterns
    assert patterns == ("*.c.example", "a.example:8443", "b.example")
    assert Hosts("hosts", iter(["b.example"]), wildcards=True).patterns == ("b.example",)


def test_plain_http_is_allowed_for_a_named_host() -> None:
    """``allow_http=`` names hosts, on any port unless one is given."""
    Destination(None, ["localhost"]).check("http://localhost:5000/")
    Destination(None, "localhost:5000").check("http://localhost:5000/")
    with pytest.raises(InsecureTransportError):
        Destination(None, "localhost:5000").check("http://localhost/")


def test_allow_http_does_not_widen_hosts() -> None:
    """A host that only ``allow_http=`` names is not one of ``hosts=``."""
    with pytest.raises(UntrustedHostError):
        Destination(["b.example"], ["localhost"]).check("http://localhost/")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_plain_http_through_a_proxy_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would read the key; the message names NO_PROXY and does not show the proxy's password."""
    monkeypatch.setenv(variable, "http://user:hunter2@proxy.example:3128")
    with pytest.raises(InsecureTransportError, match=r"NO_PROXY=tgw\.local") as caught:
        Destination(None, ["tgw.local"]).check("http://tgw.local:5000/")
    assert "hunter2" not in str(caught.value)
    assert not Destination(None, ["tgw.local"]).permits("http://tgw.local:5000/")


def test_no_proxy_permits_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy that the message names works."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "tgw.local")
    Destination(None, ["tgw.local"]).check("http://tgw.local:5000/")


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_a_proxy_for_https_does_not_matter(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy, https is a tunnel that the proxy cannot read."""
    monkeypatch.setenv(variable, "http://proxy.example:3128")
    Destination(["b.example"], ()).check("https://b.example/")
    Destination(None, ()).check("https://b.example/")


@given(st.tuples(NOISE, st.sampled_from(HOSTS), NOISE).map("".join))
def test_the_fast_path_agrees_with_parsing(rest: str) -> None:
    """An https URL that may go to any host is accepted without parsing only if it has an origin."""
    url = f"https://{rest}"
    try:
        Destination(None, ()).check(url)
    except InsecureTransportError:
        assert origin_of(url) is None
    else:
        assert origin_of(url) is not None
