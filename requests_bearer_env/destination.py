"""The rules for where a key may be sent: https, ``allow_http=``, ``hosts=``, and no proxy for plain HTTP.

`Destination.check` applies the rules to the prepared URL, the one that requests connects to, whose host is in
lower case and IDNA form. An origin is scheme, host and port (RFC 6454).

Three more rules need to know more than the URL. After a redirect without ``hosts=``, only the starting origin may
get the key (`requests_bearer_env.auth.BearerEnvAuth.auth_for`). If a server refuses the key over plain HTTP, the
request is not resent if ``proxies=`` or the session has a proxy for the URL (`requests_bearer_env.retry.Retry`). A
`MountedAuth` chooses the key by the URL's prefix, and sends none where no prefix matches
(`requests_bearer_env.mounts`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from requests import PreparedRequest
from requests.exceptions import RequestException
from requests.utils import get_environ_proxies, select_proxy

from .errors import BearerAuthError, InsecureTransportError, UntrustedHostError

if TYPE_CHECKING:
    from collections.abc import Iterable

_PORTS = {"http": 80, "https": 443}

#: Names of this machine, whose plain HTTP stays on it.
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

#: Scheme, host and port of a prepared URL. A URL that does not match gets no key. The pattern accepts no
#: backslash, white space or second @, because the parsers of urllib and urllib3 read those differently.
_URL = re.compile(
    r"(https?)://"
    r"(?:[^/?#@\\\s]*@)?"
    r"([^/?#@:\\\s\[\]]+|\[[0-9a-f:.]+(?:%[^/?#@\\\s\]]+)?\])"
    r"(?::([0-9]{0,5}))?"
    r"(?=[/?#]|\Z)",
    re.ASCII | re.IGNORECASE,
)

#: An https URL that needs no parsing if there is no ``hosts=``.
_ORDINARY = re.compile(r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#]|\Z)", re.ASCII)

#: A host pattern: an optional ``*.``, a name or an address, an optional port.
_PATTERN = r"(\*\.)?((?!\.)[^/?#@:\\\s\[\]%*,]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"


class Origin(NamedTuple):
    """Scheme, host and port; the port is set even if it is the default of the scheme."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def origin_of(url: object) -> Origin | None:
    """Return the origin of a prepared URL; None if it is not a plain http or https URL."""
    match = _URL.match(url) if isinstance(url, str) else None
    if match is None:
        return None
    scheme, host, port = match.groups()
    scheme = scheme.lower()
    return Origin(scheme, host.lower(), int(port) if port else _PORTS[scheme])


class Hosts:
    """Host patterns such as ``api.example.com``, ``*.example.org`` and ``tgw.local:5000``."""

    __slots__ = ("_parsed", "patterns")

    def __init__(self, option: str, patterns: Iterable[str] | str, *, wildcards: bool) -> None:
        """Check and normalise the patterns.

        Args:
            option: The name of the argument, for messages.
            patterns: The patterns; a single str is one pattern.
            wildcards: Whether ``*.`` is accepted.

        Raises:
            TypeError: ``patterns`` is not a str or an iterable of str.
            ValueError: An item is not a host pattern.
        """
        if isinstance(patterns, bytes) or not hasattr(patterns, "__iter__"):
            raise TypeError(f"{option}= is {type(patterns).__name__}: give host names in a list")
        items = [patterns] if isinstance(patterns, str) else list(patterns)
        parsed = {
            parse_host_pattern(f"{option}= item {number}", item, wildcards=wildcards)
            for number, item in enumerate(items, start=1)
        }
        self._parsed = tuple(parsed)
        #: The patterns in their normal form, sorted.
        self.patterns: tuple[str, ...] = tuple(sorted(f"{host}:{port}" if port else host for host, port in parsed))

    def matches(self, origin: Origin) -> bool:
        """Return whether a pattern matches the host and port of an origin."""
        _, host, port = origin
        for pattern, pattern_port in self._parsed:
            if pattern_port is None or pattern_port == port:
                # At least one character stands in the place of the asterisk.
                is_subdomain = pattern[0] == "*" and host.endswith(pattern[1:]) and len(host) >= len(pattern)
                if is_subdomain or host == pattern:
                    return True
        return False


def parse_host_pattern(what: str, item: object, *, wildcards: bool) -> tuple[str, int | None]:
    """Check a host pattern, and normalise it as requests normalises the host of a URL.

    Args:
        what: How messages name the pattern, such as ``hosts= item 1``.
        item: The pattern as the user gave it.
        wildcards: Whether ``*.`` is accepted.

    Returns:
        A pair. First, the host, with ``*.`` before it if the pattern has that. Second, the port, or None for
        any port.

    Raises:
        TypeError: ``item`` is not a str.
        ValueError: ``item`` is not a host pattern.
    """
    if not isinstance(item, str):
        raise TypeError(f"{what} is {type(item).__name__}: give a host name as a str")
    if "//" in item:
        raise ValueError(f"{what} is a URL, not a host: give its host alone, such as api.example.com")
    if "*" in item and not wildcards:
        raise ValueError(f"{what} is a wildcard: name each host that may be reached by plain HTTP, such as 127.0.0.1")
    if item.count(":") > 1 and "[" not in item:
        item = f"[{item}]"  # an IPv6 address, which a URL has in brackets
    match = re.fullmatch(_PATTERN, item)
    if match is None:
        examples = "api.example.com, *.example.com or tgw.local:5000" if wildcards else "localhost or 127.0.0.1"
        raise ValueError(f"{what} is not a host: write it like {examples}")
    star, host, port = match.groups()
    if star and (host[0] == "[" or host.rpartition(".")[2].isdigit()):
        raise ValueError(f"{what} is a wildcard on an address, which has no subdomains: name the address")
    if port and not 0 < int(port) < 65536:
        raise ValueError(f"{what} has a port that is not between 1 and 65535: correct it")
    origin = origin_of(prepared_url(f"https://{host}/"))
    if origin is None:
        raise ValueError(f"{what} is not a host that requests accepts in a URL: correct its spelling")
    return f"*.{origin.host}" if star else origin.host, int(port) if port else None


def prepared_url(url: str) -> str | None:
    """Return a URL as requests prepares it, with its host in lower case and IDNA form; None if requests rejects it."""
    request = PreparedRequest()
    try:
        request.prepare_url(url, None)
    except (RequestException, ValueError):  # old releases of urllib3 raise a UnicodeError, which would show the URL
        return None
    return request.url


class Destination:
    """The rules for where one auth object may send its key; `check` applies them to a URL."""

    __slots__ = ("allow_http", "hosts")

    def __init__(self, hosts: Iterable[str] | str | None, allow_http: Iterable[str] | str) -> None:
        """Check the arguments.

        Raises:
            TypeError: An argument is not a str or an iterable of str.
            ValueError: An item is not a host pattern, or ``hosts`` is empty.
        """
        self.allow_http: Hosts = Hosts("allow_http", allow_http, wildcards=False)
        self.hosts: Hosts | None = None if hosts is None else Hosts("hosts", hosts, wildcards=True)
        if self.hosts is not None and not self.hosts.patterns:
            raise ValueError("hosts= is empty, which would allow no host: name the hosts, or leave it out")

    def check(self, url: object) -> None:
        """Raise an exception if the key must not be sent to a URL.

        Args:
            url: The URL of a prepared request, which may be any object if it was set by hand.

        Raises:
            InsecureTransportError: The URL is not https, nor a direct connection that ``allow_http=`` permits.
            UntrustedHostError: ``hosts=`` does not name the host of the URL.
        """
        if self.hosts is None and type(url) is str and _ORDINARY.match(url):
            return
        origin = origin_of(url)
        if origin is None:
            raise InsecureTransportError(
                "the key was not sent because the URL is not http or https with a plain host name",
                "write it like https://api.example.com/v1/models",
            )
        host = origin.host.strip("[]")
        if origin.scheme != "https" and not self.allow_http.matches(origin):
            if host in _LOOPBACK:
                why, remedy = "must be allowed by name", "use {allow_http}, or https:// if the server speaks TLS"
            else:
                why = "shows it to everyone on the network path"
                remedy = "use https://{or_trust_path}"
            raise InsecureTransportError(
                f"the key was not sent to {origin} because plain HTTP {why}", remedy, host=host
            )
        if self.hosts is not None and not self.hosts.matches(origin):
            raise UntrustedHostError(
                f"the key was not sent to {origin} because the key is bound to {', '.join(self.hosts.patterns)}",
                "correct the URL, or name the host with {hosts} if the key belongs there",
            )
        if origin.scheme != "https" and select_proxy(str(url), get_environ_proxies(str(url))):
            raise InsecureTransportError(
                f"the key was not sent to {origin} because the environment's proxy settings route it through a proxy, "
                "which could read it over plain HTTP",
                f"connect directly with NO_PROXY={host}, or use https://",
            )

    def options(self) -> dict[str, tuple[str, ...]]:
        """Return the arguments of BearerEnvAuth that make these rules, without those that are empty."""
        hosts = {"hosts": self.hosts, "allow_http": self.allow_http}
        return {option: given.patterns for option, given in hosts.items() if given and given.patterns}

    def permits(self, url: object) -> bool:
        """Return whether the key may be sent to a URL; see `check`."""
        try:
            self.check(url)
        except BearerAuthError:
            return False
        return True
