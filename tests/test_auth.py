"""The auth object: what it does to a request, and what it is as an object."""

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
import requests_mock

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
from tests.helpers import KEY, OTHER_KEY

URL = "https://api.example/v1"


def shared_provider() -> str:
    """A provider that a pickle can name."""
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
    """Every kind of auth object in turn."""
    maker: Callable[[], BearerEnvAuth] = request.param
    return maker


class TestObject:
    """Immutable, hashable, equal by configuration, picklable and copyable."""

    def test_equal_by_its_arguments(self, make: Callable[[], BearerEnvAuth]) -> None:
        """Two made alike are equal and hash alike; any two that are made differently are not."""
        assert make() == make()
        assert hash(make()) == hash(make())
        assert [other() == make() for other in MAKERS.values()].count(True) == 1

    def test_equal_to_nothing_else(self, make: Callable[[], BearerEnvAuth]) -> None:
        """Neither to other objects nor to those of a class derived from it."""

        class Derived(BearerEnvAuth):
            pass

        assert make() != "BEARER_TOKEN"
        assert BearerEnvAuth() != Derived()
        assert Derived() == Derived()

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_a_pickle_makes_an_equal_object(self, make: Callable[[], BearerEnvAuth], protocol: int) -> None:
        """For worker processes: the configuration goes along."""
        assert pickle.loads(pickle.dumps(make(), protocol)) == make()

    @pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
    def test_a_copy_is_equal(self, make: Callable[[], BearerEnvAuth], copier: Callable[[Any], Any]) -> None:
        """Whole sessions are copied at times."""
        auth = make()
        assert copier(auth) == auth
        assert copier(auth) is not auth

    def test_immutable(self, make: Callable[[], BearerEnvAuth]) -> None:
        """What was checked when it was made stays so."""
        auth: Any = make()
        with pytest.raises(AttributeError, match="BearerEnvAuth is immutable"):
            auth.hosts = ["evil.test"]
        with pytest.raises(AttributeError, match="BearerEnvAuth is immutable"):
            del auth.destination
        assert auth == make()

    def test_a_copy_keeps_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither in a pickle nor in a copy is the key that a cache keeps."""
        auth = BearerEnvAuth(provider=shared_provider, ttl=60)
        auth.credential()
        assert KEY.encode() not in pickle.dumps(auth)
        monkeypatch.setitem(globals(), "KEY", OTHER_KEY)
        assert str(copy.copy(auth).credential()) == f"Bearer {OTHER_KEY}"

    def test_an_unhashable_provider_makes_a_hashable_auth(self) -> None:
        """Requests caches and pools by hash; a provider with ``__eq__`` alone has none."""

        class Vault:
            def __call__(self) -> str:
                return KEY

            def __eq__(self, other: object) -> bool:
                return isinstance(other, Vault)

        assert hash(BearerEnvAuth(provider=Vault())) == hash(BearerEnvAuth(provider=Vault()))
        assert BearerEnvAuth(provider=Vault()) == BearerEnvAuth(provider=Vault())

    def test_hashes_differ_where_more_than_the_provider_does(self) -> None:
        """A dict of many of them is not slow."""
        auths = [*(BearerEnvAuth(f"KEY_{number}") for number in range(50)), BearerEnvAuth(file="k"), BearerEnvAuth()]
        assert len({hash(auth) for auth in auths}) == len(auths)

    def test_the_order_of_hosts_is_no_difference(self) -> None:
        """Nor is their case, nor how they are given."""
        assert BearerEnvAuth(hosts=["A.example", "b.example"]) == BearerEnvAuth(hosts=iter({"b.example", "a.example"}))

    def test_its_repr_shows_the_configuration(self) -> None:
        """Enough to tell two of them apart."""
        auth = BearerEnvAuth(
            "TGW_API_KEY", file="~/k", provider=shared_provider, hosts="a.example", allow_http="localhost"
        )
        assert repr(auth) == (
            "BearerEnvAuth(env=TGW_API_KEY, file=~/k, provider=shared_provider, "
            "hosts=['a.example'], allow_http=['localhost'])"
        )
        assert repr(BearerEnvAuth()) == "BearerEnvAuth(env=BEARER_TOKEN)"
        assert repr(BearerEnvAuth(refresh_on=[403, 401])) == "BearerEnvAuth(env=BEARER_TOKEN, refresh_on=[401, 403])"

    def test_one_that_was_not_made_has_a_repr(self) -> None:
        """Printers of tracebacks meet such ones."""
        assert repr(BearerEnvAuth.__new__(BearerEnvAuth)) == "<BearerEnvAuth, not made>"

    def test_a_provider_that_cannot_be_copied_is_kept(self) -> None:
        """A deep copy of a session has the same provider, which may hold a lock."""

        class Vault:
            def __init__(self) -> None:
                self.lock = threading.Lock()

            def key(self) -> str:
                return KEY

        auth = BearerEnvAuth(provider=Vault().key)
        assert copy.deepcopy(auth) == auth

    def test_a_derived_class_may_choose_its_arguments(self) -> None:
        """It pickles and copies all the same."""

        class Derived(BearerEnvAuth):
            def __init__(self) -> None:
                super().__init__("TGW_API_KEY", hosts="api.example")

        assert repr(copy.copy(Derived())).startswith("Derived(env=TGW_API_KEY, hosts=")


class TestRequest:
    """What happens to the request."""

    def test_the_header_is_set(self, key_env: str) -> None:
        """The scheme, one space, the key; its name in the letters that servers who look too closely expect."""
        with requests_mock.Mocker() as mock:
            mock.get(URL, text="hello")
            requests.get(URL, auth=BearerEnvAuth(key_env), timeout=5)
        assert dict(mock.request_history[0].headers)["Authorization"] == f"Bearer {KEY}"

    def test_a_session_can_have_it(self, key_env: str) -> None:
        """``session.auth`` works as ``auth=`` does."""
        with requests_mock.Mocker() as mock, requests.Session() as session:
            session.auth = BearerEnvAuth(key_env)
            mock.get(URL)
            session.get(URL)
        assert mock.request_history[0].headers["Authorization"] == f"Bearer {KEY}"

    def test_another_authorization_is_replaced(self, key_env: str) -> None:
        """As requests documents of every auth: there is one such header, and it is this one."""
        headers = {"authorization": "Bearer old"}
        prepared = requests.Request("GET", URL, headers=headers, auth=BearerEnvAuth(key_env)).prepare()
        assert [value for name, value in prepared.headers.items() if name.lower() == "authorization"] == [
            f"Bearer {KEY}"
        ]

    def test_user_and_password_in_the_url_do_not_matter(self, key_env: str) -> None:
        """An auth given in words comes before one in the URL."""
        prepared = requests.Request("GET", "https://user:pass@api.example/", auth=BearerEnvAuth(key_env)).prepare()
        assert prepared.headers["Authorization"] == f"Bearer {KEY}"

    @pytest.mark.parametrize(
        ("url", "error"),
        [("http://api.example/", InsecureTransportError), ("https://evil.test/", UntrustedHostError)],
    )
    def test_a_forbidden_destination_is_refused_before_the_key_is_read(self, url: str, error: type[Exception]) -> None:
        """The source is not even asked."""
        auth = BearerEnvAuth(provider=lambda: pytest.fail("asked"), hosts="api.example")
        with pytest.raises(error):
            requests.Request("GET", url, auth=auth).prepare()

    @pytest.mark.parametrize("url", [None, "", b"https://api.example/", "mailto:x@api.example", "ftp://api.example/"])
    def test_a_request_without_a_web_address_is_refused(self, url: Any, key_env: str) -> None:
        """Hands can prepare such requests."""
        request = requests.PreparedRequest()
        request.prepare_headers(None)
        request.url = url
        with pytest.raises(InsecureTransportError) as caught:
            BearerEnvAuth(key_env)(request)
        assert caught.value.request is request

    def test_a_refusal_leaves_body_session_and_cookies_as_they_were(self, tmp_path: Path) -> None:
        """Whoever mends the key can send the same once more."""
        (tmp_path / "body").write_bytes(b"0123456789")
        with requests.Session() as session, (tmp_path / "body").open("rb") as body:
            session.cookies.set("mine", "1")
            body.seek(3)
            before = dict(session.headers), session.cookies.get_dict(), body.tell()
            with pytest.raises(BearerAuthError):
                session.post(URL, data=body, auth=BearerEnvAuth())
            assert (dict(session.headers), session.cookies.get_dict(), body.tell()) == before

    def test_an_existing_except_clause_catches_everything(self) -> None:
        """Scripts that catch requests' exceptions catch these."""
        with pytest.raises(requests.RequestException) as caught:
            requests.get(URL, auth=BearerEnvAuth(), timeout=5)
        assert isinstance(caught.value, BearerAuthError)
        assert caught.value.request is not None
        assert caught.value.request.url == URL
        assert caught.value.response is None

    def test_prepared_twice_it_has_one_hook(self, key_env: str) -> None:
        """Two hooks would be two retries; the later one is for the URL as it is then, and first as the earlier was."""
        auth = BearerEnvAuth(key_env)
        request = requests.Request("GET", URL, auth=auth, hooks={"response": print}).prepare()
        request.url = "https://other.example/"
        request.prepare_auth(auth)
        first, second = request.hooks["response"]
        assert isinstance(first, Retry)
        assert first._start == "https://other.example/"
        assert second is print

    def test_a_copy_prepared_again_leaves_the_original_alone(self, key_env: str) -> None:
        """Copies of a request share their hooks."""
        auth = BearerEnvAuth(key_env)
        request = requests.Request("GET", URL, auth=auth).prepare()
        duplicate = request.copy()
        duplicate.url = "https://other.example/"
        duplicate.prepare_auth(auth)
        (hook,) = request.hooks["response"]
        assert isinstance(hook, Retry)
        assert hook._start == URL

    def test_a_request_without_auth_does_not_get_the_hook_of_its_copy(self, key_env: str) -> None:
        """Or it would get the key after a 401."""
        request = requests.Request("GET", URL).prepare()
        BearerEnvAuth(key_env)(request.copy())
        assert request.hooks == {"response": []}

    @pytest.mark.parametrize("found", [None, (), [], print, [print], "nothing", "no hooks"])
    def test_hooks_may_be_whatever_requests_takes(self, found: Any, key_env: str) -> None:
        """Hands set them in several forms."""
        special: dict[Any, Any] = {"nothing": {}, "no hooks": None}
        hooks = special[found] if isinstance(found, str) else {"response": found}
        for auth in (BearerEnvAuth(key_env), MountedAuth({"https://api.example/": BearerEnvAuth(key_env)})):
            request = requests.Request("GET", URL).prepare()
            request.hooks = hooks
            auth(request)
            assert request.headers["Authorization"] == f"Bearer {KEY}"
            assert len(request.hooks["response"]) == (2 if "print" in str(hooks) else 1)

    def test_nothing_is_kept_per_request(self, key_env: str) -> None:
        """A million requests leave nothing behind in the auth object."""
        auth = BearerEnvAuth(key_env)
        request = requests.Request("GET", URL, auth=auth).prepare()
        before = sys.getrefcount(auth), sys.getsizeof(vars(auth))
        for _ in range(100):
            request.hooks = {"response": []}
            auth(request)
        assert (sys.getrefcount(auth), sys.getsizeof(vars(auth))) == before


def test_a_provider_that_uses_its_own_auth_without_a_cache_fails(recursion_limit: None) -> None:
    """It recurs until Python stops it, which is a failure like any other."""

    def vault() -> str:
        return str(auth.credential())

    auth = BearerEnvAuth(provider=vault)
    with pytest.raises(KeySourceError):
        auth.credential()


@pytest.fixture
def recursion_limit() -> Any:
    """A lower limit, for the sake of time."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    yield
    sys.setrecursionlimit(limit)


def test_one_object_serves_many_threads(tmp_path: Path) -> None:
    """Each request has its key, whoever else prepares one."""
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
    assert seen == [f"Bearer {KEY}"] * 640
