"""Recognises values that are stored in place of a key by mistake.

`explain_refusal` explains values that are certainly not a key, and that are never sent. `explain_suspicion`
explains values that may be a key, so they are sent, and `requests_bearer_env.doctor` warns about them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import NamedTuple


class Mistake(NamedTuple):
    """A mistake in a value, and what to do; neither shows the value.

    The problem is the end of a sentence whose subject is the value. Options in the remedy are fields of
    `requests_bearer_env.errors.Wording`, as in ``{provider}``.
    """

    problem: str
    remedy: str


_SCHEME_ALONE = Mistake("has no key after the word Bearer", "store the key; the scheme is added for you")
_JSON = Mistake("is JSON, not the key alone", "store only the key that is in it")

#: Values that are certainly not keys. The first pattern that matches at the beginning of a value is used.
_REFUSED: tuple[tuple[re.Pattern[str], Mistake], ...] = (
    (
        re.compile(r"([\"'`]).*\1\Z", re.DOTALL),
        Mistake("is wrapped in quotes, which would be sent as part of the key", "store it without the quotes"),
    ),
    (
        re.compile(
            r"""
            [a-z][a-z0-9+.-]*://                              # op://vault/item/key, any other URL
            | (?: \$\{.*\} | \$\(.*\) | \{\{.*\}\} ) \s* \Z   # shells, templates, deployment tools
            | @Microsoft\.KeyVault\(.*\) \s* \Z
            | ENC\[.*\] \s* \Z                                # SOPS
            """,
            re.VERBOSE | re.DOTALL | re.IGNORECASE,
        ),
        Mistake(
            "is a reference to a secret or a URL, not the key itself",
            "store the key itself, or use {provider} with a program that resolves the reference",
        ),
    ),
    (
        re.compile(r"(?:[a-z-]*authorization|bearer)\s*:|[a-z][\w-]*:\s+\S", re.IGNORECASE),
        Mistake("is a whole header line, not the key alone", "store only the key; the scheme is added for you"),
    ),
    (
        re.compile(r"bearer\s+\S", re.IGNORECASE),
        Mistake("has the word Bearer twice before the key", "store only the key; the scheme is added for you"),
    ),
    (
        re.compile(r"(?:token|basic|apikey|api-key)\s+\S", re.IGNORECASE),
        Mistake("begins with a scheme other than Bearer", "store only the key, which is sent with the scheme Bearer"),
    ),
    (
        # A name in capitals, a name with a word such as key or token in it, or a name after export. Names are
        # limited to 64 characters, because keys may have = in the middle (Sentry, Atlassian) or at the end.
        re.compile(
            r"""
            (?: \#[^\n]*\n\s* )*
            (?:
                [A-Z_][A-Z0-9_]{0,63}
                | (?= \w*(?i:key|token|secret|pass|auth|bearer) ) [A-Za-z_]\w{0,63}
                | (?i:export)\s+[A-Za-z_]\w{0,63}
            )
            \s*=(?=[^=])
            """,
            re.ASCII | re.VERBOSE,
        ),
        Mistake("is a NAME=value line, as in a dotenv file", "store only the value, the part after the ="),
    ),
    (
        re.compile(r"export\s+\S", re.IGNORECASE),
        Mistake("begins with the word export", "store only the key"),
    ),
    (
        re.compile(r"\#[^\n]*\n"),
        Mistake("begins with a comment line, as a dotenv file may", "store the key alone"),
    ),
    (
        re.compile(r"[!-~]+[ \t]+(?:\#|//|;)"),
        Mistake("has a comment after the key, which would be sent as part of it", "store the key alone"),
    ),
)

#: The length of the longest placeholder. Longer values are not searched, which bounds the time of the search.
_LONGEST_PLACEHOLDER = 200

_PLACEHOLDER = Mistake(
    "looks like a placeholder in documentation",
    "store the real key; ignore this if the server's key really is this word",
)
_BEGINS_WITH_SCHEME = Mistake(
    "begins with the word Bearer and no space, so the word would be part of the key",
    "store only the key; the scheme is added for you",
)

#: Placeholders for a key in documentation, also after a vendor's prefix such as ``sk-`` or ``hf_``.
_PLACEHOLDERS = re.compile(
    r"""
    <.*> | \{.*\} | \[.*\]
    | (?: [a-z]{2,8}[_-] ){0,3}
      (?:
        (?: your | insert | enter | put | paste | replace | change ) [\W_] .* (?: key | token | secret | here | me )
        | (?: your | my )? [\W_]? (?: api | access | secret | auth )? [\W_]? (?: key | token ) [\W_]? (?: here )?
        | your | changeme | replaceme | placeholder | todo | none | null | nil | undefined | empty | dummy | example
        | user_provided | (?: not[_-]? | no[_-]key[_-]? | no[_-]api[_-]key[_-]? )(?: needed | required )
        | 1234 (?: 5 (?: 6 (?: 78? 9? 0? )? )? )?
        | x{3,} | \*{3,}
      )
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)

#: Values that may be keys. The first pattern that matches at the beginning of a value is used.
_SUSPECTED: tuple[tuple[re.Pattern[str], Mistake], ...] = (
    (
        re.compile(r"\$[A-Z_][A-Z0-9_]+\Z|\$env:\w+\Z|%\w+%\Z", re.ASCII),
        Mistake("looks like a reference to a variable that nothing has expanded", "store the variable's value"),
    ),
    (
        re.compile(
            r"""
            (?: vault | secret | secrets | secretref | env | keyring | ssm | op | bws? | file | aws-?sm | gcp-?sm ) :
                (?=[A-Za-z/_]) .*
            | arn:aws[a-z-]*: | os\.environ/ | projects/[^/]+/secrets/ | <path:
            """,
            re.VERBOSE | re.ASCII | re.IGNORECASE,
        ),
        Mistake(
            "looks like a reference to a secret that nothing has resolved",
            "store the key itself, or use {provider} with a program that resolves the reference",
        ),
    ),
    (
        re.compile(
            r"""
            / (?: app | data | etc | home | keys | media | mnt | opt | root | run | secrets | srv | tmp | Users | usr
                | var | vault ) / .*
            | (?: ~ | \.{1,2} | \$\{?\w+\}? | %\w+% ) [/\\] .*
            | [A-Za-z]:[/\\] .*
            """,
            re.VERBOSE | re.ASCII,
        ),
        Mistake(
            "looks like a path, not a key",
            "name the file in the variable with _FILE at the end of its name, or with {file}",
        ),
    ),
    (re.compile(r"bearer", re.IGNORECASE), _BEGINS_WITH_SCHEME),
    (
        re.compile(r"[\"'`]|.*[\"'`]\Z"),
        Mistake("has a quotation mark at one end, which is sent as part of it", "store it without the quotation mark"),
    ),
    (
        re.compile(r".*\\[nrt]\Z"),
        Mistake(
            "ends in a backslash and a letter, like an escape sequence that was not interpreted",
            "store it without them",
        ),
    ),
    (
        re.compile(r".*[,;]\Z"),
        Mistake("ends in a comma or semicolon, which is sent as part of it", "store it without that character"),
    ),
    (
        re.compile(r"[A-Za-z_]\w*=[^=]", re.ASCII),
        Mistake("looks like a NAME=value line, as in a dotenv file", "store only the value, the part after the ="),
    ),
    (
        re.compile(r".*%[0-9A-F]{2}", re.IGNORECASE),
        Mistake("looks percent-encoded, as in a URL", "store it decoded"),
    ),
    (
        re.compile(r".*(?:\.{3}|\*{3})"),
        Mistake("looks like a placeholder, or like a key that a web page shows in part", "store the whole key"),
    ),
    (
        re.compile(r"(.{16,})\1\Z"),
        Mistake("is the same text twice", "store it once"),
    ),
)

_NOT_VISIBLE = re.compile(r"[^!-~]")

#: Names of control characters that occur in stored keys, because unicodedata has no names for control characters.
_CONTROLS = {
    "\0": "NULL",
    "\t": "TAB",
    "\n": "LINE FEED",
    "\r": "CARRIAGE RETURN",
    "\x1b": "ESCAPE",
    "\x7f": "DELETE",
}


def explain_refusal(key: str) -> Mistake | None:
    """Return the mistake in a value that is certainly not a key; None if it may be a key.

    Args:
        key: The value, without white space around it and without a leading scheme.
    """
    if not key:
        return _SCHEME_ALONE
    if key[0] in "{[" and _is_json(key):
        return _JSON
    for pattern, mistake in _REFUSED:
        if pattern.match(key):
            return mistake
    found = _NOT_VISIBLE.search(key)
    if found is None:
        return None
    return Mistake(f"has {_name_character(found[0])} at position {found.start() + 1}", _suggest_remedy(found[0]))


def explain_suspicion(key: str) -> Mistake | None:
    """Return the mistake that a value looks like; None if it looks like a key.

    Args:
        key: A value that `explain_refusal` accepts.
    """
    for pattern, mistake in _SUSPECTED:
        if pattern.match(key):
            return mistake
    return _PLACEHOLDER if len(key) <= _LONGEST_PLACEHOLDER and _PLACEHOLDERS.fullmatch(key) else None


def _is_json(text: str) -> bool:
    """Return whether a text that begins with a bracket is a JSON object or array."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _name_character(char: str) -> str:
    """Return the name and code point of a character that cannot be in a key."""
    if "\udc80" <= char <= "\udcff":  # PEP 383: how Python represents undecodable bytes
        return f"the byte 0x{ord(char) - 0xDC00:02X}, which is not UTF-8,"
    name = _CONTROLS.get(char) or unicodedata.name(char, "an unnamed character")
    return f"{name} (U+{ord(char):04X})"


def _suggest_remedy(char: str) -> str:
    """Return what to do about a character that cannot be in a key."""
    if char == "\0":
        return "it may be stored as UTF-16, which PowerShell's > writes, so store it as UTF-8"
    if char in "\r\n":
        return "store only the key, on one line"
    return "a key is visible ASCII without white space, so copy it again"
