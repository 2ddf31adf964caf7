"""Codes of an authenticator app: TOTP (RFC 6238) as every app takes it. Pure.

SHA-1, six digits, steps of 30 seconds.
"""

import hashlib
import hmac
import secrets
from base64 import b32decode, b32encode
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
# RFC 6238, section 5.2: one step either way, for clocks that differ and for whoever types slowly.
_SKEW = (0, -1, 1)


def new_secret() -> str:
    """Return 160 random bits in base32, as long as SHA-1's output (RFC 4226, section 4, R6)."""
    return b32encode(secrets.token_bytes(20)).decode()


def step_at(moment: datetime) -> int:
    return int(moment.timestamp()) // STEP_SECONDS


def code_of(secret: str, step: int) -> str:
    """Return the code of one step (RFC 4226, section 5.3)."""
    digest = hmac.new(b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def matching_step(secret: str, code: str, moment: datetime) -> int | None:
    """Return the step that the code is of, or None where it is of none around that moment."""
    now, typed = step_at(moment), code.encode("utf-8", "surrogatepass")
    near = [now + skew for skew in _SKEW]
    return next((step for step in near if hmac.compare_digest(code_of(secret, step).encode(), typed)), None)


def uri(secret: str, account: str, issuer: str) -> str:
    """Return what the QR code holds, from which the app shows issuer and account."""
    query = urlencode({"secret": secret, "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer, safe='')}:{quote(account, safe='')}?{query}"
