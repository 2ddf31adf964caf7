"""An HTTP server that says it is a provider and gives whatever token a test wants: a real one never would."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.receivers import Answer, Received, Receiver
from tests.web.sign_in.real_provider import SECRET

Lie = Callable[["LyingProvider", dict[str, Any]], str]


class LyingProvider:
    """By default all that it says is true; a test changes `sign`, `claims`, or the answer to one path."""

    def __init__(self, receiver: Receiver) -> None:
        self.issuer = receiver.url.removesuffix("/hooks")
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.published: list[RSAKey] = [self.key]
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.answers: dict[str, Answer] = {}
        self.nonce = ""
        self.sign: Lie = lambda self, claims: jwt.encode(
            {"alg": "RS256", "kid": self.key.kid}, claims, self.key
        )
        self.asked: list[str] = []
        self.bodies: dict[str, bytes] = {}
        self.hang: threading.Event | None = None
        receiver.answer = self._answer

    def _answer(self, received: Received) -> Answer:
        path = urlsplit(received.path).path
        self.asked.append(path)
        self.bodies[path] = received.body
        if self.hang is not None:
            self.hang.wait(60)
        if path in self.answers:
            return self.answers[path]
        found: dict[str, Any] = {
            "/.well-known/openid-configuration": self._metadata(),
            "/jwks": {"keys": [key.as_dict(private=False) for key in self.published]},
            "/token": {"access_token": "at", "token_type": "Bearer", "id_token": self._id_token()},
        }[path]
        return Answer(200, json.dumps(found).encode(), {"content-type": "application/json"})

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        } | self.metadata

    def _id_token(self) -> str:
        now = int(time.time())
        usual = {"iss": self.issuer, "sub": "ada", "aud": "avra", "iat": now, "exp": now + 300}
        person = {"nonce": self.nonce, "email": "ada@example.com", "email_verified": True, "name": "Ada"}
        claims = {name: value for name, value in (usual | person | self.claims).items() if value is not None}
        return self.sign(self, claims)

    def come_back(self, location: str, **changed: str) -> str:
        """Return the path back to the console from where the browser was sent; remembers its nonce."""
        sent = dict(parse_qsl(urlsplit(location).query))
        self.nonce = sent["nonce"]
        arguments = {"code": "c", "state": sent["state"]} | changed
        return "/login/sso/callback?" + "&".join(
            f"{name}={value}" for name, value in arguments.items() if value
        )


def signed(provider: LyingProvider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": provider.key.kid}, claims, provider.key)


def unsigned(_: LyingProvider, claims: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def signed_with_the_secret(_: LyingProvider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"])


def signed_by_another(provider: LyingProvider, claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048, {"kid": str(provider.key.kid)})
    return jwt.encode({"alg": "RS256", "kid": other.kid}, claims, other)
