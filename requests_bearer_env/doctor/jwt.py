"""The line ``jwt``: what a key says of itself, if it is a JSON Web Token (RFC 7519).

It is read and not verified: verification takes the issuer's key, or the server.
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

#: Header, claims and signature; a key that was cut off may lack the last two.
_JWT = re.compile(r"Bearer ([\w-]+)\.([\w-]*)(?:\.([\w-]*))?", re.ASCII)

#: Where issuers say what a key may do: RFC 8693 section 4.2, and the habits of Okta, Microsoft, Auth0.
_RIGHTS = ("scope", "scopes", "scp", "roles", "role", "permissions")

#: The lengths of signatures in bytes (RFC 7518 section 3.1, RFC 8037).
_SIGNATURES = {"HS256": 32, "HS384": 48, "HS512": 64, "ES256": 64, "ES384": 96, "ES512": 132, "EdDSA": 64}

#: Those of RSA are as long as the key: a multiple of this many bytes.
_RSA_STEP = 64

#: No date is further from 1970, in seconds; a larger number is no date and too much for a float.
_LATEST_DATE = 1e12

#: Seconds by which two clocks commonly differ.
_SKEW = 30

_NEW_KEY = "get a new key from its issuer"
_COPY_AGAIN = (
    "store the whole key again, with an editor: terminals truncate a pasted line at 1023 or 4095 characters, "
    "and setx at 1024"
)


class _Finding(NamedTuple):
    status: Status
    problem: str
    remedy: str


def check_jwt(credential: Credential, now: float) -> Check | None:
    """Check a key's own claims.

    Args:
        credential: The header's value.
        now: The time, in seconds since 1970.

    Returns:
        The line of the report, or None if the key is no JWT.
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
    rights, audience = _describe_reach(claims, credential)
    if findings:
        status: Status = "fail" if any(finding.status == "fail" for finding in findings) else "warn"
        # Of a key that cannot be used, it does not matter that it names neither rights nor an audience.
        detail = "; ".join(filter(None, [*(finding.problem for finding in findings), rights, audience]))
        return Check("jwt", status, detail, "; ".join(finding.remedy for finding in findings))
    reach = f"{rights or 'no scopes'}; {audience or 'no audience'}"
    if "exp" in claims:
        return Check("jwt", "ok", f"expires in {format_duration(claims['exp'] - now)}; {reach}")
    return Check("jwt", "ok", f"has no exp, so it does not expire by itself; {reach}")


def _decode_object(part: str) -> dict[str, Any] | None:
    """The JSON object in a part of a JWT, if there is one."""
    try:
        value: object = json.loads(urlsafe_b64decode(f"{part}=="))  # superfluous padding is ignored
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _find_truncation(header: dict[str, Any], signature: str | None) -> _Finding | None:
    """Find out whether the end of the key is missing."""
    if signature is None:
        return _Finding("fail", "has no signature, so its end is missing", _COPY_AGAIN)
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
    return _Finding(
        "warn", f"its signature has {len(signature)} characters, which no signature of its kind has", _COPY_AGAIN
    )


def _find_problem(claims: dict[str, Any], now: float) -> _Finding | None:
    """Find out why the key cannot be used now."""
    for name in ("exp", "nbf", "iat"):
        if name in claims and not _is_date(claims[name]):
            return _Finding("fail", f"its {name} is not a date in seconds", _NEW_KEY)
    clocks = "wait, or see whether this machine's clock is slow"
    if "exp" in claims and claims["exp"] <= now:
        return _Finding("fail", f"expired {format_duration(now - claims['exp'])} ago", _NEW_KEY)
    if claims.get("nbf", now) > now:
        return _Finding("fail", f"not valid for another {format_duration(claims['nbf'] - now)} (nbf)", clocks)
    if claims.get("iat", now) > now + _SKEW:
        return _Finding("warn", f"issued {format_duration(claims['iat'] - now)} in the future (iat)", clocks)
    return None


def _is_date(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LATEST_DATE < value < _LATEST_DATE


def _describe_reach(claims: dict[str, Any], credential: Credential) -> tuple[str, str]:
    """Say what the key may do, and for whom it is meant, which should be no more than the job needs; else blank."""
    rights = [f"{name} {_join_strings(claims[name], credential)}" for name in _RIGHTS if name in claims]
    return ", ".join(rights), f"audience {_join_strings(claims['aud'], credential)}" if "aud" in claims else ""


def _join_strings(claim: object, credential: Credential) -> str:
    """A claim that is a string or a list of strings."""
    items = cast("list[object]", claim) if isinstance(claim, list) else [claim]
    words = " ".join(item for item in items if isinstance(item, str))
    return sanitize(words, credential) or "(empty)"
