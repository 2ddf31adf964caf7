"""Encryption at rest, bound to the row it belongs to.

Fernet (AES-128-CBC with HMAC-SHA256) authenticates what it encrypts but knows no associated data, so the
owner's id travels inside: a ciphertext copied to another row decrypts to the wrong owner and is refused.
"""

from collections.abc import Sequence
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class DecryptionError(Exception):
    """A ciphertext that none of the keys opens, or that belongs to another row."""


class Cipher:
    """Encrypts with the first key, decrypts with any (`WEBHOOKS_ENCRYPTION_KEYS`, newest first)."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        # A worker needs the same few secrets for each batch; opening one costs 30 times a look-up.
        self._open = lru_cache(maxsize=20_000)(self._decrypt)

    def encrypt(self, owner: str, plaintext: str) -> str:
        return self._fernet.encrypt(f"{owner}\0{plaintext}".encode()).decode()

    def decrypt(self, owner: str, ciphertext: str) -> str:
        """Return the plaintext. Raises DecryptionError."""
        return self._open(owner, ciphertext)

    def rotate(self, ciphertext: str) -> str:
        """Return the same plaintext encrypted with the newest key. Raises DecryptionError."""
        try:
            return self._fernet.rotate(ciphertext.encode()).decode()
        except InvalidToken:
            raise DecryptionError("no key in WEBHOOKS_ENCRYPTION_KEYS opens this value") from None

    def _decrypt(self, owner: str, ciphertext: str) -> str:
        try:
            found, _, plaintext = self._fernet.decrypt(ciphertext.encode()).decode().partition("\0")
        except InvalidToken:
            raise DecryptionError("no key in WEBHOOKS_ENCRYPTION_KEYS opens this value") from None
        if found != owner:
            raise DecryptionError("this value was encrypted for another row")
        return plaintext
