"""A device with passkeys, made of a key in memory: it signs whatever a test wants, as no real one would."""

import hashlib
import json
import struct
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, NEW = 0x01, 0x04, 0x40


@dataclass
class SoftAuthenticator:
    """`flags` say what it claims to have seen of the person."""

    origin: str
    host: str
    credential_id: bytes = b"a passkey of the tests"
    sign_count: int = 0
    flags: int = PRESENT | VERIFIED
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: str) -> str:
        """Answer what the browser's `create` was given."""
        asked = json.loads(options)
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        new = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + public
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(NEW) + new}
        response = {
            "clientDataJSON": encode(self._client_data("webauthn.create", asked["challenge"])),
            "attestationObject": encode(cbor2.dumps(attestation)),
        }
        return self._answer(response)

    def get(self, options: str, **response: Any) -> str:
        """Answer what the browser's `get` was given; what else the response holds stands in its place."""
        data = self._data()
        client_data = self._client_data("webauthn.get", json.loads(options)["challenge"])
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        signed = {
            "clientDataJSON": encode(client_data),
            "authenticatorData": encode(data),
            "signature": encode(signature),
        }
        return self._answer(signed | response)

    def _data(self, more: int = 0) -> bytes:
        return hashlib.sha256(self.host.encode()).digest() + struct.pack(
            ">BI", self.flags | more, self.sign_count
        )

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, response: dict[str, Any]) -> str:
        name = encode(self.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
