"""Which URLs are in a prefix, as a MountedAuth decides it."""

from __future__ import annotations

import re
from collections.abc import Callable
from unicodedata import normalize
from urllib.parse import unquote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import MOUNTS, chosen


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
        ("mailto:x@tgw.local", None),
        ("ftp://tgw.local/v1", None),
    ],
)
def test_the_longest_prefix_decides(url: str, name: str | None) -> None:
    """The origin matches exactly, and the path on whole segments."""
    assert chosen(url) == name


@pytest.mark.parametrize(
    "path",
    [
        *("..%2fmodels", "%2e%2e%2fmodels", "..%252fmodels", "..%5cmodels", "..;/models", "..;x=y/models"),
        *("..%2fmodels/%252e%252e/internal/x", "..%2fmodels/..;/internal/x", "..%20/models", "..%00/models"),
        *(".%09./models", ".%0a./models", ".%00./models", "..%00x/models", "%C0%AE%C0%AE/models", "..%C0%AFmodels"),
        *("%EF%BC%8E%EF%BC%8E/models", "..%EF%BC%8Fmodels", "%E2%80%A5/models", "..%23", "..%3f"),
        *("%20../models", "%00../models", "x%5c../models", "x;../models", "x%3f../models", "x%23../models"),
        *("%2%09e%2%09e/models", "%EF%BC%852e%EF%BC%852e/models"),
        "%" + "25" * 5000 + "2e",
    ],
)
def test_an_ambiguous_path_gets_no_admin_key(path: str) -> None:
    """Servers read such a path differently, so only the prefix of the whole origin matches it."""
    assert chosen(f"https://tgw.local/v1/internal/{path}") == "root"


@pytest.mark.parametrize(
    "path",
    [
        *("internal/../models", "internal/%2e%2e/models", "internal/./../models", "x/../../v1/internal/../models"),
        *("internal%2Fmodel", "internal%00/model", "/internal/model", "Internal/model"),
    ],
)
def test_a_path_out_of_a_prefix_does_not_match(path: str) -> None:
    """No dot segment leads into the admin's prefix, and no server that reads a path differently gets its key."""
    assert chosen(f"https://tgw.local/v1/{path}") == "v1"


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
        "/v1/internal/a..%2Fb",
        "/v1/internal/%2F..b",
    ],
)
def test_an_unambiguous_path_matches(path: str) -> None:
    """Dot segments are resolved, and an encoded character that no server treats specially does not matter."""
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
        ("/v1/internal/x\x01/../y", "root"),
        ("/v1/internal/x\0/../y", "root"),
    ],
)
def test_unresolved_dots_are_resolved(path: str, name: str) -> None:
    """Old releases of urllib3 leave them in a URL. Servers may merge slashes or drop a character first."""
    request = requests.Request("GET", "https://tgw.local/", auth=MOUNTS).prepare()
    request.url = f"https://tgw.local{path}"
    request.prepare_auth(MOUNTS)
    assert request.headers["Authorization"] == f"Named {name}"


def resolved(path: str) -> str:
    """Resolve the dot segments of a path."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


#: What a server or a proxy may do to a path, in any order and any number of times.
STEPS: list[Callable[[str], str]] = [
    unquote,
    resolved,
    lambda path: re.split(r"[?#\0]", path)[0],
    lambda path: re.sub(r"[\t\n\r]", "", path),
    lambda path: normalize("NFKC", path),
    lambda path: path.replace("\0", ""),
    lambda path: path.replace("\\", "/"),
    lambda path: re.sub(r";[^/]*", "", path),
    lambda path: re.sub(r"/+", "/", path),
]


def readings(path: str) -> set[str]:
    """Return every path that servers may read a path as."""
    found, new = set[str](), {path}
    while new:
        found |= new
        new = {step(reading) for reading in new for step in STEPS} - found
    return found


SEGMENTS = "v1 internal x .. . %2e%2e %252e. ..%2f %2F %252f ..;a .; %3b .%09. .%00. %23 %00 %5c %2%09e. %EF%BC%852e."


@given(
    st.sampled_from(["/", "/v1/internal/"]),
    st.lists(
        st.sampled_from(["", *SEGMENTS.split()]),
        max_size=6,
    ).map("/".join),
)
def test_a_match_holds_in_every_reading(start: str, rest: str) -> None:
    """If the admin key is chosen, every server reads the path as one of the admin's."""
    prepared = requests.Request("GET", f"https://tgw.local{start}{rest}", auth=MOUNTS).prepare()
    if prepared.headers["Authorization"] == "Named admin":
        for reading in readings(prepared.path_url):
            assert resolved(reading).split("/")[:3] == ["", "v1", "internal"]
