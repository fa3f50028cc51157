"""The check ``jwt``: the claims of a key that is a JSON Web Token (RFC 7519).

The token is decoded but not verified, because that needs the issuer's key.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from requests_bearer_env.cleaning import sanitize

from .report import Check, Status, format_duration

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential

#: Matches the header, claims and signature. The last two may be missing, because a key may have been truncated.
_JWT = re.compile(r"Bearer ([\w-]+)\.([\w-]*)(?:\.([\w-]*))?", re.ASCII)

#: The claims that name the permissions of a key, in RFC 8693 section 4.2 and at Okta, Microsoft and Auth0.
_PERMISSIONS = ("scope", "scopes", "scp", "roles", "role", "permissions")

#: The lengths of signatures in bytes (RFC 7518 section 3.1, RFC 8037).
_SIGNATURES = {"HS256": 32, "HS384": 48, "HS512": 64, "ES256": 64, "ES384": 96, "ES512": 132, "EdDSA": 64}

#: The length of an RSA signature in bytes is that of the issuer's RSA key, a multiple of this number.
_RSA_STEP = 64

#: This number of seconds since 1970, or a greater one, is not a date, and may be too large for a float.
_LATEST_DATE = 1e12

#: Seconds by which two clocks commonly differ.
_SKEW = 30

_NEW_KEY = "get a new key from its issuer"
_COPY_AGAIN = (
    "store the whole key again, with an editor: terminals truncate a pasted line at 1023 or 4095 characters, "
    "and setx at 1024"
)


class _Finding(NamedTuple):
    """A problem with a key.

    Attributes:
        problem: What was seen.
        remedy: What to do.
        is_certain: Whether the server must refuse the key; if not, it may accept it.
    """

    problem: str
    remedy: str
    is_certain: bool = False


def check_jwt(credential: Credential, now: float) -> Check | None:
    """Check the claims of a key, and whether its signature is complete.

    Args:
        credential: The header's value.
        now: The time, in seconds since 1970.

    Returns:
        The check; None if the key is not a JWT.
    """
    match = _JWT.fullmatch(credential)
    header = _decode_object(match[1]) if match else None
    if match is None or header is None:
        return None
    claims = _decode_object(match[2])
    if claims is None:
        return Check("jwt", "fail", "the key has the header of a JWT, but its claims cannot be read", _COPY_AGAIN)
    findings = [
        found for found in (_find_truncation(header, match[3]), _find_problem(claims, now)) if found is not None
    ]
    permissions, audience = _describe_reach(claims, credential)
    if findings:
        status: Status = "fail" if any(finding.is_certain for finding in findings) else "warn"
        # If the key has a problem, missing permissions or a missing audience are not worth a mention.
        detail = "; ".join(filter(None, [*(finding.problem for finding in findings), permissions, audience]))
        return Check("jwt", status, detail, "; ".join(finding.remedy for finding in findings))
    reach = f"{permissions or 'no scopes'}; {audience or 'no audience'}"
    if "exp" in claims:
        return Check("jwt", "ok", f"expires in {format_duration(claims['exp'] - now)}; {reach}")
    return Check("jwt", "ok", f"has no exp, so it does not expire by itself; {reach}")


def _decode_object(part: str) -> dict[str, Any] | None:
    """Return the JSON object in a part of a JWT; None if the part is anything else."""
    try:
        value: object = json.loads(urlsafe_b64decode(f"{part}=="))  # base64 ignores surplus padding
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _find_truncation(header: dict[str, Any], signature: str | None) -> _Finding | None:
    """Return the problem that the end of the key is missing; None if it looks complete.

    Args:
        header: The header of the JWT, which names the algorithm.
        signature: The signature in base64url; None if the key has none.
    """
    if signature is None:
        return _Finding("has no signature, so its end is missing", _COPY_AGAIN, is_certain=True)
    algorithm, size = header.get("alg"), len(signature) * 3 // 4
    if not isinstance(algorithm, str):
        return None
    if algorithm in _SIGNATURES:
        complete = size == _SIGNATURES[algorithm]
    elif algorithm[:2] in ("RS", "PS"):
        complete = size >= 2 * _RSA_STEP and size % _RSA_STEP == 0
    else:
        return None
    if complete:
        return None
    problem = f"its signature has {len(signature)} characters, the wrong length for its algorithm"
    return _Finding(problem, _COPY_AGAIN)


def _find_problem(claims: dict[str, Any], now: float) -> _Finding | None:
    """Return why the key cannot be used now, or may be refused; None if its dates are in order."""
    for name in ("exp", "nbf", "iat"):
        if name in claims and not _is_date(claims[name]):
            return _Finding(f"its {name} is not a date in seconds", _NEW_KEY, is_certain=True)
    clocks = "wait, or see whether this machine's clock is slow"
    if "exp" in claims and claims["exp"] <= now:
        return _Finding(f"expired {format_duration(now - claims['exp'])} ago", _NEW_KEY, is_certain=True)
    if claims.get("nbf", now) > now:
        return _Finding(f"not valid for another {format_duration(claims['nbf'] - now)} (nbf)", clocks, is_certain=True)
    if claims.get("iat", now) > now + _SKEW:
        return _Finding(f"issued {format_duration(claims['iat'] - now)} in the future (iat)", clocks)
    return None


def _is_date(value: object) -> bool:
    """Return whether a claim is a plausible number of seconds since 1970."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LATEST_DATE < value < _LATEST_DATE


def _describe_reach(claims: dict[str, Any], credential: Credential) -> tuple[str, str]:
    """Return the permissions and the audience of a key, in words; each is "" if no claim names it.

    The report shows them because a key should permit no more than the program needs.
    """
    permissions = [f"{name} {_join_strings(claims[name], credential)}" for name in _PERMISSIONS if name in claims]
    return ", ".join(permissions), f"audience {_join_strings(claims['aud'], credential)}" if "aud" in claims else ""


def _join_strings(claim: object, credential: Credential) -> str:
    """Return the strings of a claim, which is a string or a list of strings, without pieces of the key."""
    items = cast("list[object]", claim) if isinstance(claim, list) else [claim]
    words = " ".join(item for item in items if isinstance(item, str))
    return sanitize(words, credential) or "(empty)"
