"""The line about a key that is a JWT."""

from __future__ import annotations

from typing import Any

import pytest

from requests_bearer_env.credential import Credential
from requests_bearer_env.doctor.jwt import check_jwt
from requests_bearer_env.doctor.report import Check
from tests.helpers import JWT_HEADER, encoded, jwt

NOW = 1_800_000_000


def checked(credential: Credential) -> Check:
    """Return the line about a JWT."""
    check = check_jwt(credential, NOW)
    assert check is not None
    return check


@pytest.mark.parametrize(
    "key",
    [
        "sk-abcdefghijklmnopqrstuvwxyz",
        "one.two.three",
        "one.two",
        f"{encoded(JWT_HEADER)}.{encoded({})}.c2ln.c2ln.c2ln",
        f"{encoded(['RS256'])}.{encoded({})}.c2ln",
        f"{encoded(b'not JSON')}.{encoded({})}.c2ln",
        f"{encoded(b'[' * 100_000)}.{encoded({})}.c2ln",
        f"{encoded(JWT_HEADER)}A.{encoded({})}.c2ln",
        f"{encoded(JWT_HEADER)}=.{encoded({})}.c2ln",
        f"x-{encoded(JWT_HEADER)}.{encoded({})}.c2ln~",
    ],
    ids=range(10),
)
def test_another_key_is_not_a_jwt(key: str) -> None:
    """A JWT has three base64url parts, and its header is a JSON object."""
    assert check_jwt(Credential(f"Bearer {key}"), NOW) is None


COPY_AGAIN = (
    "store the whole key again, with an editor: terminals truncate a pasted line at 1023 or 4095 characters, "
    "and setx at 1024"
)


@pytest.mark.parametrize("claims", [b"not JSON", b"\xff\xfe\xff", ["exp"], "text", 7, None, b"[" * 100_000, b"{", b""])
def test_unreadable_claims_fail(claims: object) -> None:
    """Claims that are not a JSON object were truncated or damaged."""
    check = checked(jwt(claims))
    detail = "the key has the header of a JWT, but its claims cannot be read"
    assert check == ("jwt", "fail", detail, COPY_AGAIN)


@pytest.mark.parametrize("length", [60, 400])
def test_key_truncated_in_its_claims_fails(length: int) -> None:
    """A terminal truncates a long line silently."""
    key = jwt({"scope": "read " * 200})[:length]
    assert checked(Credential(key)).detail == "the key has the header of a JWT, but its claims cannot be read"


def test_key_without_a_signature_fails() -> None:
    """A key may be truncated exactly at a dot."""
    key = f"Bearer {encoded(JWT_HEADER)}.{encoded({'scope': 'read'})}"
    detail = "has no signature, so its end is missing; scope read"
    assert checked(Credential(key)) == ("jwt", "fail", detail, COPY_AGAIN)


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [
        ("HS256", 32), ("HS384", 48), ("HS512", 64), ("ES256", 64), ("ES384", 96), ("ES512", 132), ("EdDSA", 64),
        ("RS256", 128), ("RS256", 256), ("RS384", 384), ("PS512", 512),
    ],
)  # fmt: skip
def test_truncated_signature_warns(algorithm: str, size: int) -> None:
    """The algorithm determines the length of the signature (RFC 7518 section 3.1)."""
    header = {"alg": algorithm}
    whole = encoded(b"s" * size)
    assert checked(jwt({}, header, whole)).status == "ok"
    for signature in (whole[:-2], whole[: len(whole) // 3], "", whole + "xx"):
        detail = f"its signature has {len(signature)} characters, the wrong length for its algorithm"
        assert checked(jwt({}, header, signature)) == ("jwt", "warn", detail, COPY_AGAIN)


def test_rsa_signature_of_512_bits_warns() -> None:
    """No issuer has an RSA key of that size, so the signature is half of a longer one."""
    assert checked(jwt({}, {"alg": "RS256"}, encoded(b"s" * 64))).status == "warn"


@pytest.mark.parametrize("header", [{}, {"alg": "none"}, {"alg": 7}, {"alg": "X"}, {"alg": "ES256K"}])
def test_signature_of_another_kind_is_ok(header: object) -> None:
    """The length of an unknown algorithm's signature is unknown."""
    assert checked(jwt({}, header, "")).status == "ok"


def test_claims_that_are_not_base64_fail() -> None:
    """Claims of a length that base64 cannot have are unreadable."""
    assert checked(Credential(f"Bearer {encoded(JWT_HEADER)}.abcde.c2ln")).status == "fail"


def test_alphabet_of_urls_is_read() -> None:
    """base64url has - and _ in place of + and / (RFC 7515 appendix C)."""
    key = jwt({"sub": ">>>>???"}, header={"alg": ">>>>???"}, signature="-_" * 171)
    assert all("-" in part and "_" in part for part in key.split("."))
    assert checked(key).status == "ok"


@pytest.mark.parametrize(
    ("left", "words"), [(1, "1 s"), (119, "119 s"), (120, "2 minutes"), (7200, "2 hours"), (172_800, "2 days")]
)
def test_time_left_is_shown(left: int, words: str) -> None:
    """The line about a valid key says how long it remains valid."""
    check = checked(jwt({"exp": NOW + left}))
    assert check == Check("jwt", "ok", f"expires in {words}; no scopes; no audience")


@pytest.mark.parametrize(("past", "words"), [(0, "0 s"), (0.5, "0 s"), (3600, "60 minutes"), (3 * 86400, "3 days")])
def test_expired_key_fails(past: float, words: str) -> None:
    """A key is expired from the second of exp on (RFC 7519 section 4.1.4)."""
    detail = f"expired {words} ago"
    assert checked(jwt({"exp": NOW - past})) == ("jwt", "fail", detail, "get a new key from its issuer")


CLOCKS = "wait, or see whether this machine's clock is slow"


def test_key_of_the_future_fails() -> None:
    """Before nbf the key is not valid; a slow clock may be the cause."""
    detail = "not valid for another 10 minutes (nbf)"
    assert checked(jwt({"nbf": NOW + 600, "exp": NOW + 9999})) == ("jwt", "fail", detail, CLOCKS)


def test_key_issued_in_the_future_warns() -> None:
    """Some servers refuse such a key, and one of the clocks is wrong."""
    detail = "issued 10 minutes in the future (iat)"
    assert checked(jwt({"iat": NOW + 600, "exp": NOW + 9999})) == ("jwt", "warn", detail, CLOCKS)
    assert checked(jwt({"iat": NOW + 30})).status == "ok"
    assert checked(jwt({"iat": NOW + 31})).status == "warn"


def test_key_is_valid_from_nbf_on() -> None:
    """A key is valid from the second of nbf on (RFC 7519 section 4.1.5)."""
    assert checked(jwt({"nbf": NOW})).status == "ok"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    ["1800000000", True, None, [1], float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e12, -1e12],
)
def test_invalid_date_fails(name: str, value: Any) -> None:
    """Servers refuse a key whose dates are not numbers of seconds."""
    detail = f"its {name} is not a date in seconds"
    assert checked(jwt({name: value})) == ("jwt", "fail", detail, "get a new key from its issuer")


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({}, "no scopes; no audience"),
        *(
            ({claim: value}, f"{claim} read write; no audience")
            for claim in ("scope", "scopes", "scp", "roles", "role", "permissions")
            for value in ("read write", ["read", "write"], ["read", 7, "write"])
        ),
        ({"scp": "read", "roles": ["admin"]}, "scp read, roles admin; no audience"),
        ({"scope": ""}, "scope (empty); no audience"),
        ({"scope": []}, "scope (empty); no audience"),
        ({"scope": {}}, "scope (empty); no audience"),
        ({"scope": 7}, "scope (empty); no audience"),
        *(({"aud": value}, "no scopes; audience me") for value in ("me", ["me"])),
        ({"scope": f"read {encoded(JWT_HEADER)[:12]} write"}, "scope read *** write; no audience"),
        ({"sub": "alice", "email": "alice@example.com"}, "no scopes; no audience"),
    ],
)
def test_rights_are_shown(claims: object, shown: str) -> None:
    """Every claim that grants rights is shown, without a piece of the key, and no claim that names a user."""
    detail = f"has no exp, so it does not expire by itself; {shown}"
    assert checked(jwt(claims)) == ("jwt", "ok", detail, "")


def test_failing_key_shows_its_rights() -> None:
    """The line about an expired key shows its scope and audience, too."""
    detail = "expired 2 hours ago; scope read; audience me"
    assert checked(jwt({"exp": NOW - 7200, "scope": "read", "aud": "me"})).detail == detail


def test_text_of_claims_is_not_trusted() -> None:
    """A claim can neither colour the terminal nor add a line nor fill the screen."""
    detail = checked(jwt({"scope": "a\x1b[31m\nok    key\u202e" + "z" * 5000, "aud": "\u0000\u05d0"})).detail
    assert detail.isascii()
    assert detail.isprintable()
    assert len(detail) < 500


def test_a_key_may_be_truncated_and_expired() -> None:
    """A truncated key is reported as expired, too, because the whole key would be refused."""
    detail = "its signature has 12 characters, the wrong length for its algorithm; expired 60 minutes ago"
    remedy = f"{COPY_AGAIN}; get a new key from its issuer"
    assert checked(jwt({"exp": NOW - 3600}, signature="c2lnbmF0dXJl")) == ("jwt", "fail", detail, remedy)
