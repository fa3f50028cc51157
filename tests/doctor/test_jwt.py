"""What a JWT says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from requests_bearer_env.credential import Credential
from requests_bearer_env.doctor.jwt import check_jwt
from requests_bearer_env.doctor.report import Check
from tests.helpers import JWT_HEADER, encoded, jwt

NOW = 1_800_000_000


def checked(credential: Credential) -> Check:
    """What is reported of a JWT."""
    check = check_jwt(credential, NOW)
    assert check is not None
    return check


@pytest.mark.parametrize(
    "key",
    [
        "sk-abcdefghijklmnopqrstuvwxyz",
        "one.two.three",
        "one.two",
        f"{encoded(JWT_HEADER)}.{encoded({})}",
        f"{encoded(JWT_HEADER)}.{encoded({})}.c2ln.c2ln.c2ln",
        f"{encoded(['RS256'])}.{encoded({})}.c2ln",
        f"{encoded(b'not JSON')}.{encoded({})}.c2ln",
        f"{encoded(b'[' * 100_000)}.{encoded({})}.c2ln",
        f"{encoded(JWT_HEADER)}A.{encoded({})}.c2ln",
        f"{encoded(JWT_HEADER)}=.{encoded({})}.c2ln",
        f"x-{encoded(JWT_HEADER)}.{encoded({})}.c2ln~",
    ],
    ids=range(11),
)
def test_another_key_is_no_jwt(key: str) -> None:
    """A key without three base64url parts and a JSON object as its header is not looked at further."""
    assert check_jwt(Credential(f"Bearer {key}"), NOW) is None


@pytest.mark.parametrize("claims", [b"not JSON", b"\xff\xfe\xff", ["exp"], "text", 7, None, b"[" * 100_000, b"{"])
def test_unreadable_claims_fail(claims: object) -> None:
    """Claims that are no JSON object fail: the key was cut or damaged."""
    check = checked(jwt(claims))
    detail = "the key has a JWT's header, but its claims cannot be read"
    assert check == ("jwt", "fail", detail, "copy the key again, the whole of it")


def test_claims_that_are_no_base64_fail() -> None:
    """A part of an impossible length is unreadable, not an error."""
    assert checked(Credential(f"Bearer {encoded(JWT_HEADER)}.abcde.c2ln")).status == "fail"


def test_the_alphabet_of_urls_is_read() -> None:
    """In a JWT the last two letters of base64 are - and _ (RFC 7515 appendix C)."""
    key = jwt({"sub": ">>>>???"}, header={"alg": ">>>>???"}, signature="c2ln-_")
    assert all("-" in part and "_" in part for part in key.split("."))
    assert checked(key).status == "ok"


def test_an_empty_signature_is_read_as_well() -> None:
    """The algorithm "none" leaves the third part empty."""
    assert checked(jwt({}, signature="")).status == "ok"


@pytest.mark.parametrize(
    ("left", "words"), [(1, "1 s"), (119, "119 s"), (120, "2 minutes"), (7200, "2 hours"), (172_800, "2 days")]
)
def test_the_time_left_is_told(left: int, words: str) -> None:
    """A key that is valid says for how long."""
    check = checked(jwt({"exp": NOW + left}))
    assert check == Check("jwt", "ok", f"expires in {words}; no scopes; no audience")


@pytest.mark.parametrize("past", [0, 1, 0.5, 3600])
def test_an_expired_key_fails(past: float) -> None:
    """From the very second of exp on the key is expired (RFC 7519 section 4.1.4)."""
    check = checked(jwt({"exp": NOW - past}))
    assert check[:2] == ("jwt", "fail")
    assert check.detail.startswith("expired ")
    assert check.remedy == "get a new key from whoever issues it"


def test_it_is_told_how_long_ago_a_key_expired() -> None:
    """The age of an expired key hints at the rotation that did not happen."""
    assert checked(jwt({"exp": NOW - 3 * 86400})).detail.startswith("expired 3 days ago")


def test_a_key_of_the_future_fails() -> None:
    """Before nbf the key is not valid, and a slow clock may be why."""
    check = checked(jwt({"nbf": NOW + 600, "exp": NOW + 9999}))
    assert check.status == "fail"
    assert check.detail.startswith("not valid for another 10 minutes (nbf)")
    assert check.remedy == "wait, or see whether this machine's clock is slow"


def test_a_key_is_valid_from_nbf_on() -> None:
    """In the second of nbf the key is valid (RFC 7519 section 4.1.5)."""
    assert checked(jwt({"nbf": NOW})).status == "ok"


def test_a_key_without_exp_says_so() -> None:
    """Nobody should take a missing exp for a long life."""
    assert checked(jwt({})).detail.startswith("has no exp, so it does not expire by itself")


@pytest.mark.parametrize("name", ["exp", "nbf"])
@pytest.mark.parametrize(
    "value",
    ["1800000000", True, None, [1], float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e12, -1e12],
)
def test_a_date_that_is_none_fails(name: str, value: Any) -> None:
    """Servers refuse a key whose dates are not numbers of seconds."""
    check = checked(jwt({name: value}))
    assert check.status == "fail"
    assert check.detail.startswith(f"its {name} is not a date in seconds")
    assert check.remedy


@pytest.mark.parametrize("claim", ["scope", "scopes", "scp", "roles", "role", "permissions"])
@pytest.mark.parametrize("value", ["read write", ["read", "write"], ["read", 7, "write"]])
def test_scopes_are_shown(claim: str, value: object) -> None:
    """What the key may do is shown, whichever claim says it and in whichever form."""
    assert checked(jwt({claim: value})).detail.endswith(f"; {claim} read write; no audience")


def test_several_claims_of_rights_are_all_shown() -> None:
    """Scopes and roles do not hide one another."""
    assert "; scp read, roles admin;" in checked(jwt({"scp": "read", "roles": ["admin"]})).detail


@pytest.mark.parametrize("audience", ["https://a.example", ["https://a.example"]])
def test_the_audience_is_shown(audience: object) -> None:
    """For whom the key is meant is shown."""
    assert checked(jwt({"aud": audience})).detail.endswith("; no scopes; audience https://a.example")


@pytest.mark.parametrize("scope", ["", [], {}, 7])
def test_an_empty_claim_is_told_from_none(scope: object) -> None:
    """A scope that is there and says nothing is shown as such."""
    assert "scope (empty)" in checked(jwt({"scope": scope})).detail


def test_a_failing_key_shows_its_reach_as_well() -> None:
    """An expired key still tells what it was for."""
    assert checked(jwt({"exp": 1, "scope": "read", "aud": "me"})).detail.endswith("; scope read; audience me")


def test_the_text_of_claims_is_not_trusted() -> None:
    """A claim can neither colour the terminal nor add a line, nor fill the screen."""
    detail = checked(jwt({"scope": "a\x1b[31m\nok    key\u202e" + "z" * 5000, "aud": "\u0000\u05d0"})).detail
    assert detail.isascii()
    assert detail.isprintable()
    assert len(detail) < 500


def test_a_piece_of_the_key_in_a_claim_is_not_shown() -> None:
    """Claims are shown in words; what of them stands in the key itself is hidden as anywhere."""
    assert "; scope read *** write;" in checked(jwt({"scope": f"read {encoded(JWT_HEADER)[:12]} write"})).detail


def test_other_claims_are_not_shown() -> None:
    """Whom the key belongs to is nobody's business."""
    assert "somebody" not in checked(jwt({"sub": "somebody", "email": "somebody@example.com"})).detail
