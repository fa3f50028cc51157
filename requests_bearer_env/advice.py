"""Says how to find out why a server refuses a key: with a command line to paste, or a call in Python."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from . import platforms
from .cleaning import is_harmless, url_without_secrets
from .destination import origin_of
from .errors import without_locals

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .credential import Credential
    from .sources import Sources

_HIDDEN_URL = "URL"


def how_to_check(
    sources: Sources, where: str, credential: Credential, request: PreparedRequest, asked: str | None
) -> str:
    """Return a sentence that says how to check the key of a refused request.

    A command line can name one environment variable or one file, but neither several sources nor a function. The
    check really sends its request, so a method that may change data is not part of the command.

    Args:
        sources: The sources of the auth whose key was sent.
        where: The source that the key came from, in words.
        credential: The header's value. If the URL holds a piece of it, the URL is not shown.
        request: The refused request.
        asked: The URL that the program asked for, which the advice shows, because servers choose the URLs of
            redirects. If a redirect has led to another origin, the advice shows the word URL instead. User, query and
            fragment are left out, because they may be secret.
    """
    url = _shown_url(request, asked, credential)
    method = str(request.method).upper()
    command = _command(sources, where, request, url, ["--method", method] if method == "HEAD" else [])
    if command is not None:
        return f"{_method_hint(method, '--method {}')}run {command}"
    more = ", method='HEAD'" if method == "HEAD" else ""
    call = f"call requests_bearer_env.doctor.diagnose(auth, {url!r}{more}) and print what it returns"
    return f"{_method_hint(method, 'method={!r}')}{call}"


@without_locals  # is_harmless() has locals that hold the key as a plain str
def _shown_url(request: PreparedRequest, asked: str | None, credential: Credential) -> str:
    """Return the URL that the program asked for, or the word URL if it may not be shown or is of another origin."""
    if origin_of(asked) != origin_of(request.url):
        return _HIDDEN_URL
    url = url_without_secrets(str(asked))
    return url if is_harmless(url, credential) else _HIDDEN_URL


def _method_hint(method: str, option: str) -> str:
    """Return how to check with the method of the request, if that may change data; servers may answer GET with 405."""
    if method in {"GET", "HEAD", "OPTIONS"} or not re.fullmatch("[A-Z]+", method):
        return ""
    return f"add {option.format(method)} if a {method} without a body does no harm, and "


def _command(sources: Sources, where: str, request: PreparedRequest, url: str, method: list[str]) -> str | None:
    """Return the command line of the check; None if a command line cannot name the sources."""
    option = _option(sources.options(), where)
    if option is None:
        return None
    words = [*option, *method]
    origin = origin_of(request.url)
    if origin is not None and origin.scheme == "http":
        words += ["--allow-http", origin.host.strip("[]")]
    quoted = [platforms.quote_for_shell(word) for word in words]
    if None in quoted:
        return None
    arguments = " ".join([*map(str, quoted), platforms.quote_for_shell(url) or _HIDDEN_URL])
    return f"{platforms.python_for_shell()} -m requests_bearer_env check {arguments}"


def _option(sources: dict[str, Any], where: str) -> tuple[str, str] | None:
    """Return the option of ``check`` for the source of a key; None if a command line cannot name the sources.

    Args:
        sources: The sources as arguments of BearerEnvAuth.
        where: The source that the key came from, in words.
    """
    if list(sources) not in (["env"], ["file"]):
        return None
    if not where.startswith("file "):
        return "--env", sources["env"]
    # The shell that the line is pasted into may lack $NAME_FILE, and may have another working directory.
    path = where.removeprefix("file ")
    if not path.isprintable():  # a terminal would execute control characters
        return None
    return "--file", os.path.abspath(path) if platforms.expand(path) == path else path
