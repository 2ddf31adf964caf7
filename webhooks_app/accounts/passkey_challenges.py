"""What a passkey signs: when it was asked for, and proof that it was we who asked, and whom. Pure.

Nothing of it is stored, so that a page may stand open in several tabs. That an answer is good once is held by
the passkey's row, which remembers when the newest challenge that it answered was made.
"""

import hmac
import secrets
from datetime import UTC, datetime, timedelta

LIFE = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT, _RANDOM, _MAC = 8, 16, 32


class BadChallenge(ValueError):
    """It is not one of ours, not for this, or too old."""


def new(secret_key: str, purpose: str, *, now: datetime) -> bytes:
    """Return a challenge for that purpose, which names the browser and, where there is one, the account."""
    body = _microseconds(now).to_bytes(_MOMENT, "big") + secrets.token_bytes(_RANDOM)
    return body + _mac(secret_key, purpose, body)


def issued_at(secret_key: str, purpose: str, challenge: bytes, *, now: datetime) -> datetime:
    """Return when it was made. Raises BadChallenge."""
    body, mac = challenge[: _MOMENT + _RANDOM], challenge[_MOMENT + _RANDOM :]
    if not hmac.compare_digest(mac, _mac(secret_key, purpose, body)):
        raise BadChallenge("not ours")
    moment = _EPOCH + timedelta(microseconds=int.from_bytes(body[:_MOMENT], "big"))
    if not timedelta(0) <= now - moment <= LIFE:
        raise BadChallenge("too old")
    return moment


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _mac(secret_key: str, purpose: str, body: bytes) -> bytes:
    return hmac.digest(secret_key.encode(), b"passkey\0" + purpose.encode() + b"\0" + body, "sha256")
