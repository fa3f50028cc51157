"""Makes text from servers, redirects and JWTs safe to show in reports and messages.

Such text may repeat the key, and may hold characters that a terminal executes as commands.
"""

from __future__ import annotations

import re
from base64 import b64encode
from html import unescape
from typing import TYPE_CHECKING
from unicodedata import normalize
from urllib.parse import unquote

from .destination import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .credential import Credential

#: The number of characters of a text that are examined.
_MAX_EXAMINED = 2048

#: The number of characters of a text that are shown.
_MAX_SHOWN = 200

#: A piece of the key is this many consecutive characters of it. Shorter matches may be ordinary words.
_PIECE = 8

#: If a text holds half of all parts of the key with this length, it is not shown, because the key could be
#: reassembled from them.
_SMALL_PIECE = 4

#: The number of times that a text is decoded. What is then still encoded is shown encoded.
_MAX_DECODINGS = 3

_NOT_SHOWN = "(not shown because the key is in it)"

_PROXY = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:.*@)?((?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)/?", re.IGNORECASE
)


def replace_unprintable(text: str) -> str:
    """Return a text of this package with ? for each unprintable character, because a path in the text may hold one."""
    return "".join(char if char.isprintable() else "?" for char in text)


def sanitize(text: str, *credentials: Credential) -> str:
    """Return a text as one line of visible ASCII, truncated, and with ``***`` in place of the pieces of keys.

    A key is found even if it is incomplete, in other case, interspersed with spaces or punctuation,
    percent-encoded, in base64 or in hex.
    """
    text = _without_keys(text, credentials)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _without_keys(text: str, credentials: Sequence[Credential]) -> str:
    """Return a text as `sanitize` does, but of full length."""
    text = _decode(text[:_MAX_EXAMINED])
    hidden: set[int] = set()
    for credential in credentials:
        found = _find_pieces(credential.removeprefix("Bearer "), text)
        if found is None:
            return _NOT_SHOWN
        hidden |= found
    return re.sub("\0+", "***", "".join("\0" if at in hidden else char for at, char in enumerate(text)))


def _decode(text: str) -> str:
    """Decode HTML entities and percent-encoding, as a reader could, and return one line of visible ASCII."""
    for _ in range(_MAX_DECODINGS):
        text = unescape(unquote(text))
    return re.sub(r"[^ -~]+", "?", " ".join(normalize("NFKC", text).split()))


def _find_pieces(key: str, text: str) -> set[int] | None:
    """Return the positions of the key's pieces in a text; None if the rest of the text would reveal the key."""
    text = text.lower()
    letters = [at for at, char in enumerate(text) if char.isalnum()]
    squeezed = "".join(text[at] for at in letters)
    size = min(_PIECE, len(key))
    hidden = {at for start in _find_starts(key.lower(), text, size) for at in range(start, start + size)}
    for form in _encodings(key):
        length = min(size, len(form))
        for start in _find_starts(form, squeezed, length):
            hidden.update(range(letters[start], letters[start + length - 1] + 1))
    # A reader could guess a key this short from the words around it.
    if hidden and len(key) < _PIECE:
        return None
    rest = "".join(" " if at in hidden else text[at] for at in letters)
    small = _substrings(_letters_and_digits(key), _SMALL_PIECE)
    if small and 2 * len(small & _substrings(rest, _SMALL_PIECE)) >= len(small):
        return None
    return hidden


def _encodings(key: str) -> Iterator[str]:
    """Yield the letters and digits of the key, plain, in hex and in base64."""
    yield _letters_and_digits(key)
    data = key.encode()
    yield data.hex()
    for offset, changed in ((0, 0), (1, 2), (2, 3)):  # base64 depends on the key's offset in a group of 3 bytes
        yield _letters_and_digits(b64encode(b"\0" * offset + data).decode().rstrip("=")[changed:-1])


def _letters_and_digits(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return "".join(char for char in text.lower() if char.isalnum())


def _find_starts(form: str, text: str, size: int) -> list[int]:
    """Return the positions in a text at which a part of ``form`` with a length of ``size`` begins."""
    parts = _substrings(form, size)
    return [start for start in range(len(text) - size + 1) if text[start : start + size] in parts]


def _substrings(text: str, size: int) -> set[str]:
    """Return all substrings with a length of ``size``; none if that is 0."""
    return {text[start : start + size] for start in range(len(text) - size + 1)} if size else set()


def is_harmless(text: str, *credentials: Credential) -> bool:
    """Return whether a text may be shown in full: it is one line of printable ASCII and has no piece of a key."""
    plain = text.isascii() and text.isprintable() and len(text) <= _MAX_EXAMINED
    return plain and _without_keys(text, credentials) == _without_keys(text, ())


def url_without_secrets(url: str) -> str:
    """Return scheme, host, port and path of a URL, because its other parts may be secret."""
    path = re.split(r"[?#]", url)[0].split("/")[3:]
    return "/".join([str(origin_of(url)), *path])


def sanitize_url(url: str, *credentials: Credential) -> str:
    """Return a URL without its secret parts, and sanitized, because a server may have chosen it."""
    return sanitize(url_without_secrets(url), *credentials)


def proxy_address(proxy: str) -> str:
    """Return host and port of a proxy's URL, without the password that it may hold."""
    match = _PROXY.fullmatch(proxy)
    return match[1] if match else "(address not shown because it cannot be parsed)"
