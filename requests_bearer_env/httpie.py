"""The HTTPie plugin: ``http -A bearer-env -a NAME https://...``.

It keeps the key out of the command line, and so out of the shell's history and the list of
processes. ``-a NAME`` reads a variable, ``-a @PATH`` a file; without ``-a`` it is ``$BEARER_TOKEN``.
HTTPie finds it by the entry point ``httpie.plugins.auth.v1``; nothing else imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from httpie.plugins import AuthPlugin
from requests.auth import AuthBase

from .auth import BearerEnvAuth
from .errors import BearerAuthError

if TYPE_CHECKING:
    from requests import PreparedRequest


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

    def get_auth(self, username: str | None = None, password: str | None = None) -> AuthBase:
        """Make the auth of what ``-a`` says, as ``raw_auth``; with ``auth_parse`` off there is no more.

        Returns:
            An auth that fails when the request is prepared if ``-a`` is wrong. There HTTPie makes one
            line of an exception, while here it would print a traceback.
        """
        del username, password  # HTTPie has none to give
        raw = self.raw_auth
        try:
            if raw is not None and raw.startswith("@"):
                return BearerEnvAuth(file=raw[1:])
            return BearerEnvAuth(raw)
        except ValueError as error:
            return _Refusal(str(error))


class _Refusal(AuthBase):
    """Says what is wrong with ``-a``."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self, r: PreparedRequest) -> NoReturn:
        raise BearerAuthError(self.message.replace("env=", "-a").replace("file=", "-a @"), request=r)
