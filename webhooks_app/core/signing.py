"""Signatures of Standard Webhooks 1.0.0 (symmetric scheme `v1`, HMAC SHA-256). Pure."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32  # of the 24 to 64 that the specification asks for
SHORTEST_SECRET_BYTES = 24

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE_SECONDS = 300  # "5 minutes is a sensible default"


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the HMAC key of a `whsec_…` secret. Raises ValueError for anything else."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("a signing secret starts with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is base64 after whsec_") from None
    if len(key) < SHORTEST_SECRET_BYTES:
        raise ValueError(f"a signing secret has {SHORTEST_SECRET_BYTES} bytes at least")
    return key


def signature(keys: Iterable[bytes], *, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one `v1,<base64>` per key, separated by spaces.

    What is signed is `id.timestamp.body` (Standard Webhooks, "Signature scheme").
    """
    message = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, message, "sha256")).decode() for key in keys)
