"""Encrypt everything at rest with the newest key, so that an older key can be retired."""

from typing import Any

from sqlalchemy import select, update

from webhooks_app.core.encryption import Cipher, DecryptionError
from webhooks_app.db import keyset_walk
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Endpoint, SigningSecret, TotpSecret

BATCH_ROWS = 500
_ENCRYPTED_COLUMNS: tuple[tuple[Any, Any], ...] = (
    (SigningSecret.id, SigningSecret.ciphertext),
    (Endpoint.id, Endpoint.headers_encrypted),
    (TotpSecret.user_id, TotpSecret.secret_encrypted),
)


def reencrypt_all(databases: Databases, cipher: Cipher, *, batch_rows: int = BATCH_ROWS) -> int:
    """Encrypt every value with the newest key; return how many. Raises DecryptionError if no key opens one.

    Workers may run meanwhile: the values stay the same, and each is readable with the old key and the new.
    """
    return sum(
        _reencrypt_column(databases, cipher, key, column, batch_rows) for key, column in _ENCRYPTED_COLUMNS
    )


def count_values_of_lost_keys(databases: Databases, cipher: Cipher, *, batch_rows: int = BATCH_ROWS) -> int:
    """Return how many of the encrypted values none of the keys opens."""
    return sum(
        not _opens(cipher, ciphertext)
        for key, column in _ENCRYPTED_COLUMNS
        for batch in keyset_walk.walk(
            databases.read, select(key, column).where(column.is_not(None)), key, batch_rows=lambda: batch_rows
        )
        for _, ciphertext in batch
    )


def _opens(cipher: Cipher, ciphertext: str) -> bool:
    try:
        cipher.rotate(ciphertext)
    except DecryptionError:
        return False
    return True


def _reencrypt_column(databases: Databases, cipher: Cipher, key: Any, column: Any, batch_rows: int) -> int:
    count = 0
    encrypted = select(key, column).where(column.is_not(None))
    for batch in keyset_walk.walk(databases.read, encrypted, key, batch_rows=lambda: batch_rows):
        with databases.write.begin() as connection:
            for row_id, old in batch:
                # Guarded, so that what was changed in between is left as it is: it has the newest key anyway.
                count += connection.execute(
                    update(column.class_)
                    .where(key == row_id, column == old)
                    .values({column.key: cipher.rotate(old)})
                ).rowcount
    return count
