"""Every message whole: one sentence that says what was seen, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, MountedAuth, command
from requests_bearer_env.destination import Destination

anything: Any = BearerEnvAuth
mounted: Any = MountedAuth
run: Any = command
basic = BearerEnvAuth()

WRONG: dict[str, Callable[[], object]] = {
    "env= is int: give the name of an environment variable": lambda: anything(5),
    (
        "env= (6 characters, not shown) is not the name of an environment variable: "
        "put the key into a variable and give the name of that"
    ): lambda: anything("sk-abc"),
    "file= is a path in bytes: give it as a str": lambda: anything(file=b"key"),
    "file= is not a path (blank, or with a NULL in it): give the path of the key's file": lambda: anything(file=" "),
    "provider= is str: give a function that returns the key": lambda: anything(provider="key"),
    "ttl= is str: give a number of seconds": lambda: anything(provider=print, ttl="5"),
    "ttl= is not a positive, finite number: give the seconds to keep the provider's key": lambda: anything(
        provider=print, ttl=0
    ),
    "ttl= comes without provider=, and only a provider's key is kept: leave it out": lambda: anything(ttl=5),
    "hosts= takes host names, not int: name the hosts in a list": lambda: anything(hosts=5),
    "hosts= item 1 is int, not a host name: write it as a str": lambda: anything(hosts=[5]),
    "hosts= is empty, which would allow no host: name the hosts, or leave it out": lambda: anything(hosts=[]),
    "hosts= item 1 is a URL, not a host: write its host alone, such as api.example.com": lambda: anything(
        hosts="https://a.example"
    ),
    "hosts= item 1 is not a host: write api.example.com, *.example.com or tgw.local:5000": lambda: anything(hosts="*"),
    "hosts= item 1 is a wildcard on an address, which has no subdomains: name the address": lambda: anything(
        hosts="*.10.0.0.1"
    ),
    "hosts= item 1 has a port that is not between 1 and 65535: correct it": lambda: anything(hosts="a.example:0"),
    "hosts= item 1 is not a host that requests accepts in a URL: correct its spelling": lambda: anything(
        hosts="\u2048.example"
    ),
    "allow_http= item 1 is a wildcard: name each host that may be reached by plain HTTP": lambda: anything(
        allow_http="*.example"
    ),
    "the command is a string: give a list of the program and its arguments, no shell is used": lambda: run("op"),
    "the command has a part that is not a str: give a list of str": lambda: run([b"op"]),
    "the command has no program, or a NULL in it: give a list of the program and its arguments": lambda: run([]),
    "timeout= is str: give a number of seconds": lambda: run(["op"], timeout="5"),
    "timeout= is not a positive, finite number of seconds: give how long to wait for the program": lambda: run(
        ["op"], timeout=0
    ),
    "mounts are list: give a dict of URL prefixes and auth objects": lambda: mounted([]),
    "mounts are empty, so no request would get a key: give URL prefixes and auth objects": lambda: mounted({}),
    "prefix 1 is int: give a URL such as https://api.example.com/v1/": lambda: mounted({5: basic}),
    "what is mounted at prefix 1 is tuple: give an auth object": lambda: mounted({"https://a.example": ("u", "p")}),
    "prefix 1 is not an http or https URL with a host: write https://api.example.com/v1/": lambda: mounted(
        {"x": basic}
    ),
    "prefix 1 has a query, a fragment or a user: give scheme, host and path alone": lambda: mounted(
        {"https://a.example/?x": basic}
    ),
    "prefix 1 has a path that servers read differently: write it without percent-encoding": lambda: mounted(
        {"https://a.example/a%2fb": basic}
    ),
    "two prefixes are the same, so nobody can tell which key is meant: leave one of them out": lambda: mounted(
        {"https://a.example": basic, "https://A.example": basic}
    ),
    "BearerEnvAuth is immutable: make another one": lambda: setattr(basic, "x", 1),
    "MountedAuth is immutable: make another one": lambda: delattr(MountedAuth({"https://a.example": basic}), "x"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_argument_is_told_whole(message: str) -> None:
    """When the object is made."""
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        WRONG[message]()
    assert str(caught.value) == message


SOURCES: dict[str, Callable[[], object]] = {
    "there is no key to send: environment variable TGW_KEY is not set; put the key there": lambda: BearerEnvAuth(
        "TGW_KEY"
    ),
    (
        "there is no key to send: the environment variable that env= names "
        "(7 characters, not shown as it may be a key) is not set; put the key there"
    ): lambda: BearerEnvAuth("hunter2"),
    (
        "there is no key to send: the file at a path of 7 characters (not shown as it may be a key) "
        "does not exist; put the key there"
    ): lambda: BearerEnvAuth(file="hunter2"),
    (
        "there is no key to send: file $NO_SUCH_VARIABLE/key does not exist ($ in it names no variable); "
        "put the key there"
    ): lambda: BearerEnvAuth(file="$NO_SUCH_VARIABLE/key"),
    (
        "environment variable BOTH_KEY and its _FILE variant are both set, so nobody can tell which key is meant: "
        "unset one of the two"
    ): lambda: BearerEnvAuth("BOTH_KEY"),
    "file /dev/zero has more than 16384 bytes, so it is no key: check the path": lambda: BearerEnvAuth(
        file="/dev/zero"
    ),
    "the path of the key's file is too long: give a path, not the key itself": lambda: BearerEnvAuth(file="k" * 5000),
    "file / cannot be read: Is a directory; check the path and its permissions": lambda: BearerEnvAuth(file="/"),
    "file utf-16 is UTF-16 (PowerShell's > writes that): store the key in it as UTF-8": lambda: BearerEnvAuth(
        file="utf-16"
    ),
    "file binary is not UTF-8 text: store the key in it as UTF-8": lambda: BearerEnvAuth(file="binary"),
    "provider bad raised OSError: call it by hand to see why": lambda: BearerEnvAuth(provider=bad),
    "provider list returned list: it must return a str, or None": lambda: anything(provider=list),
    "command false failed with exit status 1; run it by hand to see why": lambda: BearerEnvAuth(
        provider=command(["false"])
    ),
    "command sh did not finish within 0.1 s; run it by hand to see why": lambda: BearerEnvAuth(
        provider=command(["sh", "-c", "sleep 60"], timeout=0.1)
    ),
    "the value of provider two (7 characters) cannot be a key: it has SPACE (U+0020) at position 4; "
    "a key is visible ASCII without white space, so copy it again": lambda: BearerEnvAuth(provider=two),
    "the value of provider quoted (5 characters) cannot be a key: it is wrapped in quotes, "
    "which are sent as part of a key; store it without them": lambda: BearerEnvAuth(provider=quoted),
    "the value of provider dotenv (7 characters) cannot be a key: it is a NAME=value line, as in a dotenv file; "
    "store only what stands after the =": lambda: BearerEnvAuth(provider=dotenv),
    "the value of provider scheme (0 characters) cannot be a key: it is the word Bearer alone; "
    "put the key there, the scheme is added for you": lambda: BearerEnvAuth(provider=scheme),
    "the value of provider lines (7 characters) cannot be a key: it has LINE FEED (U+000A) at position 4; "
    "it has more than one line, so store the key alone": lambda: BearerEnvAuth(provider=lines),
    "the value of provider nulls (4 characters) cannot be a key: it has NULL (U+0000) at position 2; "
    "it may be stored as UTF-16 (PowerShell's > does that), so store it as UTF-8": lambda: BearerEnvAuth(
        provider=nulls
    ),
    "the value of provider byte (4 characters) cannot be a key: it has the byte 0x80, which is not UTF-8, "
    "at position 4; a key is visible ASCII without white space, so copy it again": lambda: BearerEnvAuth(provider=byte),
}


def bad() -> str:
    """Fail."""
    raise OSError


def two() -> str:
    """Two words."""
    return "abc def"


def quoted() -> str:
    """In quotes."""
    return '"abc"'


def dotenv() -> str:
    """A dotenv line."""
    return "KEY=abc"


def scheme() -> str:
    """The scheme alone."""
    return "Bearer"


def lines() -> str:
    """Two lines."""
    return "abc\ndef"


def nulls() -> str:
    """As UTF-16 looks."""
    return "a\0b\0"


def byte() -> bytes:
    """Not ASCII."""
    return b"abc\x80"


@pytest.mark.parametrize("message", SOURCES)
def test_a_failing_source_is_told_whole(message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When a request is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOTH_KEY", "a")
    monkeypatch.setenv("BOTH_KEY_FILE", "b")
    Path("utf-16").write_bytes("key".encode("utf-16"))
    Path("binary").write_bytes(b"\xff\x00\xff")
    auth: Any = SOURCES[message]()
    with pytest.raises(ValueError if "cannot be a key" in message else OSError) as caught:
        auth.credential()
    assert str(caught.value) == message


DESTINATIONS: dict[str, Callable[[], None]] = {
    "the key was not sent because the URL has no https:// and plain host name: correct the URL": lambda: Destination(
        None, ()
    ).check("ftp://a.example/"),
    "the key was not sent to http://a.example because plain HTTP shows it to everyone on the way: "
    "use https://, or if you trust that way, allow_http=['a.example']": lambda: Destination(None, ()).check(
        "http://a.example/"
    ),
    "the key was not sent to https://b.example:8443 because hosts= names only *.c.example, a.example: "
    "correct the URL, or add the host if the key belongs there": lambda: Destination(
        ["a.example", "*.c.example"], ()
    ).check("https://b.example:8443/"),
    "the key was not sent to http://[::1]:5000 because the environment's proxy settings would route it through "
    "a proxy in clear: connect directly with NO_PROXY=::1, or use https://": lambda: Destination(None, "::1").check(
        "http://[::1]:5000/"
    ),
}


@pytest.mark.parametrize("message", DESTINATIONS)
def test_a_forbidden_destination_is_told_whole(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a request is made."""
    monkeypatch.setenv("http_proxy", "http://user:hunter2@proxy.example:3128")
    with pytest.raises(OSError, match=r"^the key was not sent") as caught:
        DESTINATIONS[message]()
    assert str(caught.value) == message
