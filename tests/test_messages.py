"""Every message of the package's errors, and its log's line on a refusal, whole: "<what was seen>: <what to do>"."""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import requests_mock

from requests_bearer_env import (
    BearerAuthError,
    BearerEnvAuth,
    InsecureTransportError,
    InvalidKeyError,
    KeySourceError,
    MissingKeyError,
    MountedAuth,
    UntrustedHostError,
    command,
    platforms,
)
from requests_bearer_env.destination import Destination
from tests.helpers import KEY, assert_hidden, authorized, python

Call = Callable[[], object]


def auth(*args: Any, **options: Any) -> Call:
    """A call of BearerEnvAuth, with arguments of any type."""
    return lambda: BearerEnvAuth(*args, **options)


def mounted(mounts: Any) -> Call:
    """A call of MountedAuth."""
    return lambda: MountedAuth(mounts)


def run(argv: Any, **options: Any) -> Call:
    """A call of command."""
    return lambda: command(argv, **options)


def print_key() -> str:
    """Return a key."""
    return KEY


BASIC = BearerEnvAuth()

NO_NAME = (
    "env= ({} characters, not shown) is not the name of an environment variable: "
    "put the key into a variable and give that variable's name, or name a file with file="
)
EXPANSION = (
    "env= ({} characters, not shown) is written as a shell expands a variable: "
    "give the variable's name alone, without $ or %"
)
NO_HOST = "hosts= item 2 is not a host: write it like api.example.com, *.example.com or tgw.local:5000"
NO_HTTP_HOST = "allow_http= item 1 is not a host: write it like localhost or 127.0.0.1"
WILDCARD = "allow_http= item 1 is a wildcard: name each host that may be reached by plain HTTP, such as 127.0.0.1"
NOT_A_URL = "prefix 1 is not an http or https URL with a host: write it like https://api.example.com/v1/"
NOT_PLAIN = "prefix 1 contains ?, # or @: give scheme, host and path alone"
NO_PROGRAM = "the command has no program, or has a NUL character in it: give a list of the program and its arguments"
SHELL = "the command is a string: give a list of the program and its arguments, because no shell is used"
TIMEOUT = "the timeout is not a positive, finite number: give the seconds to wait for the program"
TTL = "ttl= is not a positive, finite number: give the seconds to cache the provider's key"
NEEDS_PROVIDER = "ttl= needs provider=, because only a provider's key is cached: leave it out"
STATUS = "refresh_on= is empty or has a status that is not from 400 to 599: give statuses such as (401, 403)"
NO_STATUS = "refresh_on= has an item that is not an int: give statuses such as (401, 403)"

#: Wrong arguments of the three constructors: the error, its whole message, and the calls that raise it.
WRONG: list[tuple[type[Exception], str, list[Call]]] = [
    (TypeError, "env= is int: give the name of an environment variable", [auth(5)]),
    (
        TypeError,
        "env= is PreparedRequest, as when the class itself is passed: write auth=BearerEnvAuth()",
        [lambda: requests.Request("GET", "https://a.example/", auth=cast("Any", BearerEnvAuth)).prepare()],
    ),
    (TypeError, "env= is bytes: give the name of an environment variable", [auth(KEY.encode())]),
    (ValueError, NO_NAME.format(0), [auth("")]),
    (ValueError, NO_NAME.format(3), [auth(name) for name in ("A B", "A=x", "1KE", "A-B", "$-K", "${K", "%K}")]),
    (ValueError, NO_NAME.format(4), [auth(name) for name in ("ключ", "a.b.", "KEY\n", "\ud800KEY")]),
    (ValueError, NO_NAME.format(14), [auth("/run/secrets/x"), auth("C:\\secrets\\xyz")]),
    (ValueError, NO_NAME.format(len(KEY)), [auth(KEY)]),
    (ValueError, EXPANSION.format(2), [auth("$K")]),
    (ValueError, EXPANSION.format(3), [auth("%K%")]),
    (ValueError, EXPANSION.format(4), [auth("${K}")]),
    (ValueError, EXPANSION.format(6), [auth("$env:K"), auth("$ENV:K")]),
    (TypeError, "file= is a path in bytes: give it as a str", [auth(file=b"key")]),
    (TypeError, "expected str, bytes or os.PathLike object, not int", [auth(file=5), run([5])]),
    (
        ValueError,
        "file= is blank or has a NUL character in it: give the path of the key's file",
        [auth(file=path) for path in ("", " \n", f"{KEY}\0")],
    ),
    (TypeError, "provider= is str: give a function that returns the key", [auth(provider=KEY)]),
    (TypeError, "provider= is list: give a function that returns the key", [auth(provider=["op", "read"])]),
    (TypeError, "ttl= is str: give a number of seconds", [auth(provider=print_key, ttl="5")]),
    (TypeError, "ttl= is bool: give a number of seconds", [auth(provider=print_key, ttl=True)]),
    (
        ValueError,
        TTL,
        [auth(provider=print_key, ttl=ttl) for ttl in (0, -1, math.inf, -math.inf, math.nan, 10**400)],
    ),
    (ValueError, NEEDS_PROVIDER, [auth(ttl=5), auth("TGW_API_KEY", ttl=5), auth(file="key", ttl=5), auth(ttl=KEY)]),
    (TypeError, "hosts= is int: give host names in a list", [auth(hosts=5)]),
    (TypeError, "hosts= is bytes: give host names in a list", [auth(hosts=b"a.example")]),
    (TypeError, "hosts= is bool: give host names in a list", [auth(hosts=True)]),
    (TypeError, "allow_http= is bool: give host names in a list", [auth(allow_http=True)]),
    (TypeError, "allow_http= is NoneType: give host names in a list", [auth(allow_http=None)]),
    (TypeError, "hosts= item 2 is bytes: give a host name as a str", [auth(hosts=["a.example", b"b.example"])]),
    (ValueError, "hosts= is empty, which would allow no host: name the hosts, or leave it out", [auth(hosts=[])]),
    (
        ValueError,
        "hosts= item 2 is a URL, not a host: give its host alone, such as api.example.com",
        [auth(hosts=["a.example", url]) for url in ("https://a.example", "//a.example", "https://*.example")],
    ),
    (
        ValueError,
        NO_HOST,
        [
            *(auth(hosts=["a.example", host]) for host in ("", "*", "*.", "a.*.example", "*a.example", "*.*.example")),
            *(auth(hosts=["a.example", f"a{character}b.example"]) for character in "/?#@\\ \t[]%,"),
            *(auth(hosts=["a.example", host]) for host in ("[]", "[::g]", "[::G]", "[::1]:1:2", ".a.example")),
            *(auth(hosts=["a.example", host]) for host in ("a.example:", "a.example:x", "a.example:123456")),
        ],
    ),
    (
        ValueError,
        "hosts= item 1 is a wildcard on an address, which has no subdomains: name the address",
        [auth(hosts=host) for host in ("*.127.0.0.1", "*.[::1]")],
    ),
    (
        ValueError,
        "hosts= item 1 has a port that is not between 1 and 65535: correct it",
        [auth(hosts=host) for host in ("a.example:0", "a.example:65536")],
    ),
    (
        ValueError,
        "hosts= item 1 is not a host that requests accepts in a URL: correct its spelling",
        [auth(hosts="\u2048.example")],
    ),
    (ValueError, WILDCARD, [auth(allow_http=["*"]), auth(allow_http="*.example"), auth(allow_http="*:5000")]),
    (ValueError, NO_HTTP_HOST, [auth(allow_http=""), auth(allow_http="a/b"), auth(allow_http=[KEY])]),
    (TypeError, "refresh_on= is str: give statuses such as (401, 403)", [auth(refresh_on="401")]),
    (TypeError, "refresh_on= is NoneType: give statuses such as (401, 403)", [auth(refresh_on=None)]),
    (TypeError, NO_STATUS, [auth(refresh_on=(401, status)) for status in ("403", 403.0, True, None)]),
    (ValueError, STATUS, [auth(refresh_on=status) for status in ((), 399, 600, (401, 200))]),
    (TypeError, "mounts is list: give a dict of URL prefixes and auth objects", [mounted([("https://a.example", 5)])]),
    (TypeError, "mounts is str: give a dict of URL prefixes and auth objects", [mounted("https://a.example")]),
    (TypeError, "mounts is NoneType: give a dict of URL prefixes and auth objects", [mounted(None)]),
    (ValueError, "mounts is empty, so no request would get a key: give URL prefixes and auth objects", [mounted({})]),
    (
        TypeError,
        "prefix 2 is int: give a URL such as https://api.example.com/v1/",
        [mounted({"http://a": BASIC, 5: BASIC})],
    ),
    (
        TypeError,
        "prefix 1 is bytes: give a URL such as https://api.example.com/v1/",
        [mounted({b"https://a.example/": BASIC})],
    ),
    (
        TypeError,
        "the value of prefix 1 is tuple: give an auth object",
        [mounted({"https://a.example": ("u", "p")})],
    ),
    (TypeError, "the value of prefix 1 is str: give an auth object", [mounted({"https://a.example": KEY})]),
    (TypeError, "the value of prefix 1 is NoneType: give an auth object", [mounted({"https://a.example": None})]),
    (
        ValueError,
        NOT_A_URL,
        [
            mounted({prefix: BASIC})
            for prefix in ("", "a.example", "a.example/v1/", "https://", "https:///v1/", "ftp://a.example/", KEY)
        ]
        + [mounted({"https://*.a.example/": BASIC})],
    ),
    (
        ValueError,
        NOT_PLAIN,
        [mounted({f"https://{rest}": BASIC}) for rest in ("a.example/?x=1", "a.example/#x", "user:hunter2@a.example/")],
    ),
    (
        ValueError,
        "prefix 1 has a path that servers read differently: write it without %, ;, \\ and //",
        [mounted({f"https://a.example/{path}": BASIC}) for path in ("a%2Fb", "a//b", "a;b", "a\\b")],
    ),
    (
        ValueError,
        "two prefixes are the same, so it is unknown which key is meant: leave one of them out",
        [mounted({"https://a.example/v1": BASIC, "https://A.example:443/x/../v1/": BASIC})],
    ),
    (TypeError, SHELL, [run("op read"), run(b"op read")]),
    (TypeError, "the command has a part that is not a str: give a list of str", [run([b"op"])]),
    (TypeError, "'int' object is not iterable", [run(5)]),
    (ValueError, NO_PROGRAM, [run([]), run([""]), run(["op", f"{KEY}\0"])]),
    (TypeError, "the timeout is str: give a number of seconds", [run(["op"], timeout=KEY)]),
    (TypeError, "the timeout is bool: give a number of seconds", [run(["op"], timeout=True)]),
    (TypeError, "the timeout is NoneType: give a number of seconds", [run(["op"], timeout=None)]),
    (ValueError, TIMEOUT, [run(["op"], timeout=timeout) for timeout in (0, -1, math.inf, math.nan, 1e300)]),
    (TypeError, "first_line= is int: give True or False", [run(["op"], first_line=1)]),
    (AttributeError, "BearerEnvAuth is immutable: make another one", [lambda: setattr(BASIC, "hosts", ())]),
    (
        AttributeError,
        "MountedAuth is immutable: make another one",
        [lambda: delattr(MountedAuth({"https://a.example": BASIC}), "mounts")],
    ),
]


@pytest.mark.parametrize(("error", "message", "call"), [(*row, call) for *row, calls in WRONG for call in calls])
def test_a_wrong_argument_is_refused(error: type[Exception], message: str, call: Call) -> None:
    """A wrong argument raises when the object is made, with exactly this message."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value) == message


def provide(value: object) -> Call:
    """A call of BearerEnvAuth whose provider is named vault and returns a value."""

    def vault() -> Any:
        return value

    return auth(provider=vault)


def fail() -> str:
    """Raise what a failing provider raises."""
    raise OSError(KEY)


PYTHON = f"command {Path(sys.executable).name}"
SET_IT = "set it before the program starts, or set {}_FILE to the path of a file with the key"
STORE_IT = "store the key in that file, or correct the path"
BY_HAND = "run it by hand to see why"
NOT_REGULAR = (
    "is not a regular file but a directory, pipe, socket or device: "
    "give the path of a regular file, or use provider= with a program that prints the key"
)

#: Failing sources: the error, its whole message, and the auth whose request raises it.
SOURCES: list[tuple[type[BearerAuthError], str, Call]] = [
    (
        MissingKeyError,
        f"no key found because TGW_KEY is not set in this process's environment: {SET_IT.format('TGW_KEY')}",
        auth("TGW_KEY"),
    ),
    (
        MissingKeyError,
        (
            "no key found because BEARER_TOKEN is not set in this process's environment: "
            "name another variable with env='NAME', or set this one before the program starts"
        ),
        auth(),
    ),
    (
        MissingKeyError,
        f"no key found because BLANK_KEY is blank in this process's environment: {SET_IT.format('BLANK_KEY')}",
        auth("BLANK_KEY"),
    ),
    (
        MissingKeyError,
        (
            "no key found because the variable with a name of 7 characters (not shown because it may be a key) "
            "is not set in this process's environment: "
            "set that variable before the program starts; "
            "if this is the key itself, give the name of a variable that holds it"
        ),
        auth("hunter2"),
    ),
    (
        MissingKeyError,
        f"no key found because the file that LOST_KEY_FILE names, $HERE/no/such/key, does not exist: {STORE_IT}",
        auth("LOST_KEY"),
    ),
    (
        MissingKeyError,
        f"no key found because the file that EMPTY_KEY_FILE names, blank, is blank: {STORE_IT}",
        auth("EMPTY_KEY"),
    ),
    *(
        (
            MissingKeyError,
            (
                f"no key found because the file that {name}_FILE names, at a path of {length} characters "
                f"(not shown because it may be a key), does not exist: {remedy}"
            ),
            auth(name),
        )
        for name, length, remedy in (
            ("MISPLACED_KEY", len(KEY), "MISPLACED_KEY_FILE takes a path; for the key itself use MISPLACED_KEY"),
            ("BASE64_KEY", 7, STORE_IT),
        )
    ),
    (
        KeySourceError,
        (
            "the path of the key's file has quotes around it, which count as part of the path: "
            "write the path without quotes"
        ),
        auth("QUOTED_KEY"),
    ),
    (
        MissingKeyError,
        (
            "no key found because the file at a path of 7 characters (not shown because it may be a key) "
            f"does not exist: {STORE_IT}"
        ),
        auth(file="hunter2"),
    ),
    (
        MissingKeyError,
        (
            "no key found because file $NO_SUCH_VARIABLE/key does not exist "
            f"($ in its path names no variable that is set): {STORE_IT}"
        ),
        auth(file="$NO_SUCH_VARIABLE/key"),
    ),
    (MissingKeyError, f"no key found because file blank is blank: {STORE_IT}", auth(file="blank")),
    (
        MissingKeyError,
        "no key found because provider vault returned no key: run it by hand to see what it returns",
        provide(None),
    ),
    (
        MissingKeyError,
        (
            "no key found because TGW_KEY is not set in this process's environment "
            f"and file blank is blank and provider {PYTHON} returned no key: store the key in one of these places"
        ),
        auth("TGW_KEY", file="blank", provider=command(python(""))),
    ),
    (
        KeySourceError,
        "BOTH_KEY and BOTH_KEY_FILE are both set, so it is unknown which key is meant: unset one of the two",
        auth("BOTH_KEY"),
    ),
    (KeySourceError, "file long has more than 16384 bytes, too many for a key: check the path", auth(file="long")),
    *((KeySourceError, f"file {path} {NOT_REGULAR}", auth(file=path)) for path in ("/", ".", os.devnull)),
    (
        KeySourceError,
        "file utf-16 is UTF-16, which PowerShell's > writes: store the key in it as UTF-8",
        auth(file="utf-16"),
    ),
    (KeySourceError, "file binary is not UTF-8 text: store the key in it as UTF-8", auth(file="binary")),
    (KeySourceError, "provider fail raised OSError: call it directly to see why", auth(provider=fail)),
    (
        InvalidKeyError,
        "provider vault returned list, not a key: return a str, bytes in ASCII, or None",
        provide([KEY]),
    ),
    (
        KeySourceError,
        f"{PYTHON} failed with exit status 3: {BY_HAND}",
        auth(provider=command(python(f"print({KEY!r}); raise SystemExit(3)"))),
    ),
    (
        KeySourceError,
        f"{PYTHON} did not finish within 0.1 s: {BY_HAND}",
        auth(provider=command(python("import time; time.sleep(20)"), timeout=0.1)),
    ),
    (
        KeySourceError,
        f"{PYTHON} printed more than 16384 bytes: {BY_HAND}",
        auth(provider=command(python(f"while True: print({KEY!r})"))),
    ),
    *(
        (InvalidKeyError, f"the value of provider vault ({length} characters) {mistake}", provide(value))
        for value, length, mistake in (
            (
                "abc def",
                7,
                "has SPACE (U+0020) at position 4: a key is visible ASCII without white space, so copy it again",
            ),
            ("abc\ndef", 7, "has LINE FEED (U+000A) at position 4: store only the key, on one line"),
            (
                "a\0b\0",
                4,
                (
                    "has NULL (U+0000) at position 2: "
                    "it may be stored as UTF-16, which PowerShell's > writes, so store it as UTF-8"
                ),
            ),
            (
                b"abc\x80",
                4,
                (
                    "has the byte 0x80, which is not UTF-8, at position 4: "
                    "a key is visible ASCII without white space, so copy it again"
                ),
            ),
            ("Bearer", 6, "has no key after the word Bearer: store the key; the scheme is added for you"),
            ("'abc'", 5, "is wrapped in quotes, which would be sent as part of the key: store it without the quotes"),
            (
                "op://vault/item",
                15,
                (
                    "is a reference to a secret or a URL, not the key itself: "
                    "store the key itself, or use provider= with a program that resolves the reference"
                ),
            ),
            (
                "Authorization: Bearer abc",
                25,
                "is a whole header line, not the key alone: store only the key; the scheme is added for you",
            ),
            (
                "Bearer Bearer abc",
                10,
                "has the word Bearer twice before the key: store only the key; the scheme is added for you",
            ),
            (
                "Token abc",
                9,
                "begins with a scheme other than Bearer: store only the key, which is sent with the scheme Bearer",
            ),
            (
                "KEY=abc",
                7,
                "is a NAME=value line, as in a dotenv file: store only the value, the part after the =",
            ),
            ("export abc", 10, "begins with the word export: store only the key"),
            ("# for tgw\nabc", 13, "begins with a comment line, as a dotenv file may: store the key alone"),
            (
                "abc # for tgw",
                13,
                "has a comment after the key, which would be sent as part of it: store the key alone",
            ),
            ('{"key": "abc"}', 14, "is JSON, not the key alone: store only the key that is in it"),
        )
    ),
]

#: Sources whose files, signals or error texts Windows does not have.
POSIX_SOURCES: list[tuple[type[BearerAuthError], str, Call]] = [
    (KeySourceError, "the path of the key's file is too long: give a path, not the key itself", auth(file="k" * 5000)),
    *((KeySourceError, f"file {path} {NOT_REGULAR}", auth(file=path)) for path in ("pipe", "s")),
    (
        KeySourceError,
        "file $HERE/blank/key cannot be read (Not a directory): check the path, and the file's owner and permissions",
        auth(file="$HERE/blank/key"),
    ),
    (
        KeySourceError,
        (
            "the file at a path of 4 characters (not shown because it may be a key) cannot be read "
            "(it is not a valid path on this system): check the path, and the file's owner and permissions"
        ),
        auth(file="key\ud800"),
    ),
    (
        KeySourceError,
        f"command sh was ended by signal 9: {BY_HAND}",
        auth(provider=command(["sh", "-c", "kill -9 $$"])),
    ),
    (
        KeySourceError,
        (
            "command no-such-program cannot be started (No such file or directory): "
            "check that it is installed and on the PATH"
        ),
        auth(provider=command(["no-such-program", KEY])),
    ),
    (
        KeySourceError,
        (
            "command (not shown because it may hold a key) cannot be started "
            "(No such file or directory): check that it is installed and on the PATH"
        ),
        auth(provider=command([KEY])),
    ),
]


@pytest.fixture
def irregular_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Make a named pipe and a socket in the working directory, if the system has them."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        if os.name != "nt":
            os.mkfifo("pipe")
            stack.enter_context(socket.socket(socket.AF_UNIX)).bind("s")
        yield


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [*SOURCES, *(pytest.param(*row, marks=pytest.mark.posix("words and files")) for row in POSIX_SOURCES)],
)
def test_a_failing_source_has_its_message(
    error: type[BearerAuthError],
    message: str,
    make: Call,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    irregular_files: None,
) -> None:
    """A source that fails or has no key raises when a request is prepared, with exactly this message."""
    for name, value in {
        "BLANK_KEY": " ",
        "BOTH_KEY": "a",
        "BOTH_KEY_FILE": "b",
        "LOST_KEY_FILE": "$HERE/no/such/key",
        "EMPTY_KEY_FILE": "blank",
        "MISPLACED_KEY_FILE": KEY.replace("/", "."),
        "BASE64_KEY_FILE": "abc/def",
        "QUOTED_KEY_FILE": '"/run/secrets/key"',
        "HERE": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    Path("blank").touch()
    Path("long").write_bytes(b"k" * 16385)
    Path("utf-16").write_bytes("key".encode("utf-16"))
    Path("binary").write_bytes(b"\xff\x00\xff")
    made: Any = make()
    with pytest.raises(error) as caught:
        authorized(made)
    assert type(caught.value) is error
    assert str(caught.value) == message


#: Forbidden destinations: the error, its whole message, the arguments hosts= and allow_http=, and the URL.
DESTINATIONS: list[tuple[type[BearerAuthError], str, list[str] | None, list[str], str]] = [
    (
        InsecureTransportError,
        "the key was not sent because the URL is not http or https with a plain host name: write it like https://api.example.com/v1/models",
        None,
        [],
        "ftp://a.example/",
    ),
    (
        InsecureTransportError,
        (
            "the key was not sent to http://a.example:5000 because plain HTTP shows it to everyone on the network "
            "path: use https://; or, if you trust the network, use allow_http=['a.example']"
        ),
        None,
        ["b.example"],
        "http://user:hunter2@a.example:5000/v1?secret=1",
    ),
    *(
        (
            InsecureTransportError,
            (
                f"the key was not sent to http://{host}:5000 because plain HTTP must be allowed by name: "
                f"use allow_http=['{host.strip('[]')}'], or https:// if the server speaks TLS"
            ),
            None,
            [],
            f"http://{host}:5000/",
        )
        for host in ("localhost", "127.0.0.1", "[::1]")
    ),
    (
        UntrustedHostError,
        (
            "the key was not sent to https://b.example:8443 because the key is bound to *.c.example, a.example: "
            "correct the URL, or name the host with hosts= if the key belongs there"
        ),
        ["a.example", "*.c.example"],
        [],
        "https://b.example:8443/",
    ),
    (
        InsecureTransportError,
        (
            "the key was not sent to http://[::1]:5000 because the environment's proxy settings route it through a "
            "proxy, which could read it over plain HTTP: connect directly with NO_PROXY=::1, or use https://"
        ),
        None,
        ["::1"],
        "http://[::1]:5000/",
    ),
]


@pytest.mark.parametrize(("error", "message", "hosts", "allow_http", "url"), DESTINATIONS)
def test_a_forbidden_url_has_its_message(
    error: type[BearerAuthError],
    message: str,
    hosts: list[str] | None,
    allow_http: list[str],
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A forbidden URL raises with exactly this message, which shows no path, query or password."""
    monkeypatch.setenv("http_proxy", "http://user:hunter2@proxy.example:3128")
    with pytest.raises(error) as caught:
        Destination(hosts, allow_http).check(url)
    assert type(caught.value) is error
    assert str(caught.value) == message


RUN = f"run {platforms.python_for_shell()} -m requests_bearer_env check"
CALL = "call requests_bearer_env.doctor.diagnose(auth, '{}') and print what it returns"
MODELS = "https://tgw.example/v1/models"

#: Refused keys: method and URL, the auth, what the log calls the source, and what it says to do.
REFUSED: list[tuple[str, str, Call, str, str]] = [
    ("GET", MODELS, auth("K"), "environment variable K", f"{RUN} --env K {MODELS}"),
    *(
        (
            method,
            MODELS,
            auth("K"),
            "environment variable K",
            f"add --method {method} if a {method} without a body does no harm, and {RUN} --env K {MODELS}",
        )
        for method in ("POST", "PUT", "PATCH", "DELETE")
    ),
    ("OPTIONS", MODELS, auth("K"), "environment variable K", f"{RUN} --env K {MODELS}"),
    ("M-SEARCH", MODELS, auth("K"), "environment variable K", f"{RUN} --env K {MODELS}"),
    ("HEAD", MODELS, auth("K"), "environment variable K", f"{RUN} --env K --method HEAD {MODELS}"),
    ("GET", MODELS, auth(), "environment variable BEARER_TOKEN", f"{RUN} --env BEARER_TOKEN {MODELS}"),
    ("GET", MODELS, auth(file="key"), "file key", f"{RUN} --file {{here}}key {MODELS}"),
    ("GET", MODELS, auth("FILED"), "file key", f"{RUN} --file {{here}}key {MODELS}"),
    ("GET", MODELS, auth("NONE", file="key"), "file key", CALL.format(MODELS)),
    ("GET", MODELS, auth("FILED", file="no"), "file key", CALL.format(MODELS)),
    ("GET", MODELS, auth("K", provider=print_key), "environment variable K", CALL.format(MODELS)),
    ("GET", MODELS, auth(provider=print_key), "provider print_key", CALL.format(MODELS)),
    (
        "PUT",
        MODELS,
        auth("NONE", provider=print_key, ttl=60),
        "provider print_key",
        f"add method='PUT' if a PUT without a body does no harm, and {CALL.format(MODELS)}",
    ),
    (
        "HEAD",
        MODELS,
        auth(provider=print_key),
        "provider print_key",
        CALL.format(MODELS).replace(")", ", method='HEAD')"),
    ),
    (
        "GET",
        MODELS,
        auth(provider=command(python(f"print({KEY!r})"))),
        f"provider {PYTHON}",
        CALL.format(MODELS),
    ),
    (
        "GET",
        f"https://user:hunter2@tgw.example:8443/v1/models?page={KEY}#hunter2",
        auth("K"),
        "environment variable K",
        f"{RUN} --env K https://tgw.example:8443/v1/models",
    ),
    (
        "GET",
        "http://127.0.0.1:5000/v1/models",
        auth("K", hosts="127.0.0.1", allow_http="127.0.0.1"),
        "environment variable K",
        f"{RUN} --env K --allow-http 127.0.0.1 http://127.0.0.1:5000/v1/models",
    ),
    ("GET", f"https://a.example/{KEY}", auth("K"), "environment variable K", f"{RUN} --env K URL"),
    ("GET", f"https://a.example/{KEY}", auth(provider=print_key), "provider print_key", CALL.format("URL")),
    ("GET", f"https://a.example/{'x' * 250}/{KEY}", auth("K"), "environment variable K", f"{RUN} --env K URL"),
    ("GET", f"https://a.example/{'x' * 3000}", auth("K"), "environment variable K", f"{RUN} --env K URL"),
    (
        "GET",
        MODELS,
        lambda: MountedAuth({"https://tgw.example/": BearerEnvAuth("K")}),
        "environment variable K",
        f"{RUN} --env K {MODELS}",
    ),
]

#: The same, with what only a POSIX shell needs quoted in this way.
POSIX_REFUSED: list[tuple[str, str, Call, str, str]] = [
    ("GET", MODELS, auth(file="my key"), "file my key", f"{RUN} --file '{{here}}my key' {MODELS}"),
    ("GET", MODELS, auth(file="~/key"), "file ~/key", f"{RUN} --file '~/key' {MODELS}"),
    ("GET", MODELS, auth(file="$HERE/key"), "file $HERE/key", f"{RUN} --file '$HERE/key' {MODELS}"),
    ("GET", MODELS, auth(file="k\x1b[31m\nkey"), "file k?[31m?key", CALL.format(MODELS)),
    ("GET", MODELS, auth("HOMED"), "file ~/key", f"{RUN} --file '~/key' {MODELS}"),
    (
        "GET",
        "http://[::1]:5000/",
        auth("K", allow_http="::1"),
        "environment variable K",
        f"{RUN} --env K --allow-http ::1 'http://[::1]:5000/'",
    ),
]


@pytest.mark.parametrize(
    ("method", "url", "make", "source", "remedy"),
    [*REFUSED, *(pytest.param(*row, marks=pytest.mark.posix("a POSIX shell's quotes")) for row in POSIX_REFUSED)],
)
def test_a_refusal_is_logged_whole(
    method: str,
    url: str,
    make: Call,
    source: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    home: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The line ends with the very command that finds out why, without the key and without secrets of the URL."""
    monkeypatch.chdir(tmp_path)
    named = ["key", "my key", *(["k\x1b[31m\nkey"] if os.name == "posix" else [])]
    for path in (*map(Path, named), home / "key"):
        path.write_text(KEY)
    for name, value in {
        "K": KEY,
        "BEARER_TOKEN": KEY,
        "FILED_FILE": "key",
        "HOMED_FILE": "~/key",
        "HERE": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.INFO, "requests_bearer_env")
    made: Any = make()
    with requests_mock.Mocker() as server:
        server.register_uri(requests_mock.ANY, requests_mock.ANY, status_code=401)
        requests.request(method, url, auth=made, timeout=10)
    (message,) = caplog.messages
    seen, _, advice = message.partition(", and reading it again gave the same key: to find out why, ")
    assert seen.endswith(f" answered 401 to the key of {source} ({len(KEY)} characters)")
    assert advice == remedy.replace("{here}", str(tmp_path / "_")[:-1])
    assert_hidden(message)


def test_an_unlogged_refusal_makes_no_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice is computed only if the log shows it."""
    monkeypatch.setenv("K", KEY)
    monkeypatch.setattr("requests_bearer_env.advice.how_to_check", None)
    with requests_mock.Mocker() as server:
        server.get(MODELS, status_code=401)
        assert requests.get(MODELS, auth=BearerEnvAuth("K"), timeout=10).status_code == 401


WINDOWS_WORDS = [
    ("/v1/models", "{url}"),
    ("/v1/%24%28calc%29", "URL"),
    ("/v1/$(calc)", "URL"),
    ("/v1/%DATABASE_URL%/x", "URL"),
    ("/v1/a&b", '"{url}"'),
]


@pytest.mark.parametrize(("path", "shown"), WINDOWS_WORDS)
def test_the_shells_of_windows_interpret_nothing(
    path: str, shown: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """PowerShell expands ``$`` and cmd ``%`` even in double quotes, and a server may choose the path."""
    monkeypatch.setenv("K", KEY)
    monkeypatch.setattr("requests_bearer_env.platforms.WINDOWS", True)
    caplog.set_level(logging.INFO, "requests_bearer_env")
    with requests_mock.Mocker() as server:
        server.get(requests_mock.ANY, status_code=401)
        requests.get(f"https://tgw.example{path}", auth=BearerEnvAuth("K"), timeout=10)
    (message,) = caplog.messages
    assert message.endswith(" check --env K " + shown.format(url=f"https://tgw.example{path}"))


def test_an_unquotable_path_advises_diagnose(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """No command line can name such a path, so the log advises a call in Python."""
    monkeypatch.chdir(tmp_path)
    Path("$x key").write_text(KEY)
    monkeypatch.setattr("requests_bearer_env.platforms.quote_for_shell", lambda word: None if "$" in word else word)
    caplog.set_level(logging.INFO, "requests_bearer_env")
    with requests_mock.Mocker() as server:
        server.get(MODELS, status_code=401)
        requests.get(MODELS, auth=BearerEnvAuth(file="$x key"), timeout=10)
    assert caplog.messages[0].endswith(CALL.format(MODELS))
