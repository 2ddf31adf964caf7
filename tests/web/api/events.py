"""What the tests of the API share."""

from typing import Any

from sqlalchemy import func, select

from webhooks_app.extensions import db

EVENT: dict[str, Any] = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}


def count(table: Any) -> int:
    db.session.rollback()
    return int(db.session.scalar(select(func.count()).select_from(table)) or 0)
