"""BearerEnvAuth as an object (equality, copies, repr), and what it does to a request that is prepared."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from requests_bearer_env import (
    BearerAuthError,
    BearerEnvAuth,
    InsecureTransportError,
    KeySourceError,
    MountedAuth,
    UntrustedHostError,
    command,
)
from requests_bearer_env.retry import Retry
from tests.helpers import KEY, NEW, OLD, OTHER_KEY, reachable

URL = "https://api.example/v1"


def shared_provider() -> str:
    """Return the key, from a function that pickle finds by its name."""
    return KEY


MAKERS: dict[str, Callable[[], BearerEnvAuth]] = {
    "default": BearerEnvAuth,
    "env": lambda: BearerEnvAuth("TGW_API_KEY"),
    "file": lambda: BearerEnvAuth(file="/run/secrets/key"),
    "provider": lambda: BearerEnvAuth(provider=shared_provider),
    "ttl": lambda: BearerEnvAuth(provider=shared_provider, ttl=60),
    "command": lambda: BearerEnvAuth(provider=command(["op", "read", "x"], timeout=5)),
    "all": lambda: BearerEnvAuth("TGW_API_KEY", file="k", provider=shared_provider),
    "hosts": lambda: BearerEnvAuth(hosts=["b.example", "*.a.example"]),
    "host": lambda: BearerEnvAuth(hosts="b.example"),
    "http": lambda: BearerEnvAuth(allow_http=["localhost"]),
}


@pytest.fixture(params=list(MAKERS.values()), ids=list(MAKERS))
def make(request: pytest.FixtureRequest) -> Callable[[], BearerEnvAuth]:
    """Each kind of auth object in turn."""
    maker: Callable[[], BearerEnvAuth] = request.param
    return maker


class TestObject:
    """Auth objects are immutable, hashable, equal by configuration, picklable and copyable."""

    def test_equal_arguments_make_equal_objects(self, make: Callable[[], BearerEnvAuth]) -> None:
        """Objects made alike are equal and have equal hashes; objects made differently are unequal."""
        assert make() == make()
        assert hash(make()) == hash(make())
        assert [other() == make() for other in MAKERS.values()].count(True) == 1

    def test_another_type_is_unequal(self, make: Callable[[], BearerEnvAuth]) -> None:
        """An auth equals neither objects of other types nor those of a derived class."""

        class Derived(BearerEnvAuth):
            pass

        assert make() != "BEARER_TOKEN"
        assert BearerEnvAuth() != Derived()
        assert Derived() == Derived()

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_a_pickle_restores_an_equal_object(self, make: Callable[[], BearerEnvAuth], protocol: int) -> None:
        """A pickle for a worker process carries the configuration."""
        assert pickle.loads(pickle.dumps(make(), protocol)) == make()

    @pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
    def test_a_copy_is_equal(self, make: Callable[[], BearerEnvAuth], copier: Callable[[Any], Any]) -> None:
        """A copied session has an auth of its own with the same configuration."""
        auth = make()
        assert copier(auth) == auth
        assert copier(auth) is not auth

    def test_a_copy_keeps_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither a pickle nor a copy has the key that the original has cached."""
        auth = BearerEnvAuth(provider=shared_provider, ttl=60)
        auth.credential()
        assert KEY.encode() not in pickle.dumps(auth)
        monkeypatch.setitem(globals(), "KEY", OTHER_KEY)
        assert str(copy.copy(auth).credential()) == NEW

    def test_an_unhashable_provider_is_accepted(self) -> None:
        """An auth is hashable even if its provider is not, because the hash leaves the provider out."""

        class Vault:
            def __call__(self) -> str:
                return KEY

            def __eq__(self, other: object) -> bool:
                return isinstance(other, Vault)

        assert hash(BearerEnvAuth(provider=Vault())) == hash(BearerEnvAuth(provider=Vault()))
        assert BearerEnvAuth(provider=Vault()) == BearerEnvAuth(provider=Vault())

    def test_different_arguments_hash_differently(self) -> None:
        """Only the provider is left out of the hash, so a dict of many auth objects stays fast."""
        auths = [*(BearerEnvAuth(f"KEY_{number}") for number in range(50)), BearerEnvAuth(file="k"), BearerEnvAuth()]
        assert len({hash(auth) for auth in auths}) == len(auths)

    def test_repr_shows_the_arguments(self) -> None:
        """The repr tells one auth object from another."""
        auth = BearerEnvAuth(
            "TGW_API_KEY", file="~/k", provider=shared_provider, hosts="a.example", allow_http="localhost"
        )
        assert repr(auth) == (
            "BearerEnvAuth(env=TGW_API_KEY, file=~/k, provider=shared_provider, "
            "hosts=['a.example'], allow_http=['localhost'])"
        )
        assert repr(BearerEnvAuth()) == "BearerEnvAuth(env=BEARER_TOKEN)"
        assert repr(BearerEnvAuth(refresh_on=[599, 400])) == "BearerEnvAuth(env=BEARER_TOKEN, refresh_on=[400, 599])"

    def test_an_object_without_init_has_a_repr(self) -> None:
        """A traceback printer may call repr on an object whose constructor has failed."""
        assert repr(BearerEnvAuth.__new__(BearerEnvAuth)) == "<BearerEnvAuth, not initialised>"

    def test_a_deep_copy_keeps_the_provider(self) -> None:
        """A deep copy shares the provider, which may hold something that cannot be copied, such as a lock."""

        class Vault:
            def __init__(self) -> None:
                self.lock = threading.Lock()

            def key(self) -> str:
                return KEY

        auth = BearerEnvAuth(provider=Vault().key)
        assert copy.deepcopy(auth) == auth

    def test_a_derived_class_can_be_copied(self) -> None:
        """A copy does not call the derived class's constructor, which may take other arguments."""

        class Derived(BearerEnvAuth):
            def __init__(self) -> None:
                super().__init__("TGW_API_KEY", hosts="api.example")

        assert repr(copy.copy(Derived())).startswith("Derived(env=TGW_API_KEY, hosts=")


class TestRequest:
    """What the auth does to a request that is prepared."""

    @pytest.mark.parametrize(
        ("url", "headers"),
        [(URL, {}), (URL, {"authorization": "Bearer old"}), ("https://user:pass@api.example/", {})],
        ids=["no other", "another header", "a login in the URL"],
    )
    def test_the_header_is_set(self, url: str, headers: dict[str, str], key_env: str) -> None:
        """One header is sent, spelt as case-sensitive servers expect it, whatever else would authorise the request."""
        request = requests.Request("GET", url, headers=headers, auth=BearerEnvAuth(key_env)).prepare()
        assert [item for item in request.headers.items() if item[0].lower() == "authorization"] == [
            ("Authorization", OLD)
        ]

    @pytest.mark.parametrize(
        ("url", "error"),
        [("http://api.example/", InsecureTransportError), ("https://evil.test/", UntrustedHostError)],
    )
    def test_a_forbidden_url_reads_no_key(self, url: str, error: type[Exception]) -> None:
        """The URL is checked before any source is read."""
        auth = BearerEnvAuth(provider=lambda: pytest.fail("asked"), hosts="api.example")
        with pytest.raises(error):
            requests.Request("GET", url, auth=auth).prepare()

    def test_an_error_leaves_the_arguments_unchanged(self, tmp_path: Path) -> None:
        """After the user has stored a key, the same call can be made again."""
        (tmp_path / "body").write_bytes(b"0123456789")
        with requests.Session() as session, (tmp_path / "body").open("rb") as body:
            session.cookies.set("mine", "1")
            body.seek(3)
            before = dict(session.headers), session.cookies.get_dict(), body.tell()
            with pytest.raises(BearerAuthError):
                session.post(URL, data=body, auth=BearerEnvAuth())
            assert (dict(session.headers), session.cookies.get_dict(), body.tell()) == before

    def test_errors_are_request_exceptions(self) -> None:
        """An ``except requests.RequestException`` in an existing script catches them, with the request."""
        with pytest.raises(requests.RequestException) as caught:
            requests.get(URL, auth=BearerEnvAuth(), timeout=5)
        assert isinstance(caught.value, BearerAuthError)
        assert caught.value.request is not None
        assert caught.value.request.url == URL
        assert caught.value.response is None

    def test_preparing_twice_leaves_one_hook(self, key_env: str) -> None:
        """Two hooks would retry twice. The hook of the second preparation stays, ahead of the caller's."""
        auth = BearerEnvAuth(key_env)
        request = requests.Request("GET", URL, auth=auth, hooks={"response": print}).prepare()
        request.url = "https://other.example/"
        request.prepare_auth(auth)
        first, second = request.hooks["response"]
        assert isinstance(first, Retry)
        assert first._start == "https://other.example/"
        assert second is print

    def test_preparing_a_copy_keeps_the_original(self, key_env: str) -> None:
        """Copies of a request share the dict of hooks, so the auth must not change that dict."""
        auth = BearerEnvAuth(key_env)
        request = requests.Request("GET", URL, auth=auth).prepare()
        duplicate = request.copy()
        duplicate.url = "https://other.example/"
        duplicate.prepare_auth(auth)
        (hook,) = request.hooks["response"]
        assert isinstance(hook, Retry)
        assert hook._start == URL

    def test_a_copys_hook_is_not_shared(self, key_env: str) -> None:
        """With the hook of its copy, a request without auth would be sent with the key after a 401."""
        request = requests.Request("GET", URL).prepare()
        BearerEnvAuth(key_env)(request.copy())
        assert request.hooks == {"response": []}

    @pytest.mark.parametrize("found", [None, (), [], print, [print], "nothing", "no hooks"])
    def test_hooks_of_every_form_are_accepted(self, found: Any, key_env: str) -> None:
        """A program may set ``request.hooks`` to one callable, a list or nothing, as requests accepts."""
        special: dict[Any, Any] = {"nothing": {}, "no hooks": None}
        hooks = special[found] if isinstance(found, str) else {"response": found}
        for auth in (BearerEnvAuth(key_env), MountedAuth({"https://api.example/": BearerEnvAuth(key_env)})):
            request = requests.Request("GET", URL).prepare()
            request.hooks = hooks
            auth(request)
            assert request.headers["Authorization"] == OLD
            assert len(request.hooks["response"]) == (2 if "print" in str(hooks) else 1)

    def test_requests_leave_nothing_in_the_auth(self, key_env: str) -> None:
        """An auth that has prepared many requests is as large as a new one, and no more objects refer to it."""
        auth, new = BearerEnvAuth(key_env), BearerEnvAuth(key_env)
        request = requests.Request("GET", URL).prepare()
        for _ in range(100):
            request.hooks = {"response": []}
            auth(request)
        del request
        assert sum(map(sys.getsizeof, reachable(auth))) == sum(map(sys.getsizeof, reachable(new)))
        assert sys.getrefcount(auth) == sys.getrefcount(new)


def test_a_provider_that_calls_its_auth_raises(recursion_limit: None) -> None:
    """Without ``ttl=`` the calls recurse until Python raises RecursionError."""

    def vault() -> str:
        return str(auth.credential())

    auth = BearerEnvAuth(provider=vault)
    with pytest.raises(KeySourceError):
        auth.credential()


@pytest.fixture
def recursion_limit() -> Any:
    """Lower the recursion limit: each level clears the frames below it, which takes time."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    yield
    sys.setrecursionlimit(limit)


def test_one_object_serves_many_threads(tmp_path: Path) -> None:
    """Threads that share an auth object each get the key for every request."""
    (tmp_path / "key").write_text(KEY)
    auth = BearerEnvAuth(file=tmp_path / "key", hosts="api.example")
    seen: list[str] = []

    def work() -> None:
        prepared = [requests.Request("GET", URL, auth=auth).prepare() for _ in range(20)]
        seen.extend(str(request.headers["Authorization"]) for request in prepared)

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [OLD] * 640
