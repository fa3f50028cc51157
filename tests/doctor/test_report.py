"""What may stand in the report."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requests_bearer_env.credential import Credential
from requests_bearer_env.doctor.report import bare_proxy, bare_url, printable, refused, span, untrusted
from requests_bearer_env.errors import BearerAuthError
from tests.helpers import KEY, OTHER_KEY

CREDENTIAL = Credential(f"Bearer {KEY}")


def test_the_remedy_is_what_an_error_ends_in() -> None:
    """An error of ours is split before what to do, at the last colon or semicolon."""
    check = refused("key", BearerAuthError("file a: b cannot be read: Permission denied; check the path"))
    assert check == ("key", "fail", "file a: b cannot be read: Permission denied", "check the path")


def test_a_colon_in_a_word_is_no_end() -> None:
    """The colons of a URL do not split an error."""
    check = refused("url", BearerAuthError("not to http://a:1: use https://a:2"))
    assert check[2:] == ("not to http://a:1", "use https://a:2")


def test_an_error_without_a_remedy_is_shown_whole() -> None:
    """Not even a message without what to do is lost."""
    assert refused("key", BearerAuthError("no")) == ("key", "fail", "no", "")


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x9b", "\u202e", "\u2066", "\u2028", "\udc80", "\0"])
def test_text_of_ours_keeps_to_its_line(char: str) -> None:
    """What a path may hold neither breaks a line nor reaches the terminal as a command."""
    assert printable(f"/tmp/ä{char}b c") == "/tmp/ä?b c"


@pytest.mark.parametrize("char", ["\x1b", "\x9b", "\x7f", "\0", "\u202e", "é", "\U0001f511"])
def test_text_of_others_is_visible_ascii(char: str) -> None:
    """Whatever is not visible ASCII becomes a question mark."""
    assert untrusted(f"a{char}{char}b") == "a?b"


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")), st.from_regex(r"[!-~]{1,30}", fullmatch=True))
def test_no_text_of_others_does_harm(text: str, key: str) -> None:
    """Whatever a server says is a line of visible ASCII, and the key is not in it."""
    shown = untrusted(f"{text}{key}{text}", Credential(f"Bearer {key}"))
    assert shown == "(not shown, as the key is in it)" or key not in shown.replace("***", "\0")
    assert shown.isascii()
    assert shown.isprintable() or not shown


@pytest.mark.parametrize("space", ["\n", "\r\n", "\t", "   ", "\u2028", "\x0b", "%0A", "%0D%0A"])
def test_text_of_others_is_one_line(space: str) -> None:
    """White space of any kind, escaped or not, is one space."""
    assert untrusted(f"a{space}b") == "a b"


def test_text_of_others_is_cut() -> None:
    """Nobody fills the screen."""
    assert untrusted("a" * 10_000) == "a" * 200 + "..."
    assert untrusted("a" * 200) == "a" * 200


@pytest.mark.parametrize(
    "echo", [KEY, KEY.upper(), KEY.lower(), quote(KEY), quote(KEY, safe=""), KEY[:8], KEY[5:13], KEY[-8:]]
)
def test_the_key_is_taken_out(echo: str) -> None:
    """The key, and any eight characters of it in a row, are replaced, escaped or not and in any case."""
    assert untrusted(f"<{echo}> is revoked", CREDENTIAL) == "<***> is revoked"


def test_each_piece_of_the_key_is_taken_out() -> None:
    """A key that is told twice, or in pieces, is hidden in each place."""
    assert untrusted(f"{KEY} and {KEY[:9]}|{KEY[20:30]}", CREDENTIAL) == "*** and ***|***"


def test_several_keys_are_taken_out() -> None:
    """Around a rotation there are two keys to hide."""
    assert untrusted(f"{OTHER_KEY}, {KEY}", CREDENTIAL, Credential(f"Bearer {OTHER_KEY}")) == "***, ***"


def test_the_key_is_taken_out_before_the_text_is_cut() -> None:
    """A key at the cut is not half shown."""
    shown = untrusted("." * 190 + KEY, CREDENTIAL)
    assert shown == "." * 190 + "***"


def test_no_more_than_seven_characters_of_the_key_are_nothing() -> None:
    """Words that happen to be in the key stay readable."""
    assert untrusted(f"{KEY[3:10]} is", CREDENTIAL) == f"{KEY[3:10]} is"


@pytest.mark.parametrize("key", ["e", "secret", "1234567"])
def test_text_with_a_short_key_is_not_shown_at_all(key: str) -> None:
    """Letters left out of a sentence can be guessed, so nothing of it is shown."""
    assert untrusted(f"the key {key.upper()} is revoked", Credential(f"Bearer {key}")) == (
        "(not shown, as the key is in it)"
    )


def test_text_without_a_short_key_is_shown() -> None:
    """A short key hides nothing else."""
    assert untrusted("no", Credential("Bearer e")) == "no"


def test_a_key_of_eight_characters_is_replaced() -> None:
    """Eight characters are long enough to leave the rest of the sentence."""
    assert untrusted("key abcdefgh!", Credential("Bearer abcdefgh")) == "key ***!"


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
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """Neither user, password, query nor fragment, nor the key where it stands in the path."""
    assert bare_url(url, CREDENTIAL) == shown


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://user:hunter2@proxy.example:3128", "proxy.example:3128"),
        ("http://user:hunt@er2@proxy.example:3128/", "proxy.example:3128"),
        ("http://user:hunt/er2@proxy.example", "proxy.example"),
        ("user:hunter2@[::1]:3128", "[::1]:3128"),
        ("SOCKS5H://proxy.example:1080", "proxy.example:1080"),
        ("proxy.example:3128", "proxy.example:3128"),
        ("http://user:hunter2", "(its address is not plain, so it is not shown)"),
        ("http://proxy.example/hunter2", "(its address is not plain, so it is not shown)"),
    ],
)
def test_a_proxy_is_shown_without_its_password(proxy: str, shown: str) -> None:
    """Host and port at most."""
    assert bare_proxy(proxy) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (1.9, "1 s"),
        (119.9, "119 s"),
        (120, "2 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (172_799, "47 hours"),
        (172_800, "2 days"),
        (8_640_000, "100 days"),
    ],
)
def test_a_span_is_in_words(seconds: float, words: str) -> None:
    """The unit is the largest of which there are two."""
    assert span(seconds) == words
