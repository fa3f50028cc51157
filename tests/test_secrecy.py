"""No message, log, repr, pickle or traceback shows the key: each is searched for parts of a sentinel key."""

from __future__ import annotations

import functools
import itertools
import linecache
import pickle
import pprint
import reprlib
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

import requests_bearer_env
from requests_bearer_env import BearerAuthError, BearerEnvAuth, InvalidKeyError, KeySourceError, MountedAuth, command
from requests_bearer_env.advice import how_to_check
from requests_bearer_env.demo.server import Reply
from requests_bearer_env.doctor import diagnose
from requests_bearer_env.errors import clear_frames
from requests_bearer_env.sources.base import next_event
from requests_bearer_env.sources.provider import ProviderSource
from tests.helpers import KEY, OTHER_KEY, Serve, assert_hidden, frames_of, keyed, python, reachable

PACKAGE = str(Path(requests_bearer_env.__file__).parent)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception with its causes and contexts, including suppressed ones."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield current
            todo += [current.__cause__, current.__context__]


def shown_by(value: object) -> Iterator[str]:
    """Yield what pprint, reprlib, rich and other printers show of a value."""
    yield repr(value)
    yield pprint.pformat(value)
    yield reprlib.repr(value)
    if isinstance(value, str):
        yield repr(value[:40])  # as rich cuts a long one
        # A plain str is searched as it is; a Credential is shown by its repr only.
        yield "" if type(value) is not str else value
    elif isinstance(value, (bytes, bytearray)):
        yield value.decode("latin-1")
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from shown_by(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from shown_by(item)
    elif type(value).__module__.startswith("requests_bearer_env"):
        for name in _attributes(value):
            yield from shown_by(getattr(value, name, None))


def _attributes(value: object) -> set[str]:
    slots = (slot for kind in type(value).__mro__ for slot in getattr(kind, "__slots__", ()))
    # These hold what the caller passed: a path, a command or a function, which no repr of this package shows.
    return {*slots, *getattr(value, "__dict__", {})} - {"argv", "_label", "_provider", "given"}


def assert_exception_hidden(error: BaseException) -> None:
    """Fail if an exception, or a frame of this package that it passed, shows a key."""
    for current in chain(error):
        for text in (str(current), repr(current), *map(repr, current.args), repr(vars(current))):
            assert_hidden(text)
        for frame in frames_of(current):
            for name, value in frame.f_locals.items():
                for text in shown_by(value):
                    assert_hidden(text, f"{frame.f_code.co_name}: {name}")


def _file(content: bytes) -> Callable[[Path, pytest.MonkeyPatch], BearerEnvAuth]:
    def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BearerEnvAuth:
        (tmp_path / "key").write_bytes(content)
        return BearerEnvAuth(file=tmp_path / "key")

    return make


def _variable(value: str, name: str = "TGW_API_KEY") -> Callable[[Path, pytest.MonkeyPatch], BearerEnvAuth]:
    def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BearerEnvAuth:
        monkeypatch.setenv(name, value)
        return BearerEnvAuth("TGW_API_KEY")

    return make


def _both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BearerEnvAuth:
    monkeypatch.setenv("TGW_API_KEY", KEY)
    monkeypatch.setenv("TGW_API_KEY_FILE", "/run/secrets/key")
    return BearerEnvAuth("TGW_API_KEY")


def _provider(value: object, ttl: float | None = None) -> Callable[[Path, pytest.MonkeyPatch], BearerEnvAuth]:
    def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BearerEnvAuth:
        provider: Any = functools.partial(lambda answer: answer, value)
        return BearerEnvAuth(provider=provider, ttl=ttl)

    return make


def _command(code: str, timeout: float = 30) -> Callable[[Path, pytest.MonkeyPatch], BearerEnvAuth]:
    def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BearerEnvAuth:
        return BearerEnvAuth(provider=command(python(code), timeout=timeout))

    return make


BAD: dict[str, Callable[[Path, pytest.MonkeyPatch], BearerEnvAuth]] = {
    "variable: space": _variable(f"{KEY} {OTHER_KEY}"),
    "variable: newline": _variable(f"{KEY}\n{OTHER_KEY}"),
    "variable: control": _variable(f"{KEY}\x01"),
    "variable: zero width": _variable(f"\u200b{KEY}"),
    "variable: not ASCII": _variable(f"{KEY}é"),
    "variable: quotes": _variable(f'"{KEY}"'),
    "variable: dotenv": _variable(f"export KEY={KEY}"),
    "variable: key where a file is named": _variable(KEY, "TGW_API_KEY_FILE"),
    "variable: long key where a file is named": _variable(KEY * 100, "TGW_API_KEY_FILE"),
    "variable and file": _both,
    "file: two lines": _file(f"{KEY}\n{OTHER_KEY}\n".encode()),
    "file: dotenv": _file(f"KEY={KEY}".encode()),
    "file: quoted": _file(f"'{KEY}'".encode()),
    "file: not text": _file(KEY.encode() + b"\xff"),
    "file: UTF-16": _file(KEY.encode("utf-16")),
    "file: UTF-16 without a mark": _file(KEY.encode("utf-16-le")),
    "file: too long": _file(KEY.encode() * 1000),
    "path is the key": lambda tmp_path, monkeypatch: BearerEnvAuth(file=KEY[3:]),
    "path is a long key": lambda tmp_path, monkeypatch: BearerEnvAuth(file=KEY * 100),
    "provider: two lines": _provider(f"{KEY}\n{OTHER_KEY}"),
    "provider: bytes": _provider(KEY.encode() + b"\xff"),
    "provider: a list": _provider([KEY]),
    "cached provider: a tuple": _provider((KEY,), ttl=60),
    "cached provider: spaces": _provider(f"{KEY} {KEY}", ttl=60),
    "command: two lines": _command(f"print({KEY!r}); print({KEY!r})"),
    "command: status": _command(f"print({KEY!r}); raise SystemExit(1)"),
    "command: time": _command(f"import time; print({KEY!r}, flush=True); time.sleep(60)", 0.5),
    "command: too much": _command(f"while True: print({KEY!r})"),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_no_failure_shows_the_key(
    make: Callable[[Path, pytest.MonkeyPatch], BearerEnvAuth],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the message nor the log nor a local of this package's frames has a part of the key."""
    caplog.set_level(1)
    auth = make(tmp_path, monkeypatch)
    with pytest.raises(BearerAuthError) as caught:
        requests.Request("GET", "https://api.example/", auth=auth).prepare()
    assert_exception_hidden(caught.value)
    assert_hidden(caplog.text)
    for text in shown_by(auth):
        assert_hidden(text)


anything: Any = BearerEnvAuth
mounted: Any = MountedAuth
run: Any = command


@pytest.mark.parametrize(
    "make",
    [
        lambda: anything(KEY),
        lambda: anything([KEY]),
        lambda: anything(KEY.encode()),
        lambda: anything(file=f"{KEY}\0"),
        lambda: anything(file=KEY.encode()),
        lambda: anything(provider=KEY),
        lambda: anything(provider=print, ttl=KEY),
        lambda: anything(ttl=KEY),
        lambda: anything(hosts=KEY),
        lambda: anything(allow_http=[KEY]),
        lambda: mounted({"https://a.example/": KEY}),
        lambda: mounted({KEY: BearerEnvAuth()}),
        lambda: mounted(KEY),
        lambda: run(f"echo {KEY}"),
        lambda: run(["echo", KEY.encode()]),
        lambda: run(["echo", f"{KEY}\0"]),
        lambda: run(["echo"], timeout=KEY),
    ],
)
def test_no_constructor_shows_the_key(make: Any) -> None:
    """A newcomer may pass the key as any argument: neither the message nor a frame of this package has it."""
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert_exception_hidden(caught.value)


def test_a_key_in_a_frame_is_found() -> None:
    """The assertion of the tests above can fail."""
    namespace: dict[str, Any] = {"__name__": "requests_bearer_env.leak"}
    exec(f"def leak():\n    held = {KEY!r}\n    raise ValueError\n", namespace)
    with pytest.raises(ValueError, match=r"^$") as caught:
        namespace["leak"]()
    with pytest.raises(AssertionError, match="leak: held"):
        assert_exception_hidden(caught.value)


def _auths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[BearerEnvAuth]:
    monkeypatch.setenv("TGW_API_KEY", KEY)
    (tmp_path / "key").write_text(KEY)
    return [
        BearerEnvAuth("TGW_API_KEY"),
        BearerEnvAuth(file=tmp_path / "key"),
        BearerEnvAuth(provider=lambda: KEY),
        BearerEnvAuth(provider=lambda: KEY, ttl=60),
    ]


def test_no_object_shows_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After use, neither the auth object nor the prepared request nor anything in them shows the key."""
    for auth in _auths(tmp_path, monkeypatch):
        request = requests.Request("GET", "https://api.example/", auth=auth).prepare()
        for value in (auth, vars(auth), request, vars(request), request.headers, request.hooks, dict(request.headers)):
            assert_hidden(str(value))
            for text in shown_by(value):
                assert_hidden(text)


def test_no_response_shows_the_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: Serve,
    session: requests.Session,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Responses, logs, warnings and output show no key, whatever the server answers."""
    caplog.set_level(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for auth in _auths(tmp_path, monkeypatch):
            for app in (keyed(KEY), keyed("another"), lambda request: Reply(302, headers=(("Location", "/x"),))):
                response = session.get(serve(app).url(), auth=auth, allow_redirects=False)
                assert_hidden(response.request.headers)
                assert_hidden(repr(vars(response)))
                pickled = pickle.dumps(response)
                assert_hidden(pickled.decode("latin-1"))
                assert_hidden(str(vars(pickle.loads(pickled).request)))
    assert_hidden(caplog.text)
    assert_hidden("".join(str(warning.message) for warning in caught))
    assert_hidden("".join(capfd.readouterr()))


class Interrupt:
    """Interrupts the package at its Nth line, as a signal does, but not at the lines that clear the frames.

    Lines that begin a ``with`` are left out, too: Python delivers no signal at the end of a ``with``, and an
    interrupt there would leave a lock held forever.
    """

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, frame: types.FrameType, event: str, argument: object) -> Interrupt | None:
        if not frame.f_code.co_filename.startswith(PACKAGE) or frame.f_code is clear_frames.__code__:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith("with "):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def interrupted(make: Callable[[], BearerEnvAuth], number: int) -> BaseException | None:
    """Ask for the key with an interrupt at one line; return the exception, or None if there are fewer lines."""
    auth = make()
    sys.settrace(Interrupt(number))
    try:
        auth.credential()
    except (KeyboardInterrupt, InvalidKeyError) as error:
        return error
    finally:
        sys.settrace(None)
    return None


@pytest.mark.parametrize("value", [KEY, f"Bearer {KEY}", f'"{KEY}"'], ids=["plain", "with its scheme", "refused"])
@pytest.mark.parametrize("kind", ["env", "file", "provider", "ttl"])
def test_an_interrupt_at_any_line_shows_no_key(
    kind: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A signal handler may raise at any line, for Ctrl-C or a time limit."""
    monkeypatch.setenv("TGW_API_KEY", value)
    path = tmp_path / "key"
    path.write_text(value)
    makers: dict[str, Callable[[], BearerEnvAuth]] = {
        "env": lambda: BearerEnvAuth("TGW_API_KEY"),
        "file": lambda: BearerEnvAuth(file=path),
        "provider": lambda: BearerEnvAuth(provider=value.encode),
        "ttl": lambda: BearerEnvAuth(provider=lambda: value, ttl=100),
    }
    # An interrupt within an ``except`` may leave the exception set in its thread, so another thread runs this.
    with ThreadPoolExecutor(1) as pool:
        results = (pool.submit(interrupted, makers[kind], number).result() for number in itertools.count(1))
        interrupts = 0
        while isinstance(error := next(results), KeyboardInterrupt):
            assert_exception_hidden(error)
            interrupts += 1
    assert isinstance(error, InvalidKeyError) == (value[0] == '"')
    assert interrupts > 5


def advised(number: int) -> BaseException | None:
    """Say how to check a refused key with an interrupt at one line, as `interrupted` does."""
    auth = BearerEnvAuth(provider=lambda: KEY)
    credential = auth.credential()
    request = requests.Request("GET", "https://a.example/v1/models").prepare()
    sys.settrace(Interrupt(number))
    try:
        how_to_check(auth.sources, "provider <lambda>", credential, request, request.url)
    except KeyboardInterrupt as error:
        return error
    finally:
        sys.settrace(None)
    return None


def test_an_interrupted_log_line_shows_no_key() -> None:
    """While the package searches the URL for the key, a local variable holds the key as a plain str."""
    with ThreadPoolExecutor(1) as pool:
        errors = list(
            itertools.takewhile(
                lambda error: error is not None, (pool.submit(advised, number).result() for number in range(1, 500, 3))
            )
        )
    for error in filter(None, errors):
        assert_exception_hidden(error)
    assert len(errors) > 20


def test_an_interrupted_comparison_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package clears its frames and raises the interrupt again."""

    def interrupt(*arguments: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("requests_bearer_env.advice.is_harmless", interrupt)
    auth = BearerEnvAuth(provider=lambda: KEY)
    request = requests.Request("GET", "https://a.example/").prepare()
    with pytest.raises(KeyboardInterrupt) as caught:
        how_to_check(auth.sources, "provider <lambda>", auth.credential(), request, request.url)
    assert_exception_hidden(caught.value)


def test_an_interrupted_check_shows_no_key(key_env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor reads the sources itself."""

    def interrupt(key: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv(key_env, f'"{KEY}"')
    monkeypatch.setattr("requests_bearer_env.mistakes.explain_refusal", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        diagnose(BearerEnvAuth(key_env))
    assert len(frames_of(caught.value)) > 3
    assert_exception_hidden(caught.value)


def test_a_providers_frames_are_kept() -> None:
    """The user may need the locals of the provider to debug it."""

    def vault() -> str:
        step = "asking"
        raise OSError(step)

    with pytest.raises(KeySourceError) as caught:
        BearerEnvAuth(provider=vault).credential()
    assert caught.value.__cause__ is not None
    *_, (frame, _) = traceback.walk_tb(caught.value.__cause__.__traceback__)
    assert frame.f_locals == {"step": "asking"}


def test_causes_and_contexts_are_cleared() -> None:
    """The frames of causes and contexts are cleared, even if these form a cycle."""

    def interrupt() -> str:
        raise KeyboardInterrupt

    errors: list[BaseException] = []
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt) as caught:
            ProviderSource(interrupt).read()
        errors.append(caught.value)
    errors[0].__cause__, errors[0].__context__, errors[1].__cause__ = errors[1], errors[2], errors[0]
    assert all(frame.f_locals for error in errors for frame in frames_of(error))
    clear_frames(errors[0])
    assert not any(frame.f_locals for error in errors for frame in frames_of(error))


def test_a_failing_retry_shows_no_key(session: requests.Session, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """The retry is sent by this package, so its frames are in the traceback."""
    answers = iter([KEY, OTHER_KEY])
    server = serve(keyed("another"))

    def vault() -> str:
        if server.seen:
            monkeypatch.setattr("urllib3.connection.HTTPConnection.putrequest", _broken)
        return next(answers)

    with pytest.raises(requests.ConnectionError) as caught:
        session.get(server.url(), auth=BearerEnvAuth(provider=vault))
    assert len(server.seen) == 1
    assert [frame.f_code.co_name for frame in frames_of(caught.value)] == ["__call__", "_handle_refusal", "_resend"]
    assert_exception_hidden(caught.value)


def _broken(*arguments: object, **options: object) -> None:
    raise OSError("broken")


def test_no_key_is_left_in_a_log_record(
    caplog: pytest.LogCaptureFixture, serve: Serve, session: requests.Session
) -> None:
    """Some handlers send a record's arguments away as they are, so these have no key either."""
    caplog.set_level(1)
    keys = iter([KEY, OTHER_KEY])
    session.get(serve(keyed(OTHER_KEY)).url(), auth=BearerEnvAuth(provider=lambda: next(keys)))
    records = [record for record in caplog.records if record.name == "requests_bearer_env"]
    assert records
    for record in records:
        assert_hidden(repr(vars(record)))


def test_no_key_outlives_its_request(key_env: str) -> None:
    """Without a cache, an auth refers to no key after a request, even if a server has refused that key."""
    auth = BearerEnvAuth(key_env)
    auth.sources.read_after_refusal(auth.credential(), next_event())
    assert not [held for held in reachable(auth) if isinstance(held, str) and KEY in held]
    cached = BearerEnvAuth(provider=KEY.encode, ttl=60)
    cached.credential()
    assert [held for held in reachable(cached) if isinstance(held, str) and KEY in held], "the search finds a key"
