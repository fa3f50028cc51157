"""MountedAuth: several keys in one session, each for the URLs of its prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from requests.auth import AuthBase

from .auth import KeyAuth
from .credential import Credential
from .errors import without_locals
from .prefix import Prefix, parse_prefix, parse_url
from .replay import body_position
from .retry import Retry, replace_hook, retry_of

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .retry import Auth


class _Mount(NamedTuple):
    """An auth object and the prefix that it is mounted at."""

    prefix: Prefix
    auth: AuthBase


class MountedAuth(KeyAuth):
    """An auth that chooses among other auths by the request's URL, as ``session.mount`` chooses an adapter.

    The longest matching prefix decides::

        session.auth = MountedAuth({
            "https://tgw.local/v1/internal/model/load": BearerEnvAuth("TGW_ADMIN_KEY"),
            "https://tgw.local/v1/": BearerEnvAuth("TGW_API_KEY"),
        })

    A prefix matches the exact origin (scheme, host and port, RFC 6454) and whole path segments, with or
    without a slash at its end, after dot segments are resolved (RFC 3986 section 5.2.4). A path that servers
    may resolve differently, such as ``/v1/..%2fadmin``, matches only a prefix without a path. A request whose
    URL matches no prefix gets no Authorization header.

    If a server refuses a key, the `BearerEnvAuth` that is mounted at that URL handles the refusal, as it does
    when it is used alone. It does so after a redirect, too, unless the redirect chain went through a URL that
    may not get a key, such as one without a mount. Note that requests keeps the header on a redirect within an
    origin, even if the path leaves the prefix. ``hosts=`` of a mounted `BearerEnvAuth` can exclude hosts, but
    cannot add any: its key is never sent to a host where it is not mounted.

    Any other `requests.auth.AuthBase` may be mounted. It authorises the first request as it does when it is
    used alone, and is not used after a redirect. Note that requests drops no header but Authorization on a
    redirect to another origin.

    Args:
        mounts: Auth objects by URL prefix. An ``http://`` prefix is accepted, but a `BearerEnvAuth` there
            still needs ``allow_http=``.

    Raises:
        TypeError: ``mounts`` is not a mapping, a prefix is not a str, or a value is not a
            `requests.auth.AuthBase`.
        ValueError: ``mounts`` is empty, a prefix is not a plain URL of scheme, host and path, or two
            prefixes are the same.
    """

    mounts: tuple[_Mount, ...]

    @without_locals
    def __init__(self, mounts: Mapping[str, AuthBase]) -> None:
        vars(self)["mounts"] = _mounts(mounts)  # through vars(), because __setattr__ raises

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Authorise a prepared request by the auth that is mounted for its URL; see `BearerEnvAuth`."""
        mount, original = self.mount_of(r.url), r.hooks
        r.hooks = replace_hook(original)
        if mount is None:
            r.headers.pop("Authorization", None)
            return r
        start, replay = r.url, body_position(r.body)
        try:
            r = mount.auth(r)
        except BaseException:
            r.hooks = original
            raise
        hook = retry_of(r)
        if hook is None:
            header: object = r.headers.get("Authorization")
            hook = Retry(self, None, start, Credential(header) if isinstance(header, str) else None, replay)
            r.hooks = replace_hook(r.hooks, hook)
        hook.trust = self
        return r

    def auth_for(self, url: str, _start: str, /) -> tuple[bool, Auth | None]:
        """Return whether a URL is trusted, and the auth for it; see `requests_bearer_env.retry.Trust.auth_for`."""
        mount = self.mount_of(url)
        if mount is None:
            return False, None
        if isinstance(mount.auth, KeyAuth):
            return mount.auth.auth_for(url, url)
        return url.startswith("https:"), None

    def mount_of(self, url: str | None) -> _Mount | None:
        """Return the mount with the longest prefix that covers a prepared URL; None if there is none."""
        parsed = parse_url(url)
        return next((mount for mount in self.mounts if parsed and mount.prefix.covers(parsed)), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MountedAuth) and type(self) is type(other) and self.mounts == other.mounts

    def __hash__(self) -> int:
        # Auth objects of other packages may not be hashable, so they are left out.
        return hash(tuple(mount.prefix for mount in self.mounts))

    def __repr__(self) -> str:
        if "mounts" not in vars(self):
            return f"<{type(self).__name__}, not initialised>"
        # The repr of another package's auth may show its secret, so only its class is shown.
        shown = (
            f"{str(mount.prefix)!r}: {mount.auth if isinstance(mount.auth, KeyAuth) else type(mount.auth).__name__}"
            for mount in self.mounts
        )
        return f"{type(self).__name__}({{{', '.join(shown)}}})"

    def __getstate__(self) -> dict[str, AuthBase]:
        return {str(mount.prefix): mount.auth for mount in self.mounts}

    def __setstate__(self, state: dict[str, AuthBase]) -> None:
        MountedAuth.__init__(self, state)


def _mounts(mounts: Mapping[str, AuthBase]) -> tuple[_Mount, ...]:
    """Check and normalise all mounts; the longest path comes first."""
    if not isinstance(mounts, Mapping):
        raise TypeError(f"mounts is {type(mounts).__name__}: give a dict of URL prefixes and auth objects")
    if not mounts:
        raise ValueError("mounts is empty, so no request would get a key: give URL prefixes and auth objects")
    made: list[_Mount] = []
    for number, (prefix, auth) in enumerate(mounts.items(), start=1):
        if not isinstance(auth, AuthBase):
            raise TypeError(f"the value of prefix {number} is {type(auth).__name__}: give an auth object")
        made.append(_Mount(parse_prefix(f"prefix {number}", prefix), auth))
    if len({mount.prefix for mount in made}) < len(made):
        raise ValueError("two prefixes are the same, so it is unknown which key is meant: leave one of them out")
    return tuple(sorted(made, key=lambda mount: (-len(mount.prefix.path), str(mount.prefix))))
