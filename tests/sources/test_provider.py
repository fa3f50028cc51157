"""A provider: what it may return and raise."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, InvalidKeyError, KeySourceError
from tests.helpers import KEY, assert_hidden, authorized


def test_bytes_in_ascii_are_a_key() -> None:
    """Some client libraries return bytes."""
    assert authorized(BearerEnvAuth(provider=KEY.encode)) == f"Bearer {KEY}"


@pytest.mark.parametrize("value", [5, True, ["key"], object(), bytearray(b"key"), Path("key")])
def test_other_types_are_refused(value: Any) -> None:
    """The message names the type and shows nothing of the value."""
    with pytest.raises(InvalidKeyError) as caught:
        authorized(BearerEnvAuth(provider=lambda: value))
    assert f" returned {type(value).__name__}, not a key: " in str(caught.value)
    assert "key'" not in str(caught.value)


def test_a_providers_exception_is_the_cause() -> None:
    """The KeySourceError names the type of the exception that a provider raised; its message may hold the key."""
    failure = OSError(KEY)

    def vault() -> str:
        raise failure

    with pytest.raises(KeySourceError, match="provider vault raised OSError: call it directly") as caught:
        authorized(BearerEnvAuth(provider=vault))
    assert caught.value.__cause__ is failure
    assert_hidden(str(caught.value))


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_propagated(interrupt: type[BaseException]) -> None:
    """An exception that ends the program does not become a KeySourceError."""

    def vault() -> str:
        raise interrupt

    with pytest.raises(interrupt):
        authorized(BearerEnvAuth(provider=vault))


def test_a_partials_arguments_are_not_shown() -> None:
    """The repr of a partial shows its arguments, so the source uses its type's name."""
    auth = BearerEnvAuth(provider=functools.partial(str, KEY))
    assert repr(auth) == "BearerEnvAuth(provider=partial)"


def test_a_providers_name_is_shown() -> None:
    """The name is that of the function or method, or of the object's class."""

    class Vault:
        def __call__(self) -> str:
            return KEY

        def key(self) -> str:
            return KEY

    assert repr(BearerEnvAuth(provider=Vault())) == "BearerEnvAuth(provider=Vault)"
    assert repr(BearerEnvAuth(provider=Vault().key)) == "BearerEnvAuth(provider=key)"
