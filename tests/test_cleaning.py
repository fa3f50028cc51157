"""Text of a server, a path or a proxy setting, made safe to show."""

from __future__ import annotations

import re
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_bearer_env.cleaning import is_harmless, proxy_address, replace_unprintable, sanitize, sanitize_url
from requests_bearer_env.credential import Credential
from tests.helpers import KEY, OTHER_KEY

CREDENTIAL = Credential(f"Bearer {KEY}")
NOT_SHOWN = "(not shown because the key is in it)"


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x9b", "\u202e", "\u2066", "\u2028", "\udc80", "\0"])
def test_a_path_stays_on_one_line(char: str) -> None:
    """A path may hold control characters; they neither break a line nor reach the terminal."""
    assert replace_unprintable(f"/tmp/ä{char}b c") == "/tmp/ä?b c"


@pytest.mark.parametrize("char", ["\x1b", "\x9b", "\x7f", "\0", "\u202e", "é", "\U0001f511", "%1B", "%251b"])
def test_a_servers_text_is_visible_ascii(char: str) -> None:
    """Every other character becomes a question mark, even if it is percent-encoded."""
    assert sanitize(f"a{char}{char}b") == "a?b"


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")), st.from_regex(r"[!-~]{1,30}", fullmatch=True))
def test_any_text_becomes_one_harmless_line(text: str, key: str) -> None:
    """A server may send any text: visible ASCII on one line is shown, without the key."""
    shown = sanitize(f"{text}{key}{text}", Credential(f"Bearer {key}"))
    assert shown == NOT_SHOWN or key not in shown.replace("***", "\0")
    assert shown.isascii()
    assert shown.isprintable() or not shown


@pytest.mark.parametrize("space", ["\n", "\r\n", "\t", "   ", "\u2028", "\x0b", "%0A", "%0D%0A"])
def test_a_servers_text_is_one_line(space: str) -> None:
    """Every kind of white space, encoded or not, becomes one space."""
    assert sanitize(f"a{space}b") == "a b"


def test_a_servers_text_is_truncated() -> None:
    """A long text does not fill the screen."""
    assert sanitize("a" * 10_000) == "a" * 200 + "..."
    assert sanitize("a" * 200) == "a" * 200


@pytest.mark.parametrize(
    "echo",
    [
        KEY, KEY.upper(), KEY.lower(), quote(KEY), quote(KEY, safe=""), quote(quote(KEY, safe="")), KEY[:8],
        KEY[5:13], KEY[-8:], "-".join(KEY), ".".join(KEY[at : at + 3] for at in range(0, len(KEY), 3)),
        "".join(f"&#{ord(char)};" for char in KEY), "".join(chr(ord(char) + 0xFEE0) for char in KEY),
        KEY.encode().hex(), KEY.encode().hex(":"), KEY.replace("~", ""),
    ],
)  # fmt: skip
def test_key_is_hidden(echo: str) -> None:
    """Any eight consecutive characters of the key are replaced, in whatever form the server repeats them."""
    assert sanitize(f"<{echo}> is revoked", CREDENTIAL) == "<***> is revoked"


@pytest.mark.parametrize("before", ["", "a", "ab", "user:", "Bearer "])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_key_in_base64_is_hidden(before: str, encode: Callable[[bytes], bytes]) -> None:
    """Text before the key shifts it within the groups of base64; a letter at either end may hold a few of its bits."""
    shown = sanitize(f"{encode(f'{before}{KEY}'.encode()).decode()} is revoked", CREDENTIAL)
    assert re.fullmatch(r"\w{0,11}\*\*\*\w?=* is revoked", shown)


def test_many_small_pieces_hide_the_text() -> None:
    """A text with half of the key in pieces of less than eight characters is not shown at all."""
    pieces = [KEY[at : at + 6] for at in range(0, len(KEY), 6)]
    assert sanitize(" x ".join(pieces), CREDENTIAL) == NOT_SHOWN
    assert sanitize(" x ".join(pieces[:4]), CREDENTIAL) == " x ".join(pieces[:4])


@pytest.mark.parametrize(
    ("key", "text", "shown"),
    [("abcdefgh", "abcde", "abcde"), ("abcdefghi", "abcde", "abcde"), ("abcdefghi", "abcdef", NOT_SHOWN)],
)
def test_half_of_the_small_pieces_is_too_much(key: str, text: str, shown: str) -> None:
    """A text with two of five or six pieces of four characters is shown, but not one with three of six."""
    assert sanitize(text, Credential(f"Bearer {key}")) == shown


def test_each_piece_is_hidden() -> None:
    """A key that the text has twice, or in pieces, is hidden in each place."""
    assert sanitize(f"{KEY} or {KEY[:9]}|{KEY[20:30]}", CREDENTIAL) == "*** or ***|***"


def test_several_keys_are_hidden() -> None:
    """During a rotation there are two keys to hide."""
    assert sanitize(f"{OTHER_KEY}, {KEY}", CREDENTIAL, Credential(f"Bearer {OTHER_KEY}")) == "***, ***"


def test_key_is_hidden_before_truncation() -> None:
    """Truncation does not leave the beginning of a key at the end of the text."""
    assert sanitize("." * 190 + KEY, CREDENTIAL) == "." * 190 + "***"


def test_seven_characters_are_not_a_piece() -> None:
    """Words that the key happens to contain stay readable."""
    assert sanitize(f"{KEY[3:10]} is", CREDENTIAL) == f"{KEY[3:10]} is"


@pytest.mark.parametrize("key", ["e", "secret", "1234567", "!!", "k-1"])
def test_text_with_a_short_key_is_not_shown(key: str) -> None:
    """A reader could guess a short key from a sentence with a gap."""
    assert sanitize(f"the key {key.upper()} is revoked", Credential(f"Bearer {key}")) == NOT_SHOWN


def test_text_without_a_short_key_is_shown() -> None:
    """A short key hides nothing else."""
    assert sanitize("no", Credential("Bearer e")) == "no"


@pytest.mark.parametrize("key", ["abcdefgh", "!!!!!!!!!!"])
def test_eight_characters_are_replaced(key: str) -> None:
    """From eight characters on, only the key is replaced."""
    assert sanitize(f"key {key[:8]}, no", Credential(f"Bearer {key}")) == "key ***, no"


def test_longest_text_takes_no_time() -> None:
    """The longest key and the longest text take less than a second."""
    start = time.process_time()
    sanitize("ab" * 5000, Credential("Bearer " + "ab" * 8000 + "c"))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hunter2@Host:5000/v1/models?key=1#part", "https://host:5000/v1/models"),
        ("https://host", "https://host"),
        ("https://host?q=/x", "https://host"),
        ("https://host#/x", "https://host"),
        ("http://[::1]:80/a//b/", "http://[::1]/a//b/"),
        (f"https://host/{KEY}/x", "https://host/***/x"),
    ],
)
def test_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """User, password, query and fragment are removed, and the key is hidden in the path."""
    assert sanitize_url(url, CREDENTIAL) == shown


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://user:hunter2@proxy.example:3128", "proxy.example:3128"),
        ("http://user:hunt@er2@proxy.example:3128/", "proxy.example:3128"),
        ("http://user:hunt/er2@proxy.example", "proxy.example"),
        ("user:hunter2@[::1]:3128", "[::1]:3128"),
        ("SOCKS5H://proxy.example:1080", "proxy.example:1080"),
        ("proxy.example:3128", "proxy.example:3128"),
        ("http://user:hunter2", "(address not shown because it cannot be parsed)"),
        ("http://proxy.example/hunter2", "(address not shown because it cannot be parsed)"),
    ],
)
def test_proxy_is_shown_without_its_password(proxy: str, shown: str) -> None:
    """Only host and port are shown."""
    assert proxy_address(proxy) == shown


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("/v1/models?x=1", True),
        ("x" * 2048, True),
        ("x" * 2049, False),
        ("two\nlines", False),
        ("/modèles", False),
        (f"/{KEY[:20]}", False),
    ],
)
def test_harmless_text_is_recognised(text: str, harmless: bool) -> None:
    """A text is harmless if it is one line of printable ASCII, was examined to its end, and has no piece of the key."""
    assert is_harmless(text, CREDENTIAL) is harmless
