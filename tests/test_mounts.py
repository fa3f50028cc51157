"""MountedAuth as an object, and what it does to a request that is prepared."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from requests_bearer_env import BearerEnvAuth, InsecureTransportError, MissingKeyError, MountedAuth
from requests_bearer_env.retry import Retry, retry_of
from tests.helpers import KEY, MOUNTS, Named, chosen


def test_a_url_without_a_mount_gets_no_header() -> None:
    """MountedAuth removes the caller's header, and that of an earlier preparation."""
    assert chosen("https://evil.test/", headers={"Authorization": "Bearer x"}) is None
    request = requests.Request("GET", "https://tgw.local/", auth=MOUNTS).prepare()
    request.url = "https://evil.test/"
    request.prepare_auth(MOUNTS)
    assert "Authorization" not in request.headers
    assert request.hooks == {"response": []}


def test_a_url_without_a_mount_keeps_other_hooks() -> None:
    """MountedAuth removes its own hook only."""
    request = requests.Request("GET", "https://evil.test/", hooks={"response": print}).prepare()
    request.prepare_auth(MOUNTS)
    assert request.hooks == {"response": [print]}


def test_a_login_in_an_unmounted_url_is_not_sent() -> None:
    """Without ``auth=``, requests would send the user and the password as Basic."""
    assert chosen("https://user:pass@evil.test/") is None


def test_preparing_a_copy_leaves_each_one_hook() -> None:
    """The copy gets a hook of its own, ahead of the caller's, and the original keeps its hook."""
    request = requests.Request("GET", "https://tgw.local/", auth=MOUNTS, hooks={"response": print}).prepare()
    duplicate = request.copy()
    duplicate.url = "https://tgw.local/v1/"
    duplicate.prepare_auth(MOUNTS)
    (mine, theirs), (hook, again) = request.hooks["response"], duplicate.hooks["response"]
    assert (theirs, again) == (print, print)
    assert isinstance(mine, Retry)
    assert isinstance(hook, Retry)
    assert hook is not mine


@pytest.mark.parametrize("hooks", [{}, {"response": print}, {"response": [print]}])
def test_hooks_set_by_a_mounted_auth_stay(hooks: dict[str, Any]) -> None:
    """A mounted auth may set no hook, one callable or a list, as requests accepts."""

    class Hooking(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.hooks = hooks
            return r

    mounts = MountedAuth({"https://tgw.local/": Hooking()})
    hook, *others = requests.Request("GET", "https://tgw.local/", auth=mounts).prepare().hooks["response"]
    assert isinstance(hook, Retry)
    assert others == ([print] if hooks else [])


def test_an_error_leaves_the_request_unchanged(key_env: str) -> None:
    """When the mounted auth raises, the request has its earlier hooks and no header."""
    mounts = MountedAuth({"http://tgw.local/": BearerEnvAuth(key_env), "https://tgw.local/": BearerEnvAuth("NO_KEY")})
    for url, error in (("http://tgw.local/", InsecureTransportError), ("https://tgw.local/", MissingKeyError)):
        request = requests.Request("GET", url, hooks={"response": print}).prepare()
        hooks = request.hooks
        with pytest.raises(error) as caught:
            request.prepare_auth(mounts)
        assert caught.value.request is request
        assert request.hooks is hooks
        assert hooks == {"response": [print]}
        assert "Authorization" not in request.headers


def test_equal_mounts_make_equal_objects() -> None:
    """Neither the order of the mounts nor the spelling of their prefixes matters."""
    c = {"https://c.example/v1": Named("c")}
    one = MountedAuth({"https://a.example/": Named("a"), "https://b.example/v1": Named("b"), **c})
    same = MountedAuth({**c, "https://b.example:443/v1/": Named("b"), "https://A.example": Named("a")})
    other = MountedAuth({"https://a.example/": Named("a"), "https://b.example/v1": Named("c"), **c})
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert hash(one) != hash(MountedAuth({"https://c.example/": Named("a")}))
    assert one != "https://a.example/"


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda auth: pickle.loads(pickle.dumps(auth))])
def test_a_copy_is_equal(copier: Any) -> None:
    """Copies and pickles have the same mounts."""
    mounts = MountedAuth(
        {"https://a.example/v1/": BearerEnvAuth("TGW_API_KEY"), "https://b.example/": HTTPBasicAuth("u", "p")}
    )
    assert copier(mounts) == mounts


def test_an_object_without_init_has_a_repr() -> None:
    """A traceback printer may call repr on an object whose constructor has failed."""
    assert repr(MountedAuth.__new__(MountedAuth)) == "<MountedAuth, not initialised>"


def test_repr_names_the_type_of_another_auth() -> None:
    """The repr of another auth may show a password, so only its type is shown."""
    mounts = MountedAuth(
        {"https://a.example/v1": BearerEnvAuth("TGW_API_KEY"), "https://b.example": HTTPBasicAuth("u", KEY)}
    )
    assert repr(mounts) == (
        "MountedAuth({'https://a.example/v1/': BearerEnvAuth(env=TGW_API_KEY), 'https://b.example/': HTTPBasicAuth})"
    )
    assert KEY not in str(vars(mounts)).replace(repr(mounts), "")


def test_any_auth_can_be_mounted() -> None:
    """Basic and Digest authorise a request as they do when used alone."""
    mounts = MountedAuth(
        {"https://a.example/": HTTPBasicAuth("u", "p"), "https://b.example/": HTTPDigestAuth("u", "p")}
    )
    assert chosen("https://a.example/", mounts) == "Basic dTpw"
    assert chosen("https://b.example/", mounts) is None


def test_a_mounted_subclass_is_called() -> None:
    """A class derived from BearerEnvAuth may extend what happens at preparation."""

    class WithOrganization(BearerEnvAuth):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.headers["Organization"] = "mine"
            return super().__call__(r)

    mounts = MountedAuth({"https://tgw.local/": WithOrganization(provider=lambda: KEY)})
    request = requests.Request("GET", "https://tgw.local/", auth=mounts).prepare()
    assert request.headers["Organization"] == "mine"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    hook = retry_of(request)
    assert hook is not None
    assert hook.trust is mounts


def test_a_header_in_bytes_is_accepted() -> None:
    """The header of another auth is left as it is."""

    class Custom(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.headers["Authorization"] = b"Custom x"
            return r

    request = requests.Request(
        "GET", "https://tgw.local/", auth=MountedAuth({"https://tgw.local/": Custom()})
    ).prepare()
    assert request.headers["Authorization"] == b"Custom x"
