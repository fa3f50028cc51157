"""A provider: what it may return and raise."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, InvalidKeyError, KeySourceError
from tests.helpers import KEY, authorized


def test_bytes_in_ascii_are_a_key() -> None:
    """Many a client library returns bytes."""
    assert authorized(BearerEnvAuth(provider=KEY.encode)) == f"Bearer {KEY}"


def test_other_bytes_are_refused() -> None:
    """The byte and its position are named."""
    with pytest.raises(InvalidKeyError, match="the byte 0xFF, which is not UTF-8, at position 4"):
        authorized(BearerEnvAuth(provider=lambda: b"abc\xff"))


@pytest.mark.parametrize("value", [5, True, ["key"], object(), bytearray(b"key"), Path("key")])
def test_other_types_are_refused(value: Any) -> None:
    """The message names the type and shows nothing of the value."""
    with pytest.raises(InvalidKeyError, match=f"returned {type(value).__name__}: it must return a str, or None"):
        authorized(BearerEnvAuth(provider=lambda: value))


def test_its_exception_is_the_cause() -> None:
    """A provider's failure is a KeySourceError that names its type; the message stays with the cause."""
    failure = OSError(KEY)

    def vault() -> str:
        raise failure

    with pytest.raises(KeySourceError, match=r"provider .*vault raised OSError: call it by hand") as caught:
        authorized(BearerEnvAuth(provider=vault))
    assert caught.value.__cause__ is failure
    assert KEY not in str(caught.value)


def test_one_that_fails_once_is_asked_again() -> None:
    """A failure is not remembered."""
    calls: list[None] = []

    def vault() -> str:
        calls.append(None)
        if len(calls) == 1:
            raise OSError
        return KEY

    auth = BearerEnvAuth(provider=vault)
    with pytest.raises(KeySourceError):
        authorized(auth)
    assert authorized(auth) == f"Bearer {KEY}"


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes(interrupt: type[BaseException]) -> None:
    """Whoever presses Ctrl-C means the program."""

    def vault() -> str:
        raise interrupt

    with pytest.raises(interrupt):
        authorized(BearerEnvAuth(provider=vault))


@pytest.mark.parametrize("provider", ["a key", b"a key", 5])
def test_it_must_be_callable(provider: Any) -> None:
    """A key given as the provider is refused and not shown."""
    with pytest.raises(TypeError, match="give a function that returns the key") as caught:
        BearerEnvAuth(provider=provider)
    assert "a key" not in str(caught.value)


def test_its_arguments_are_not_shown() -> None:
    """The repr of a partial shows its arguments, so it is not used."""
    auth = BearerEnvAuth(provider=functools.partial(str, KEY))
    assert "provider partial" in repr(auth)
    assert KEY not in repr(auth)
