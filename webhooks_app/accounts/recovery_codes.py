"""Recovery codes: ten, each good once in place of a second factor. Only their hashes are kept."""

import secrets
from base64 import b32encode

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from webhooks_app.core import clock, passwords
from webhooks_app.db.models import RecoveryCode
from webhooks_app.db.write_connection import WriteConnection

COUNT = 10
_GROUP = 4


def replace_in_transaction(connection: WriteConnection, user_id: str) -> list[str]:
    """Give the person new codes in place of all that they had; return them."""
    codes = [_new() for _ in range(COUNT)]
    connection.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    rows = [{"user_id": user_id, "code_hash": _hash(user_id, code)} for code in codes]
    connection.execute(insert(RecoveryCode), rows)
    return codes


def use_in_transaction(connection: WriteConnection, user_id: str, typed: str) -> bool:
    """Use up the code; False for one that was used before or never was. Of several at once one succeeds."""
    is_this = RecoveryCode.user_id == user_id, RecoveryCode.code_hash == _hash(user_id, typed)
    used = update(RecoveryCode).where(*is_this, RecoveryCode.used_at.is_(None)).values(used_at=clock.now())
    return connection.execute(used).rowcount == 1


def count_left(session: Session, user_id: str) -> int:
    unused = RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
    return session.execute(select(func.count()).select_from(RecoveryCode).where(*unused)).scalar_one()


def _new() -> str:
    """Return 80 random bits in four groups of letters and digits that are not taken for each other."""
    text = b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def _hash(user_id: str, code: str) -> str:
    # 80 random bits: nothing to guess, so no slow hash is needed.
    plain = "".join(character for character in code.lower() if character.isalnum())
    return passwords.hash_token(f"recovery code {user_id} {plain}")
