"""Which URLs are in a prefix, and what can be one: all as seen through a MountedAuth."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import AuthBase

from requests_bearer_env import MountedAuth


class Named(AuthBase):
    """An auth that can be told from others by its header."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        r.headers["Authorization"] = f"Named {self.name}"
        return r

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name == other.name


MOUNTS = MountedAuth(
    {
        "https://tgw.local/": Named("root"),
        "https://tgw.local/v1/internal/": Named("admin"),
        "https://tgw.local/v1": Named("v1"),
        "https://tgw.local:8443/": Named("port"),
        "http://tgw.local/": Named("plain"),
        "https://api.example/only/": Named("only"),
        "https://BÜCHER.example/": Named("idna"),
    }
)


def chosen(url: str, mounts: MountedAuth = MOUNTS, **options: Any) -> str | None:
    """The name of the auth that decides for a URL."""
    prepared = requests.Request("GET", url, auth=mounts, **options).prepare()
    header = prepared.headers.get("Authorization")
    return None if header is None else str(header).removeprefix("Named ")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://tgw.local", "root"),
        ("https://tgw.local/v2/x", "root"),
        ("https://tgw.local/v1", "v1"),
        ("https://tgw.local/v1/", "v1"),
        ("https://tgw.local/v1/models?x=/v1/internal/", "v1"),
        ("https://tgw.local/v1/models#/v1/internal/", "v1"),
        ("https://tgw.local/v10/models", "root"),
        ("https://tgw.local/v1/internal", "admin"),
        ("https://tgw.local/v1/internal/model/load", "admin"),
        ("https://tgw.local/v1/internals", "v1"),
        ("https://TGW.local:443/v1/internal/x", "admin"),
        ("https://user:pass@tgw.local/v1/internal/x", "admin"),
        ("https://tgw.local:8443/v1/internal/x", "port"),
        ("http://tgw.local/v1/internal/x", "plain"),
        ("https://api.example/only/x", "only"),
        ("https://api.example/", None),
        ("https://api.example/onlyx", None),
        ("https://api.example:8443/only/x", None),
        ("http://api.example/only/x", None),
        ("https://tgw.local.evil.test/v1/internal/", None),
        ("https://tgw.local@evil.test/v1/internal/", None),
        ("https://xn--bcher-kva.example/", "idna"),
    ],
)
def test_the_longest_prefix_decides(url: str, name: str | None) -> None:
    """By exact origin and whole segments of the path."""
    assert chosen(url) == name


@pytest.mark.parametrize(
    "path",
    [
        "/v1/internal/../models",
        "/v1/internal/%2e%2e/models",
        "/v1/internal/..%2fmodels",
        "/v1/internal/%2e%2e%2fmodels",
        "/v1/internal/..%252fmodels",
        "/v1/internal/..%5cmodels",
        "/v1/internal/..;/models",
        "/v1/internal/..;x=y/models",
        "/v1/internal/./../models",
        "/v1/x/../../v1/internal/../models",
        "/v1/internal/..%2fmodels/%252e%252e/internal/x",
        "/v1/internal/..%2fmodels/..;/internal/x",
        *(
            f"/v1/internal/{dots}models"
            for dots in (".%09./", ".%0a./", "..%20/", "..%00/", "%C0%AE%C0%AE/", "..%C0%AF")
        ),
        "/v1/internal/..%00x/models",
        "/v1/internal/.%00./models",
        "/v1/internal/%EF%BC%8E%EF%BC%8E/models",
        "/v1/internal/..%EF%BC%8Fmodels",
        "/v1/internal/%E2%80%A5/models",
        "/v1/internal/..%23",
        "/v1/internal/..%3f",
        "/v1/internal%2Fmodel",
        "/v1/internal%00/model",
        "/v1/internal/%" + "25" * 5000 + "2e",
        "/v1//internal/model",
        "/v1/Internal/model",
    ],
)
def test_no_trick_gets_the_key_with_more_power(path: str) -> None:
    """Where servers differ in what a path means, the prefix must match in every meaning."""
    assert chosen(f"https://tgw.local{path}") in {"v1", "root"}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/x/../internal/model",
        "/v1/./internal/model",
        "/v1/internal/a/../b",
        "/v1/internal//b",
        "/v1/internal/a%20b",
        "/v1/internal/a%3Fb%23/c",
        "/v1/internal/%C3%A9",
        "/v1/internal/a..b",
    ],
)
def test_what_every_server_takes_for_a_prefix_is_in_it(path: str) -> None:
    """Dot segments are resolved, and letters that have to be encoded are nothing special."""
    assert chosen(f"https://tgw.local{path}") == "admin"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/internal//../models", "root"),
        ("/v1/internal///../%5C/internal", "root"),
        ("/v1/internal/./x", "admin"),
        ("/v1/./internal/x", "admin"),
        ("/v1/internal/x/../y", "admin"),
        ("/v1/./internal/../models", "v1"),
        ("/..", "root"),
    ],
)
def test_dots_that_were_not_resolved_before_are_resolved_here(path: str, name: str) -> None:
    """Old releases of urllib3 leave them, and hands can write them; servers differ in merging slashes first."""
    request = requests.Request("GET", "https://tgw.local/", auth=MOUNTS).prepare()
    request.url = f"https://tgw.local{path}"
    request.prepare_auth(MOUNTS)
    assert request.headers["Authorization"] == f"Named {name}"


def resolved(path: str) -> str:
    """A path without dot segments."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


#: What some server or proxy on the way does to a path, in whatever order and as often as it likes.
STEPS: list[Callable[[str], str]] = [
    unquote,
    resolved,
    lambda path: re.split(r"[?#\0]", path)[0],
    lambda path: re.sub(r"[\t\n\r]", "", path),
    lambda path: path.replace("\0", ""),
    lambda path: path.replace("\\", "/"),
    lambda path: re.sub(r";[^/]*", "", path),
    lambda path: re.sub(r"/+", "/", path),
]


def readings(path: str) -> set[str]:
    """All that servers may make of a path."""
    found, new = set[str](), {path}
    while new:
        found |= new
        new = {step(reading) for reading in new for step in STEPS} - found
    return found


@given(
    st.sampled_from(["/", "/v1/internal/"]),
    st.lists(
        st.sampled_from(
            [
                "v1",
                "internal",
                "..",
                ".",
                "",
                "x",
                "%2e%2e",
                "%252e.",
                "..%2f",
                "%2F",
                "%252f",
                "..;a",
                ".;",
                "%3b",
                ".%09.",
                ".%00.",
                "%23",
                "%00",
                "%5c",
            ]
        ),
        max_size=6,
    ).map("/".join),
)
def test_a_match_is_a_match_in_every_reading(start: str, rest: str) -> None:
    """If the admin's key is chosen, then no server takes the path for one that is not the admin's."""
    prepared = requests.Request("GET", f"https://tgw.local{start}{rest}", auth=MOUNTS).prepare()
    if prepared.headers["Authorization"] == "Named admin":
        for reading in readings(prepared.path_url):
            assert resolved(reading).split("/")[:3] == ["", "v1", "internal"]


@pytest.mark.parametrize("url", ["mailto:x@tgw.local", "ftp://tgw.local/v1"])
def test_what_is_no_web_address_matches_nothing(url: str) -> None:
    """Hands and adapters can make such requests."""
    assert chosen(url) is None


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("https://", "is not an http or https URL with a host"),
        ("https:///v1/", "is not an http or https URL with a host"),
        ("tgw.local", "is not an http or https URL with a host"),
        ("tgw.local/v1/", "is not an http or https URL with a host"),
        ("", "is not an http or https URL with a host"),
        ("ftp://tgw.local/", "is not an http or https URL with a host"),
        ("https://*.tgw.local/", "is not an http or https URL with a host"),
        ("https://tgw.local/?x=1", "has a query, a fragment or a user"),
        ("https://tgw.local/#x", "has a query, a fragment or a user"),
        ("https://user:hunter2@tgw.local/", "has a query, a fragment or a user"),
        ("https://tgw.local/a%2Fb/", "has a path that servers read differently"),
        ("https://tgw.local/a//b/", "has a path that servers read differently"),
        ("https://tgw.local/a;b/", "has a path that servers read differently"),
    ],
)
def test_what_is_no_prefix_is_refused(prefix: str, words: str) -> None:
    """The message says which one it is, and shows no password."""
    with pytest.raises(ValueError, match=f"prefix 2 {words}") as caught:
        MountedAuth({"https://a.example/": Named("a"), prefix: Named("b")})
    assert "hunter2" not in str(caught.value)


def test_a_prefix_is_a_str() -> None:
    """Bytes are not."""
    mounts: Any = {b"https://tgw.local/": Named("a")}
    with pytest.raises(TypeError, match="prefix 1 is bytes"):
        MountedAuth(mounts)


def test_two_equal_prefixes_are_refused() -> None:
    """They may be written differently."""
    with pytest.raises(ValueError, match="two prefixes are the same"):
        MountedAuth({"https://tgw.local/v1": Named("a"), "https://TGW.local:443/x/../v1/": Named("b")})
