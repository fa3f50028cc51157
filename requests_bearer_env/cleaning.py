"""What may be shown of text that others have chosen: servers, redirects, the claims of a JWT.

Such text is truncated and loses what a terminal could take for a command, and whatever of the key is in it.
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
    from collections.abc import Iterator

    from .credential import Credential

#: The number of characters of such a text that are examined, and the number that are shown.
_MAX_EXAMINED, _MAX_SHOWN = 2048, 200

#: So many characters in a row that are also in the key are taken for a piece of it.
_PIECE = 8

#: Shorter pieces than `_PIECE` are readable words, unless half of the key is among them.
_SMALL_PIECE = 4

#: A text that was encoded more often than this is shown as it is then.
_MAX_DECODINGS = 3

_NOT_SHOWN = "(not shown because the key is in it)"

_PROXY = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:.*@)?((?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)/?", re.IGNORECASE
)


def replace_unprintable(text: str) -> str:
    """Keep text of this package in one line; a path in it may hold anything."""
    return "".join(char if char.isprintable() else "?" for char in text)


def sanitize(text: str, *credentials: Credential) -> str:
    """Return what may be shown of such text: one line of visible ASCII, truncated, without the keys.

    A key is found in pieces, in any case, with other characters strewn in, percent-encoded, in base64 and in hex.
    """
    text = _decode(text[:_MAX_EXAMINED])
    hidden: set[int] = set()
    for credential in credentials:
        found = _find_pieces(credential.removeprefix("Bearer "), text)
        if found is None:
            return _NOT_SHOWN
        hidden |= found
    text = re.sub("\0+", "***", "".join("\0" if at in hidden else char for at, char in enumerate(text)))
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _decode(text: str) -> str:
    """Decode a text as far as a reader could, into visible ASCII."""
    for _ in range(_MAX_DECODINGS):
        text = unescape(unquote(text))
    return re.sub(r"[^ -~]+", "?", " ".join(normalize("NFKC", text).split()))


def _find_pieces(key: str, text: str) -> set[int] | None:
    """Find the positions of the key's pieces in a text; None if the rest of the text would tell the key."""
    text = text.lower()
    letters = [at for at, char in enumerate(text) if char.isalnum()]
    squeezed = "".join(text[at] for at in letters)
    size = min(_PIECE, len(key))
    hidden = {at for start in _find_starts(key.lower(), text, size) for at in range(start, start + size)}
    for form in _encodings(key):
        length = min(size, len(form))
        for start in _find_starts(form, squeezed, length):
            hidden.update(range(letters[start], letters[start + length - 1] + 1))
    # Letters that are left out of a sentence can be guessed.
    if hidden and len(key) < _PIECE:
        return None
    rest = "".join(" " if at in hidden else text[at] for at in letters)
    small = _substrings(_letters_and_digits(key), _SMALL_PIECE)
    if small and 2 * len(small & _substrings(rest, _SMALL_PIECE)) >= len(small):
        return None
    return hidden


def _encodings(key: str) -> Iterator[str]:
    """The key as it may stand in a text, letters and digits alone."""
    yield _letters_and_digits(key)
    data = key.encode()
    yield data.hex()
    for offset, changed in ((0, 0), (1, 2), (2, 3)):  # what stands before a key moves it within base64's groups
        yield _letters_and_digits(b64encode(b"\0" * offset + data).decode().rstrip("=")[changed:-1])


def _letters_and_digits(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def _find_starts(form: str, text: str, size: int) -> list[int]:
    """Where in a text a piece of a form begins."""
    grams = _substrings(form, size)
    return [start for start in range(len(text) - size + 1) if text[start : start + size] in grams]


def _substrings(text: str, size: int) -> set[str]:
    """All pieces of a size; a piece of nothing is none."""
    return {text[start : start + size] for start in range(len(text) - size + 1)} if size else set()


def is_harmless(text: str, *credentials: Credential) -> bool:
    """Whether such a text may be shown as it is, in full: one line of visible ASCII that has nothing of the keys."""
    plain = text.isascii() and text.isprintable() and len(text) <= _MAX_EXAMINED
    return plain and sanitize(text, *credentials) == sanitize(text)


def url_without_secrets(url: str) -> str:
    """Return scheme, host, port and path of a URL: what else is in it may be secret."""
    path = re.split(r"[?#]", url)[0].split("/")[3:]
    return "/".join([str(origin_of(url)), *path])


def sanitize_url(url: str, *credentials: Credential) -> str:
    """Return what may be shown of a URL that others may have chosen."""
    return sanitize(url_without_secrets(url), *credentials)


def proxy_address(proxy: str) -> str:
    """Return host and port of a proxy: before them stands its password."""
    match = _PROXY.fullmatch(proxy)
    return match[1] if match else "(its address is not plain, so it is not shown)"
