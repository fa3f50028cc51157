"""MountedAuth: which auth decides for a URL, and what it is as an object."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from requests_bearer_env import BearerEnvAuth, InsecureTransportError, MissingKeyError, MountedAuth
from requests_bearer_env.retry import Retry, retry_of
from tests.helpers import KEY
from tests.test_prefix import MOUNTS, Named, chosen


def test_without_a_match_there_is_no_header() -> None:
    """Neither the caller's nor that of an earlier preparation: this auth decides."""
    assert chosen("https://evil.test/", headers={"Authorization": "Bearer x"}) is None
    request = requests.Request("GET", "https://tgw.local/", auth=MOUNTS).prepare()
    request.url = "https://evil.test/"
    request.prepare_auth(MOUNTS)
    assert "Authorization" not in request.headers
    assert request.hooks == {"response": []}


def test_without_a_match_the_hooks_of_others_stay() -> None:
    """They are no business of this auth."""
    request = requests.Request("GET", "https://evil.test/", hooks={"response": print}).prepare()
    request.prepare_auth(MOUNTS)
    assert request.hooks == {"response": [print]}


def test_user_and_password_in_a_url_are_not_sent_instead() -> None:
    """Requests would make Basic of them if there were no auth."""
    assert chosen("https://user:pass@evil.test/") is None


def test_prepared_twice_there_is_one_hook() -> None:
    """The later one; hooks of others stay, and copies are left alone."""
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
def test_an_auth_may_set_hooks_as_requests_takes_them(hooks: dict[str, Any]) -> None:
    """One, several or none."""

    class Hooking(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.hooks = hooks
            return r

    mounts = MountedAuth({"https://tgw.local/": Hooking()})
    hook, *others = requests.Request("GET", "https://tgw.local/", auth=mounts).prepare().hooks["response"]
    assert isinstance(hook, Retry)
    assert others == ([print] if hooks else [])


def test_a_refusal_leaves_the_request_alone(key_env: str) -> None:
    """The mounted auth still decides; the request is as it was."""
    mounts = MountedAuth({"http://tgw.local/": BearerEnvAuth(key_env), "https://tgw.local/": BearerEnvAuth("NO_KEY")})
    for url, error in (("http://tgw.local/", InsecureTransportError), ("https://tgw.local/", MissingKeyError)):
        request = requests.Request("GET", url, hooks={"response": print}).prepare()
        with pytest.raises(error) as caught:
            request.prepare_auth(mounts)
        assert caught.value.request is request
        assert request.hooks == {"response": [print]}
        assert "Authorization" not in request.headers


@pytest.mark.parametrize("mounts", [None, [], "https://tgw.local/", [("https://tgw.local/", Named("x"))]])
def test_mounts_are_a_mapping(mounts: Any) -> None:
    """Anything else is a TypeError."""
    with pytest.raises(TypeError, match="give a dict of URL prefixes"):
        MountedAuth(mounts)


def test_no_mounts_are_refused() -> None:
    """They would send no key anywhere."""
    with pytest.raises(ValueError, match="mounts are empty"):
        MountedAuth({})


@pytest.mark.parametrize("auth", [None, ("user", "pass"), "key", print])
def test_a_value_is_an_auth(auth: Any) -> None:
    """A tuple or a function is none, and is not shown."""
    with pytest.raises(TypeError, match=r"mounted at prefix 1 is \w+: give an auth object") as caught:
        MountedAuth({"https://tgw.local/": auth})
    assert "pass" not in str(caught.value)


def test_equal_by_what_is_mounted() -> None:
    """In whatever order and spelling."""
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
def test_copies_are_equal(copier: Any) -> None:
    """Also through a pickle; none of a mounted BearerEnvAuth has a key."""
    mounts = MountedAuth(
        {"https://a.example/v1/": BearerEnvAuth("TGW_API_KEY"), "https://b.example/": HTTPBasicAuth("u", "p")}
    )
    assert copier(mounts) == mounts


def test_one_that_was_not_made_has_a_repr() -> None:
    """Printers of tracebacks meet such ones."""
    assert repr(MountedAuth.__new__(MountedAuth)) == "<MountedAuth, not made>"


def test_immutable() -> None:
    """What was checked when it was made stays so."""
    mounts: Any = copy.copy(MOUNTS)
    with pytest.raises(AttributeError, match="MountedAuth is immutable"):
        mounts.mounts = ()
    with pytest.raises(AttributeError, match="MountedAuth is immutable"):
        del mounts.mounts


def test_its_repr_shows_no_other_auths_secrets() -> None:
    """Of other people's objects only the type is shown."""
    mounts = MountedAuth(
        {"https://a.example/v1": BearerEnvAuth("TGW_API_KEY"), "https://b.example": HTTPBasicAuth("u", KEY)}
    )
    assert repr(mounts) == (
        "MountedAuth({'https://a.example/v1/': BearerEnvAuth(env=TGW_API_KEY), 'https://b.example/': HTTPBasicAuth})"
    )
    assert KEY not in str(vars(mounts)).replace(repr(mounts), "")


def test_any_auth_can_be_mounted() -> None:
    """Basic and Digest do what they do."""
    mounts = MountedAuth(
        {"https://a.example/": HTTPBasicAuth("u", "p"), "https://b.example/": HTTPDigestAuth("u", "p")}
    )
    assert chosen("https://a.example/", mounts) == "Basic dTpw"
    assert chosen("https://b.example/", mounts) is None


def test_a_mounted_subclass_does_what_it_does() -> None:
    """A class derived from BearerEnvAuth may add to what happens at preparation."""

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


def test_an_auth_may_set_a_header_in_bytes() -> None:
    """What another auth sets is left as it is."""

    class Custom(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.headers["Authorization"] = b"Custom x"
            return r

    request = requests.Request(
        "GET", "https://tgw.local/", auth=MountedAuth({"https://tgw.local/": Custom()})
    ).prepare()
    assert request.headers["Authorization"] == b"Custom x"
