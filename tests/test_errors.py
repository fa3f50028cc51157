"""The tree of exceptions, and what their messages are made of."""

from __future__ import annotations

import pickle

import pytest
import requests
from requests.exceptions import RequestException

from requests_bearer_env import errors
from requests_bearer_env.errors import COMMAND_LINE, HTTPIE, BearerAuthError, KeySourceError


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (errors.BearerAuthError, {RequestException}),
        (errors.MissingKeyError, {errors.BearerAuthError}),
        (errors.InvalidKeyError, {errors.BearerAuthError, ValueError}),
        (errors.KeySourceError, {errors.BearerAuthError}),
        (errors.InsecureTransportError, {errors.BearerAuthError}),
        (errors.UntrustedHostError, {errors.BearerAuthError}),
    ],
)
def test_the_hierarchy_is_as_documented(error: type[Exception], bases: set[type]) -> None:
    """An except clause for a class catches its subclasses, and the docstring draws each of them."""
    assert set(error.__bases__) == bases
    assert f"── {error.__name__}" in str(errors.__doc__)


def test_a_message_is_problem_and_remedy() -> None:
    """``str()`` joins both with a colon; an error without a remedy is its problem alone."""
    request = requests.Request("GET", "https://a.example/").prepare()
    error = BearerAuthError("seen", "do", request=request)
    assert (error.problem, error.remedy, str(error)) == ("seen", "do", "seen: do")
    assert error.request is request
    assert (BearerAuthError("seen").remedy, str(BearerAuthError("seen"))) == ("", "seen")


@pytest.mark.parametrize(
    ("remedy", "python", "command_line", "httpie"),
    [
        ("name {file}", "name file=", "name --file", "name -a @PATH"),
        ("name {provider}", "name provider=", "name --command", "name provider= in Python"),
        ("name {hosts}", "name hosts=", "name --host", "name hosts= in Python"),
        (
            "give {allow_http}",
            "give allow_http=['a.example']",
            "give --allow-http a.example",
            "give -A bearer-env-local (this machine only)",
        ),
        (
            "use https://{or_trust_path}",
            "use https://; or, if you trust the network, use allow_http=['a.example']",
            "use https://; or, if you trust the network, use --allow-http a.example",
            "use https://",
        ),
    ],
)
def test_a_remedy_names_the_readers_options(remedy: str, python: str, command_line: str, httpie: str) -> None:
    """A copy for another user interface differs in the names of the options alone."""
    error = KeySourceError("seen", remedy, host="a.example")
    assert str(error) == f"seen: {python}"
    for wording, expected in ((None, python), (COMMAND_LINE, command_line), (HTTPIE, httpie)):
        copied = error.copy(wording)
        assert (type(copied), copied.problem, copied.remedy) == (KeySourceError, "seen", expected)
        assert str(copied) == f"seen: {expected}"


def test_a_copy_keeps_the_cause_alone() -> None:
    """The traceback's frames and the request's headers may hold a key, so a copy has neither."""
    error = KeySourceError("seen", request=requests.Request("GET", "https://a.example/").prepare())
    cause = OSError()
    with pytest.raises(KeySourceError) as caught:
        raise error from cause
    copied = caught.value.copy()
    assert copied.__cause__ is cause
    assert copied.__traceback__ is None
    assert copied.request is None


def test_a_pickled_error_keeps_its_message() -> None:
    """An error of a worker process reaches its parent with problem, remedy and message."""
    error = KeySourceError("seen", "give {allow_http}", host="a.example")
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied)) == (KeySourceError, str(error))
    assert (copied.problem, copied.remedy) == (error.problem, error.remedy)
