"""What a provider says of a person, and whether it holds: whose, for whom, how signed, how old."""

from collections.abc import Mapping
from typing import Any

from webhooks_app.core.oidc_settings import OidcSettings

# Asymmetric ones only: "none" is no signature, and HS256 would take the client's secret for a key.
ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    *("EdDSA", "Ed25519"),  # the latter is its name since RFC 9864
]
CLOCK_SKEW_SECONDS = 60
LONGEST_SUBJECT = 255  # OpenID Connect Core 1.0, section 2


class SignInRefused(Exception):
    """What came back cannot be believed, or says that nobody logged in; the message is for the log."""


class UnknownKey(Exception):
    """None of the keys that are known signed it; the provider may have others by now."""


def verify(
    token: Mapping[str, Any], keys: Mapping[str, Any], settings: OidcSettings, nonce: str
) -> Mapping[str, Any]:
    """Return the claims of the ID token, once all of it holds (OpenID Connect Core 1.0, 3.1.3.7).

    `token` is the answer of the token endpoint, `keys` a JWKS. Raises SignInRefused, UnknownKey.
    """
    from joserfc.errors import JoseError

    try:
        claims = _checked(token, _decode(token.get("id_token"), keys), settings, nonce)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        text = f"its ID token does not hold: {type(error).__name__} {str(error)[:200]}"
        raise SignInRefused(text) from None
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
        raise SignInRefused("its subject is none")
    return claims


def _decode(id_token: Any, keys: Mapping[str, Any]) -> Any:
    from joserfc import jwt
    from joserfc.errors import BadSignatureError, InvalidKeyIdError
    from joserfc.jwk import KeySet

    if not isinstance(id_token, str):
        raise ValueError("there is none")
    try:
        return jwt.decode(id_token, KeySet.import_key_set(dict(keys)), algorithms=ALGORITHMS)  # type: ignore[arg-type]
    except (BadSignatureError, InvalidKeyIdError):
        raise UnknownKey("no key of the provider signed its ID token") from None


def _checked(token: Mapping[str, Any], decoded: Any, settings: OidcSettings, nonce: str) -> Mapping[str, Any]:
    from authlib.oidc.core import CodeIDToken

    # That there are an issuer, an audience and the nonce, it sees to itself.
    options = {"iss": {"value": settings.issuer}, "aud": {"value": settings.client_id}}
    parameters = {
        "nonce": nonce,
        "client_id": settings.client_id,
        "access_token": token.get("access_token"),
    }
    claims = CodeIDToken(decoded.claims, decoded.header, options, parameters)
    claims.validate(leeway=CLOCK_SKEW_SECONDS)
    return dict(claims)
