"""What a key may look like, and the header value that hides itself."""

from __future__ import annotations

import copy
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_bearer_env import InvalidKeyError
from requests_bearer_env.credential import Credential, parse
from requests_bearer_env.mistakes import explain_refusal

VISIBLE = [chr(code) for code in range(0x21, 0x7F)]
#: Keys without the characters that mistakes begin with or contain.
PLAIN_KEYS = st.text(string.ascii_letters + string.digits + "-._~+/", min_size=1).map(lambda key: f"sk-{key}")
WHITE = st.text(" \t\r\n\f\v\u00a0\u2003", max_size=4)


def value(raw: str) -> str | None:
    """Return what is sent for a raw value, as a plain str."""
    credential, _ = parse(raw, "a test")
    return None if credential is None else str(credential)


def refusal(raw: str) -> str:
    """Return the message that refuses a raw value."""
    with pytest.raises(InvalidKeyError) as caught:
        parse(raw, "a test")
    return str(caught.value)


@given(PLAIN_KEYS, WHITE, WHITE)
def test_white_space_around_a_key_is_trimmed(key: str, before: str, after: str) -> None:
    """The header is the scheme, one space, and the key, unaltered."""
    assert value(before + key + after) == f"Bearer {key}"


@given(PLAIN_KEYS, st.sampled_from(["Bearer", "bearer", "BEARER", "bEaReR"]), st.text(" \t", min_size=1, max_size=3))
def test_a_leading_scheme_is_dropped(key: str, scheme: str, space: str) -> None:
    """The scheme is in the header once, whatever the case it was stored in."""
    assert value(scheme + space + key) == f"Bearer {key}"


#: The texts that the patterns of mistakes look for.
PIECES = [
    *VISIBLE,
    *(
        "bearer",
        "Bearer",
        "Token",
        "Authorization",
        "export",
        "TGW_KEY",
        "=",
        "://",
        "${",
        "}",
        "{{",
        "}}",
        "$(",
        "ENC[",
    ),
    *("@Microsoft.KeyVault(", '{"key":"', '"}', '["'),
]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join))
def test_visible_ascii_is_never_altered(key: str) -> None:
    """A visible key is sent unaltered, or refused because of a mistake that `explain_refusal` names."""
    try:
        sent = value(key)
    except InvalidKeyError:
        assert key.lower() == "bearer" or explain_refusal(key) is not None
    else:
        assert sent == f"Bearer {key}"
        assert explain_refusal(key) is None


@given(st.text(string.ascii_letters + string.digits + "-._~+/", min_size=1), st.integers(0, 2))
def test_a_b64token_is_never_refused(text: str, padding: int) -> None:
    """Every b64token of RFC 6750 is sent as it is, except for the scheme's own word."""
    key = text + "=" * padding
    if key.lower() != "bearer":
        assert value(key) == f"Bearer {key}"


@given(st.text(max_size=60))
def test_what_is_sent_is_a_well_formed_header(raw: str) -> None:
    """For any text, the header is the scheme, one space and visible ASCII, or no header is made."""
    try:
        sent = value(raw)
    except InvalidKeyError:
        return
    assert sent is None or (sent.startswith("Bearer ") and set(sent[7:]) <= set(VISIBLE) and sent[7:] != "")


UNUSUAL = """1|abc abc== abc= p@ss:w{o}rd bearerabc b123bearer Bbearer bearerbearer B b-1 ' "x x' a= a== X-=X 1=X
    export-a=X a=X AZaz09_=X"""


@pytest.mark.parametrize("key", UNUSUAL.split())
def test_unusual_keys_are_sent_as_they_are(key: str) -> None:
    """RFC 6750's b64token is narrower than the keys in use, so it is not enforced."""
    assert value(key) == f"Bearer {key}"


@pytest.mark.parametrize(
    ("raw", "described"),
    [
        ("abc", ""),
        ("abX\n", "the line break at the end"),
        ("abc\r\n", "the line break at the end"),
        (" abc", "the white space around the key"),
        ("abc \n", "the white space around the key"),
        ("\ufeffabc", "the byte order mark"),
        ("Bearer abc", "the scheme Bearer"),
        ("\ufeffbearer abc\n", "the byte order mark and the line break at the end and the scheme Bearer"),
        ("bearerabc", ""),
        ("\ufeff abc", "the byte order mark and the white space around the key"),
        (" \ufeff abc", "the byte order mark and the white space around the key"),
    ],
)
def test_what_is_trimmed_is_described(raw: str, described: str) -> None:
    """The doctor names each part of a value that is not sent."""
    assert parse(raw, "a test")[1] == described


def test_a_byte_order_mark_is_dropped() -> None:
    """Editors and shells on Windows write one in front of a value."""
    assert value("\ufeffabc") == "Bearer abc"
    assert value("\ufeff Bearer abc\n") == "Bearer abc"


@pytest.mark.parametrize("raw", ["", " ", "\n", "\t \r\n", "\u00a0", "\ufeff", "\ufeff\n"])
def test_blank_is_not_a_key(raw: str) -> None:
    """A blank value counts as unset."""
    assert value(raw) is None


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("abc def", "SPACE (U+0020) at position 4"),
        ("abc\tdef", "TAB (U+0009) at position 4"),
        ("abc\ndef", "LINE FEED (U+000A) at position 4"),
        ("abc\r\ndef", "CARRIAGE RETURN (U+000D) at position 4"),
        ("a\0b\0", "NULL (U+0000) at position 2"),
        ("abc\x1b[0m", "ESCAPE (U+001B) at position 4"),
        ("\x7fabc", "DELETE (U+007F) at position 1"),
        ("ab\x01c", "an unnamed character (U+0001) at position 3"),
        ("ab\ue000c", "an unnamed character (U+E000) at position 3"),
        ("ab\u200bc", "ZERO WIDTH SPACE (U+200B) at position 3"),
        ("\ufeff\ufeffabc", "ZERO WIDTH NO-BREAK SPACE (U+FEFF) at position 1"),
        ("k\u00e9y", "LATIN SMALL LETTER E WITH ACUTE (U+00E9) at position 2"),
        ("ke\udcff", "the byte 0xFF, which is not UTF-8, at position 3"),
        ("ke\udc80", "the byte 0x80, which is not UTF-8, at position 3"),
        ("Bearer abc\u2026", "HORIZONTAL ELLIPSIS (U+2026) at position 4"),
        ("FlyV1 abc", "SPACE (U+0020) at position 6"),
    ],
)
def test_the_offending_character_is_named(raw: str, found: str) -> None:
    """A key has visible ASCII only; the message names what else is there, and where."""
    assert f" characters) has {found}: " in refusal(raw)


@pytest.mark.parametrize("raw", [" abc def ", "Bearer abc def", "\ufeffabc def\n"])
def test_a_refusal_names_source_and_length(raw: str) -> None:
    """Both help to find the value, and reveal nothing of the key."""
    assert refusal(raw).startswith("the value of a test (7 characters) has SPACE ")


@given(PLAIN_KEYS, st.sampled_from(["\n", " ", "\0", "\u200b", "é", "\udc80"]), PLAIN_KEYS)
def test_a_refusal_shows_nothing_of_the_key(before: str, offender: str, after: str) -> None:
    """The message has no part of the value, not even the neighbours of the offending character."""
    message = refusal(f"{before}{offender}{after}")
    assert before not in message
    assert after not in message


def test_repr_of_the_header_has_no_key() -> None:
    """This includes the repr of slices, which traceback printers make of a long value."""
    credential = Credential("Bearer abc")
    for shown in (repr(credential), repr([credential]), f"{credential!r}", repr(credential[:9]), repr(credential[-3:])):
        assert "abc" not in shown


def test_the_header_equals_its_plain_form() -> None:
    """Code that compares, hashes or sends it sees the plain value."""
    credential = Credential("Bearer abc")
    assert credential == "Bearer abc"
    assert hash(credential) == hash("Bearer abc")
    assert credential.encode("latin-1") == b"Bearer abc"
    assert credential[7:] == "abc"


def test_copies_of_the_header_are_exact() -> None:
    """Headers are copied on redirects; the copy must be sent as the original."""
    credential = Credential("Bearer abc")
    for copied in (copy.copy(credential), copy.deepcopy(credential), copy.deepcopy({"a": credential})["a"]):
        assert copied == "Bearer abc"
        assert repr(copied) == repr(credential)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_the_header_has_no_key(protocol: int) -> None:
    """Pickles are stored and sent around; the key is not in them."""
    pickled = pickle.dumps(Credential("Bearer abc"), protocol)
    assert b"abc" not in pickled
    assert pickle.loads(pickled) == "Bearer ***"


def test_reduce_of_the_header_has_no_key() -> None:
    """Code that calls the pickle methods itself gets the mask."""
    credential = Credential("Bearer abc")
    assert credential.__reduce__() == (str, ("Bearer ***",))
    assert credential.__getnewargs__() == ("Bearer ***",)
