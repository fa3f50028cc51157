"""What a key says of itself, where it is a JSON Web Token (RFC 7519).

Only read, never verified: that takes the issuer's key, and a server that is asked.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, cast

from .report import Check, span, untrusted

if TYPE_CHECKING:
    from requests_bearer_env.credential import Credential

#: Header, claims, signature; the last is empty where the algorithm is "none".
_JWT = re.compile(r"Bearer ([\w-]+)\.([\w-]+)\.[\w-]*", re.ASCII)

#: Where issuers say what a key may do: RFC 8693 section 4.2, and the habits of Okta, Microsoft, Auth0.
_RIGHTS = ("scope", "scopes", "scp", "roles", "role", "permissions")

#: No date is further from 1970, in seconds; what is larger is no date and too much for a float.
_DATES = 1e12

_NEW_KEY = "get a new key from whoever issues it"


def check_jwt(credential: Credential, now: float) -> Check | None:
    """Check a key's own claims.

    Args:
        credential: The header's value.
        now: The time, in seconds since 1970.

    Returns:
        The line of the report, or None if the key is no JWT.
    """
    match = _JWT.fullmatch(credential)
    if match is None or _object(match[1]) is None:
        return None
    claims = _object(match[2])
    if claims is None:
        return Check(
            "jwt",
            "fail",
            "the key has a JWT's header, but its claims cannot be read",
            "copy the key again, the whole of it",
        )
    problem = _problem(claims, now)
    reach = _reach(claims, credential)
    if problem is not None:
        return Check("jwt", "fail", f"{problem[0]}; {reach}", problem[1])
    life = (
        f"expires in {span(claims['exp'] - now)}" if "exp" in claims else "has no exp, so it does not expire by itself"
    )
    return Check("jwt", "ok", f"{life}; {reach}")


def _object(part: str) -> dict[str, Any] | None:
    """The JSON object in a part of a JWT, if there is one."""
    try:
        value: object = json.loads(urlsafe_b64decode(f"{part}=="))  # what is too much is passed over
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _problem(claims: dict[str, Any], now: float) -> tuple[str, str] | None:
    """Why the key cannot be used now, and what to do."""
    for name in ("exp", "nbf"):
        if name in claims and not _is_date(claims[name]):
            return f"its {name} is not a date in seconds", _NEW_KEY
    if "exp" in claims and claims["exp"] <= now:
        return f"expired {span(now - claims['exp'])} ago", _NEW_KEY
    if "nbf" in claims and claims["nbf"] > now:
        return (
            f"not valid for another {span(claims['nbf'] - now)} (nbf)",
            "wait, or see whether this machine's clock is slow",
        )
    return None


def _is_date(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_DATES < value < _DATES


def _reach(claims: dict[str, Any], credential: Credential) -> str:
    """What the key may do, and for whom it is meant: as little as the job needs, one hopes."""
    rights = [f"{name} {_words(claims[name], credential)}" for name in _RIGHTS if name in claims]
    audience = f"audience {_words(claims['aud'], credential)}" if "aud" in claims else "no audience"
    return f"{', '.join(rights) or 'no scopes'}; {audience}"


def _words(claim: object, credential: Credential) -> str:
    """A claim that is a string or a list of them."""
    items = cast("list[object]", claim) if isinstance(claim, list) else [claim]
    words = " ".join(item for item in items if isinstance(item, str))
    return untrusted(words, credential) or "(empty)"
