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
_READ, _SHOWN = 2048, 200

#: So many characters in a row that are also in the key are taken for a piece of it.
_PIECE = 8

#: Shorter pieces than `_PIECE` are readable words, unless half of the key is among them.
_SMALL_PIECE = 4

#: A text that was encoded more often than this is shown as it is then.
_DECODINGS = 3

_NOT_SHOWN = "(not shown because the key is in it)"

_PROXY = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:.*@)?((?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)/?", re.IGNORECASE
)


def printable(text: str) -> str:
    """Keep text of this package in one line; a path in it may hold anything."""
    return "".join(char if char.isprintable() else "?" for char in text)


def untrusted(text: str, *credentials: Credential) -> str:
    """Return what may be shown of such text: one line of visible ASCII, truncated, without the keys.

    A key is found in pieces, in any case, with other characters strewn in, percent-encoded, in base64 and in hex.
    """
    text = _decoded(text[:_READ])
    hidden: set[int] = set()
    for credential in credentials:
        found = _pieces(credential.removeprefix("Bearer "), text)
        if found is None:
            return _NOT_SHOWN
        hidden |= found
    text = re.sub("\0+", "***", "".join("\0" if at in hidden else char for at, char in enumerate(text)))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _decoded(text: str) -> str:
    """Decode a text as far as a reader could, into visible ASCII."""
    for _ in range(_DECODINGS):
        text = unescape(unquote(text))
    return re.sub(r"[^ -~]+", "?", " ".join(normalize("NFKC", text).split()))


def _pieces(key: str, text: str) -> set[int] | None:
    """Find the positions of the key's pieces in a text; None if the rest of the text would tell the key."""
    text = text.lower()
    letters = [at for at, char in enumerate(text) if char.isalnum()]
    squeezed = "".join(text[at] for at in letters)
    size = min(_PIECE, len(key))
    hidden = {at for start in _matches(key.lower(), text, size) for at in range(start, start + size)}
    for form in _forms(key):
        length = min(size, len(form))
        for start in _matches(form, squeezed, length):
            hidden.update(range(letters[start], letters[start + length - 1] + 1))
    # Letters that are left out of a sentence can be guessed.
    if hidden and len(key) < _PIECE:
        return None
    rest = "".join(" " if at in hidden else text[at] for at in letters)
    small = _grams(_squeezed(key), _SMALL_PIECE)
    if small and 2 * len(small & _grams(rest, _SMALL_PIECE)) >= len(small):
        return None
    return hidden


def _forms(key: str) -> Iterator[str]:
    """The key as it may stand in a text, letters and digits alone."""
    yield _squeezed(key)
    data = key.encode()
    yield data.hex()
    for offset, changed in ((0, 0), (1, 2), (2, 3)):  # what stands before a key moves it within base64's groups
        yield _squeezed(b64encode(b"\0" * offset + data).decode().rstrip("=")[changed:-1])


def _squeezed(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def _matches(form: str, text: str, size: int) -> list[int]:
    """Where in a text a piece of a form begins."""
    grams = _grams(form, size)
    return [start for start in range(len(text) - size + 1) if text[start : start + size] in grams]


def _grams(text: str, size: int) -> set[str]:
    """All pieces of a size; a piece of nothing is none."""
    return {text[start : start + size] for start in range(len(text) - size + 1)} if size else set()


def is_harmless(text: str, *credentials: Credential) -> bool:
    """Whether such a text may be shown as it is, in full: one line of visible ASCII that has nothing of the keys."""
    plain = text.isascii() and text.isprintable() and len(text) <= _READ
    return plain and untrusted(text, *credentials) == untrusted(text)


def without_secrets(url: str) -> str:
    """Return scheme, host, port and path of a URL: what else is in it may be secret."""
    path = re.split(r"[?#]", url)[0].split("/")[3:]
    return "/".join([str(origin_of(url)), *path])


def bare_url(url: str, *credentials: Credential) -> str:
    """Return what may be shown of a URL that others may have chosen."""
    return untrusted(without_secrets(url), *credentials)


def bare_proxy(proxy: str) -> str:
    """Return host and port of a proxy: before them stands its password."""
    match = _PROXY.fullmatch(proxy)
    return match[1] if match else "(its address is not plain, so it is not shown)"
