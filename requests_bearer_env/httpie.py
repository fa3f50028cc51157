"""The HTTPie plugins: ``http -A bearer-env -a NAME https://...`` and ``-A bearer-env-local``.

They keep the key out of the command line, and so out of the shell's history and the list of
processes. ``-a NAME`` names an environment variable, ``-a @PATH`` a file; without ``-a``, the key is read
from ``$BEARER_TOKEN``. HTTPie finds the plugins by the entry point ``httpie.plugins.auth.v1``; nothing else
imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from httpie.plugins import AuthPlugin
from requests.auth import AuthBase

from .auth import BearerEnvAuth
from .errors import HTTPIE, BearerAuthError
from .sources.env import EnvSource
from .sources.file import FileSource

if TYPE_CHECKING:
    from requests import PreparedRequest

#: The names of this machine, on which text-generation-webui listens for plain HTTP.
_LOCAL = ("127.0.0.1", "::1", "localhost")


class BearerEnvPlugin(AuthPlugin):
    """The plugin for ``-A bearer-env``, which sends the key only over https."""

    name = "Bearer key from an environment variable or a file"
    description = "-a NAME of an environment variable, or -a @PATH of a file; without -a, $BEARER_TOKEN"
    auth_type = "bearer-env"
    auth_require = False
    auth_parse = False  # a name has no password
    prompt_password = False
    netrc_parse = False
    raw_auth: str | None = None
    allow_http: tuple[str, ...] = ()

    def get_auth(self, username: str | None = None, password: str | None = None) -> AuthBase:
        """Return the auth for the value of ``-a``, which HTTPie stores as ``raw_auth`` because ``auth_parse`` is off.

        If ``-a`` is wrong, the auth raises when the request is prepared, because HTTPie shows such an exception as
        one line. It would show an exception of this method as a traceback.
        """
        del username, password  # HTTPie passes none, because auth_parse is off
        raw = self.raw_auth
        try:
            if raw is None:
                return _HTTPieAuth(allow_http=self.allow_http)
            if raw.startswith("@"):
                FileSource(raw[1:], "-a @PATH")
                return _HTTPieAuth(file=raw[1:], allow_http=self.allow_http)
            EnvSource(raw, "-a NAME", HTTPIE.file)
            return _HTTPieAuth(raw, allow_http=self.allow_http)
        except ValueError as error:
            return _Refusal(str(error))


class BearerEnvLocalPlugin(BearerEnvPlugin):
    """The plugin for ``-A bearer-env-local``, which also sends the key to this machine over plain HTTP."""

    name = "The same as bearer-env, and also over plain HTTP to 127.0.0.1, ::1 and localhost"
    auth_type = "bearer-env-local"
    allow_http: tuple[str, ...] = _LOCAL


class _HTTPieAuth(BearerEnvAuth):
    """A BearerEnvAuth whose errors name HTTPie's options."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        try:
            return super().__call__(r)
        except BearerAuthError as error:
            reworded = error.copy(HTTPIE)
        reworded.request = r
        raise reworded


class _Refusal(AuthBase):
    """An auth that authorises nothing, and raises what is wrong with ``-a``."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self, r: PreparedRequest) -> NoReturn:
        raise BearerAuthError(self.message, request=r)
