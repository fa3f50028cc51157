"""Says how to find out why a server refuses a key: with a command line to paste, or a call in Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import platforms
from .cleaning import is_harmless, url_without_secrets
from .destination import origin_of

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .credential import Credential
    from .sources import Sources

_HIDDEN_URL = "URL"


def how_to_check(sources: Sources, where: str, credential: Credential, request: PreparedRequest) -> str:
    """Return a sentence that says how to check the key of a refused request.

    A command line can name one environment variable or one file, but neither several sources nor a function. Of the
    methods, it names only HEAD. The check really sends its request, so another method might change data, and GET is
    enough because servers refuse a key before they look at the method.

    Args:
        sources: The sources of the auth whose key was sent.
        where: The source that the key came from, in words.
        credential: The header's value. If the URL holds a piece of it, the URL is not shown.
        request: The refused request. User, query and fragment of its URL are left out, because they may be secret.
    """
    url = url_without_secrets(str(request.url))
    url = url if is_harmless(url, credential) else _HIDDEN_URL
    method = str(request.method).upper()
    option = _option(sources.options(), where)
    if option is None:
        more = ", method='HEAD'" if method == "HEAD" else ""
        return f"call requests_bearer_env.doctor.diagnose(auth, {url!r}{more}) and print what it returns"
    words = [*option, *(("--method", method) if method == "HEAD" else ())]
    origin = origin_of(request.url)
    if origin is not None and origin.scheme == "http":
        words += ["--allow-http", origin.host.strip("[]")]
    arguments = " ".join(map(platforms.quote_for_shell, [*words, url]))
    return f"run {platforms.python_for_shell()} -m requests_bearer_env check {arguments}"


def _option(sources: dict[str, Any], where: str) -> tuple[str, str] | None:
    """Return the option of ``check`` for the source of a key; None if a command line cannot name the sources.

    Args:
        sources: The sources as arguments of BearerEnvAuth.
        where: The source that the key came from, in words.
    """
    if len(sources) > 1 or "provider" in sources:
        return None
    if not where.startswith("file "):
        return "--env", sources["env"]
    # The shell that the line is pasted into may lack $NAME_FILE, and may have another working directory.
    path = where.removeprefix("file ")
    return "--file", os.path.abspath(path) if platforms.expand(path) == path else path
