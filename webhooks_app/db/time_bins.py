"""Putting moments into bins of equal length, in the database."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Integer, cast, extract, func, literal, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session

from webhooks_app.db.models.base import microseconds


def bin_number(
    session: Session, moment: InstrumentedAttribute[datetime], since: datetime, step: timedelta
) -> ColumnElement[Any]:
    """Return the SQL of which bin the moment lies in: 0 for the one that starts at `since`."""
    if session.get_bind().dialect.name == "sqlite":  # where a moment is a count of microseconds
        offset = type_coerce(moment, Integer) - literal(microseconds(since), Integer)
        return offset // literal(step // timedelta(microseconds=1), Integer)
    return cast(func.floor(extract("epoch", moment - since) / step.total_seconds()), Integer)
