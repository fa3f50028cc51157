"""What is refused in place of a key, and what is sent because it may be one."""

from __future__ import annotations

import pytest

from requests_bearer_env import InvalidKeyError
from requests_bearer_env.credential import parse

QUOTES = "is wrapped in quotes, which would be sent as part of the key"
REFERENCE = "is a reference to a secret or a URL, not the key itself"
HEADER = "is a whole header line, not the key alone"
TWICE = "has the word Bearer twice before the key"
SCHEME = "begins with a scheme other than Bearer"
ALONE = "has no key after the word Bearer"
DOTENV = "is a NAME=value line, as in a dotenv file"
COMMENT_FIRST = "begins with a comment line, as a dotenv file may"
COMMENT_BEHIND = "has a comment after the key, which would be sent as part of it"
JSON = "is JSON, not the key alone"

REFUSED: dict[str, list[str]] = {
    QUOTES: ["'abc'", '"abc"', "`abc`", "''", "Bearer 'abc'", '"Bearer abc"', '"abc\ndef"', '"two words"'],
    REFERENCE: [
        "op://vault/item/key",
        "Bearer op://vault/item/key",
        "OP://Private/item with spaces/key",
        "gcp-sm://projects/1/secrets/tgw",
        "awssecretsmanager://tgw",
        "https://vault.example/v1/secret",
        "${TGW_KEY}",
        "${TGW_KEY:-x}",
        "${{ secrets.TGW_KEY }}",
        "$(TGW_KEY)",
        "$(cat /run/secrets/key)",
        "{{TGW_KEY}}",
        "{{ .Values.key }}",
        "{{ 'abc'\n}}",
        "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/tgw)",
        "@microsoft.keyvault(VaultName=v;SecretName=tgw)",
        "ENC[AES256_GCM,data:abc=,iv:abc=,tag:abc=,type:str]",
    ],
    HEADER: [
        "Authorization: Bearer abc",
        "authorization:Bearer abc",
        "AUTHORIZATION : abc",
        "Proxy-Authorization: Bearer abc",
        "X-Api-Key: abc",
        "Bearer: abc",
        "bearer:abc",
    ],
    TWICE: ["Bearer Bearer abc", "bearer  BEARER\tabc"],
    SCHEME: ["Token abc", "token  abc", "Basic dTpw", "ApiKey abc", "Api-Key abc", "Bearer Token abc"],
    ALONE: ["Bearer", "bearer ", " BEARER\n"],
    DOTENV: [
        'TGW_KEY="abc"',
        "TGW_API_KEY=abc",
        "TGW_API_KEY = abc",
        "K=abc==",
        "_=abc",
        "A9_Z=abc",
        "openai_api_key=abc",
        "myToken=abc",
        "clientSecret=abc",
        "password=abc",
        "Bearer=abc",
        "export a=abc",
        "EXPORT  TGW_KEY=abc",
        "export \t A=abc",
        "# for tgw\nTGW_KEY=abc",
        "#\n\n  # two comments\nexport tgw=abc",
        "TGW_KEY=abc\nOTHER=def",
    ],
    COMMENT_FIRST: ["# for tgw\nabc", "#\nabc def"],
    COMMENT_BEHIND: ["abc   # for tgw", "abc\t#x", "abc // for tgw", "abc ; for tgw"],
    JSON: ['{"api_key": "abc"}', '{"api_key":"abc"}', '["abc"]', "[]", "{}", 'Bearer {"api_key": "abc"}'],
}


@pytest.mark.parametrize(("mistake", "raw"), [(mistake, raw) for mistake, raws in REFUSED.items() for raw in raws])
def test_a_mistake_is_refused_and_named(mistake: str, raw: str) -> None:
    """What cannot be a key is refused, and the message names the mistake."""
    with pytest.raises(InvalidKeyError) as caught:
        parse(raw, "provider vault")
    problem = caught.value.problem
    assert problem.startswith("the value of provider vault (")
    assert problem.endswith(f" characters) {mistake}")


SENT = [
    # Texts that may be references which a program resolves.
    "vault:secret/data/tgw#key",
    "os.environ/OPENAI_API_KEY",
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tgw-AbCdEf",
    "/run/secrets/tgw_api_key",
    "$TGW_KEY",
    "%TGW_KEY%",
    # Keys with a character too many or too few, or passwords.
    '"abc',
    "abc'",
    "\"abc'",
    '"',
    "abc,",
    "BearerK",
    "Bearer%20K",
    "abc\\n",
    "p@ss:w{o}rd",
    "Pa55=word",
    "Pa55=word=",
    "a=b=",
    "abc#def",
    "abc//def",
    "{abc}",
    "[abc]",
    '{"abc',
    "${abc",
    "$(abc",
    "{{abc",
    "{{abc}}d",
    "ENC[abc",
    "(abc)",
    "<abc>",
    "$2b$12$abc",
    "[" * 5000,
    # Keys as servers issue them.
    "1|abc",  # Laravel Sanctum
    "ghp_abc",
    "hf_abc",
    "sk-proj-a_b-c",
    "xoxb-1-2-abc",
    "ya29.a0A-b_c",
    "eyJhbGciOiJIUzI1NiJ9.e30.abc-_",
    "v4.public.abc",  # PASETO
    "sha256~abc",  # OpenShift
    "glc_eyJvIjoiMSJ9==",  # Grafana Cloud
    "dG9rOmFiYw==",  # Intercom
    "secret-token:abc",  # RFC 8959
    "fm2_abc/def=,fm2_ghi+jkl==",  # Fly.io
    "AAAAAAAAAAAAAAAAAAAAAMLheAAAAAAA0%2BuSe%3DEUifi",  # X, as it issues them
    "AAAAAAAAAAAAAAAAAAAAAMLheAAAAAAA0uSe=EUifi",  # X, percent-decoded
    "sntrys_eyJpYXQiOjE3MDAwMDAwMDAuMCwidXJsIjoiaHR0cHM6Ly9zZW50cnkuaW8iLCJvcmciOiJhIn0=_Token+abc",  # Sentry
    "ATATT3xFfGF0" + "Key0" * 40 + "=1A2B3C4D",  # Atlassian
    "ATATT3XFFGF0" * 10 + "=1A2B3C4D",
    "token:abc",
    "authorization",
    "bearer_abc",
    "basic123",
    "key-abc",
    "APIKEY==",
    "BASE64==",
]


@pytest.mark.parametrize("key", SENT)
def test_what_may_be_a_key_is_sent_unaltered(key: str) -> None:
    """A server may have issued such a key, so at most `check` warns of it."""
    credential, _ = parse(key, "provider vault")
    assert str(credential) == f"Bearer {key}"


def test_json_beyond_the_parsers_depth_is_sent() -> None:
    """The RecursionError of the JSON parser does not reach the caller."""
    depth = 15_000
    assert str(parse("[" * depth + "]" * depth, "provider vault")[0]) == "Bearer " + "[" * depth + "]" * depth
