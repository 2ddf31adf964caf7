"""Encrypt everything at rest with the newest key, so that an older key can be retired."""

from typing import Any

from sqlalchemy import select, update

from webhooks_app.core.encryption import Cipher
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Endpoint, SigningSecret

BATCH = 500


def reencrypt_all(databases: Databases, cipher: Cipher) -> int:
    """Encrypt every value with the newest key; return how many. Raises DecryptionError if no key opens one.

    Workers may run meanwhile: the values stay the same, and each is readable with the old key and the new.
    """
    return sum(
        _reencrypt_column(databases, cipher, key, column)
        for key, column in (
            (SigningSecret.id, SigningSecret.ciphertext),
            (Endpoint.id, Endpoint.headers_encrypted),
        )
    )


def _reencrypt_column(databases: Databases, cipher: Cipher, key: Any, column: Any) -> int:
    after, count = "", 0
    while True:
        with databases.read.connect() as connection:
            some = select(key, column).where(key > after, column.is_not(None)).order_by(key).limit(BATCH)
            rows = connection.execute(some).all()
        if not rows:
            return count
        after = rows[-1][0]
        with databases.write.begin() as connection:
            for row_id, old in rows:
                # Guarded, so that what was changed in between is left as it is: it has the newest key anyway.
                count += connection.execute(
                    update(column.class_)
                    .where(key == row_id, column == old)
                    .values({column.key: cipher.rotate(old)})
                ).rowcount
