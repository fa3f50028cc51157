"""What a ``WWW-Authenticate`` header asks for (RFC 9110 section 11.6.1, RFC 6750 section 3)."""

from __future__ import annotations

import re
from typing import NamedTuple

#: A challenge's parameter, or its scheme.
_PART = re.compile(r"([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",]*)))?", re.ASCII)

#: So many characters of the header are looked at.
_LONGEST = 4000


class Challenge(NamedTuple):
    """The schemes that the header names, in lower case, and the parameters of ``Bearer``."""

    schemes: list[str]
    bearer: dict[str, str]


def parse_challenge(header: str) -> Challenge:
    """Parse a ``WWW-Authenticate`` header; several of them are one, with commas between them."""
    challenge = Challenge([], {})
    for match in _PART.finditer(header[:_LONGEST]):
        word, quoted, plain = match.groups()
        if quoted is None and plain is None:
            challenge.schemes.append(word.lower())
        elif challenge.schemes[-1:] == ["bearer"]:
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            challenge.bearer.setdefault(word.lower(), value)
    return challenge
