"""The tree of exceptions."""

from __future__ import annotations

import pytest
from requests.exceptions import RequestException

from requests_bearer_env import errors


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
def test_the_tree_is_as_drawn(error: type[Exception], bases: set[type]) -> None:
    """Who catches one of the branches catches its leaves, and the docstring shows which."""
    assert set(error.__bases__) == bases
    assert error.__doc__
    assert error.__name__ in str(errors.__doc__)
