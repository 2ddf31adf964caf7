"""ID tokens: whom a provider names, and what keeps anybody else from being named."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from webhooks_app.accounts import id_tokens
from webhooks_app.accounts.id_tokens import SignInRefused, UnknownKey
from webhooks_app.core import oidc_settings
from webhooks_app.core.oidc_settings import OidcSettings

ISSUER, CLIENT, NONCE, ACCESS_TOKEN = "https://login.example.com", "avra", "n-1", "access"
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
Key = RSAKey | ECKey | OKPKey | OctKey


@cache
def rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one"})


def key_for(algorithm: str) -> Key:
    if algorithm in ("EdDSA", "Ed25519"):
        return OKPKey.generate_key("Ed25519", {"kid": "one"})
    if algorithm in CURVES:
        return ECKey.generate_key(CURVES[algorithm], {"kid": "one"})
    return rsa_key()


@pytest.fixture(scope="module")
def settings() -> OidcSettings:
    found = oidc_settings.read(
        {
            "WEBHOOKS_OIDC_ISSUER": ISSUER,
            "WEBHOOKS_OIDC_CLIENT_ID": CLIENT,
            "WEBHOOKS_OIDC_CLIENT_SECRET": "s" * 40,
        }
    )
    assert found
    return found


def claims_with(**changed: Any) -> dict[str, Any]:
    """What a provider says of Ada, with that changed, or left out where it is None."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": CLIENT, "nonce": NONCE, "sub": "ada", "iat": now, "exp": now + 300}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def signed(claims: Mapping[str, Any], key: Key | None = None, algorithm: str = "RS256") -> dict[str, Any]:
    """The answer of a token endpoint."""
    header = {"alg": algorithm, "kid": "one"}
    text = jwt.encode(header, dict(claims), key or rsa_key(), algorithms=[algorithm])
    return {"access_token": ACCESS_TOKEN, "id_token": text}


def published(*keys: Key, private: bool = False) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=private) for key in keys or (rsa_key(),)]}


def verify(settings: OidcSettings, token: Mapping[str, Any]) -> Mapping[str, Any]:
    return id_tokens.verify(token, published(), settings, NONCE)


def test_what_a_token_says_is_returned_once_it_holds(settings: OidcSettings) -> None:
    said = claims_with(email="ada@example.com")
    assert verify(settings, signed(said)) == said


# RFC 9864 has named it anew; there are providers that use the name of before.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    "algorithm", "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split()
)
def test_a_signature_with_a_key_of_the_provider_is_taken(settings: OidcSettings, algorithm: str) -> None:
    key = key_for(algorithm)
    token = signed(claims_with(), key, algorithm)
    assert id_tokens.verify(token, published(key), settings, NONCE)["sub"] == "ada"


def test_a_signature_with_a_shared_secret_is_none(settings: OidcSettings) -> None:
    """Whoever knows the client's secret could make one, as could anybody of a key that is public."""
    secret = OctKey.import_key("s" * 40, {"kid": "one"})
    token = signed(claims_with(), secret, "HS256")
    with pytest.raises(SignInRefused):
        id_tokens.verify(token, published(secret, private=True), settings, NONCE)


def test_a_key_that_is_not_known_is_said_to_be_so(settings: OidcSettings) -> None:
    """The provider may have changed its keys, which is looked for then."""
    same_name, other_name = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("one", "two"))
    for key in (same_name, other_name):
        with pytest.raises(UnknownKey):
            id_tokens.verify(signed(claims_with()), published(key), settings, NONCE)


@pytest.mark.parametrize("token", [{}, {"id_token": None}, {"id_token": 7}, {"id_token": "a.b.c"}], ids=str)
def test_an_answer_without_a_token_names_nobody(settings: OidcSettings, token: dict[str, Any]) -> None:
    with pytest.raises(SignInRefused, match="its ID token does not hold"):
        verify(settings, token)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://another.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": ""},
        {"aud": []},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": None},
        {"iat": None},
        {"at_hash": "x"},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_log_in_is_refused(
    settings: OidcSettings, changed: dict[str, Any]
) -> None:
    with pytest.raises(SignInRefused, match="its ID token does not hold"):
        verify(settings, signed(claims_with(**changed)))


@pytest.mark.parametrize(
    ("claim", "seconds", "is_taken"),
    [("exp", -30, True), ("exp", -90, False), ("iat", 30, True), ("iat", 90, False), ("nbf", 90, False)],
)
def test_clocks_may_differ_by_a_minute(
    settings: OidcSettings, claim: str, seconds: int, is_taken: bool
) -> None:
    token = signed(claims_with(**{claim: int(time.time()) + seconds}))
    if is_taken:
        assert verify(settings, token)["sub"] == "ada"
    else:
        with pytest.raises(SignInRefused):
            verify(settings, token)


@pytest.mark.parametrize("subject", ["a", "x" * 255])
def test_a_subject_has_as_many_characters_as_the_standard_gives_it(
    settings: OidcSettings, subject: str
) -> None:
    assert verify(settings, signed(claims_with(sub=subject)))["sub"] == subject


@pytest.mark.parametrize("subject", [None, "", "x" * 256, 7, ["ada"]])
def test_what_is_no_subject_names_nobody(settings: OidcSettings, subject: object) -> None:
    with pytest.raises(SignInRefused):
        verify(settings, signed(claims_with(sub=subject)))
