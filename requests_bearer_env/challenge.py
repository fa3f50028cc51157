"""A parser for the ``WWW-Authenticate`` header (RFC 9110 section 11.6.1, RFC 6750 section 3)."""

from __future__ import annotations

import re
from typing import NamedTuple

#: A parameter of a challenge, or its scheme if there is no ``=``.
_PART = re.compile(r"([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",]*)))?", re.ASCII)

#: The number of characters of the header that are parsed.
_LONGEST = 4000


class Challenge(NamedTuple):
    """The parsed header.

    Attributes:
        schemes: The schemes, in lower case.
        bearer: The parameters of the scheme Bearer, with names in lower case.
    """

    schemes: list[str]
    bearer: dict[str, str]


def parse_challenge(header: str) -> Challenge:
    """Parse a ``WWW-Authenticate`` header. urllib3 joins several such headers with commas."""
    challenge = Challenge([], {})
    for match in _PART.finditer(header[:_LONGEST]):
        word, quoted, plain = match.groups()
        if quoted is None and plain is None:
            challenge.schemes.append(word.lower())
        elif challenge.schemes[-1:] == ["bearer"]:
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            challenge.bearer.setdefault(word.lower(), value)
    return challenge
