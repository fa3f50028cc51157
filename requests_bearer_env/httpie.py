"""The HTTPie plugins: ``http -A bearer-env -a NAME https://...`` and ``-A bearer-env-local``.

They keep the key out of the command line, and so out of the shell's history and the list of
processes. ``-a NAME`` reads a variable, ``-a @PATH`` a file; without ``-a`` it is ``$BEARER_TOKEN``.
HTTPie finds them by the entry point ``httpie.plugins.auth.v1``; nothing else imports this module.
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

#: This machine, where text-generation-webui listens on plain HTTP.
_LOCAL = ("127.0.0.1", "::1", "localhost")


class BearerEnvPlugin(AuthPlugin):
    """``-A bearer-env``."""

    name = "Bearer key from outside of the command line"
    description = "-a NAME of an environment variable, or -a @PATH of a file; without -a, $BEARER_TOKEN"
    auth_type = "bearer-env"
    auth_require = False
    auth_parse = False  # a name has no password
    prompt_password = False
    netrc_parse = False
    raw_auth: str | None = None
    allow_http: tuple[str, ...] = ()

    def get_auth(self, username: str | None = None, password: str | None = None) -> AuthBase:
        """Make the auth from what ``-a`` says, which is ``raw_auth`` because ``auth_parse`` is off.

        Returns:
            An auth that raises when the request is prepared if ``-a`` is wrong. HTTPie shows an exception
            from there in one line, and one from here as a traceback.
        """
        del username, password  # HTTPie has none to give
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
    """``-A bearer-env-local``: also over plain HTTP, to this machine."""

    name = "The same, and over plain HTTP to 127.0.0.1, ::1 and localhost"
    auth_type = "bearer-env-local"
    allow_http: tuple[str, ...] = _LOCAL


class _HTTPieAuth(BearerEnvAuth):
    """A BearerEnvAuth whose errors name HTTPie's options."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        try:
            return super().__call__(r)
        except BearerAuthError as error:
            worded = error.copy(HTTPIE)
        worded.request = r
        raise worded


class _Refusal(AuthBase):
    """Says what is wrong with ``-a``."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self, r: PreparedRequest) -> NoReturn:
        raise BearerAuthError(self.message, request=r)
