"""Passwords (argon2id) and API tokens (SHA-256 of 256 random bits)."""

import hashlib
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION

TOKEN_PREFIX = "tok_"

_hasher = PasswordHasher()  # RFC 9106, section 4: the second recommended option, argon2id


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def is_password(password: str, hashed: str | None) -> bool:
    try:
        return _hasher.verify(hashed or _hash_of_nobody(), password) and hashed is not None
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


def _hash_of_nobody() -> str:
    """Return what is checked when there is no such user, so that known and unknown take the same time.

    It is made of zeros, as a real hash would cost each process that starts a tenth of a second.
    """
    costs = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${'A' * 22}${'A' * 43}"


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def new_link_token() -> str:
    """Return the secret part of a link that is good once: 256 random bits, as in an API token."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
