"""Copies of payloads that the database itself has outside their rows, taken out as well.

These are PostgreSQL's statistics and the file beside an SQLite database.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import delete

from webhooks_app.db import planner_statistics, write_ahead_log
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import LatePayload
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.erasure.erased_event import DEFAULT_LIMITS, ErasedEvent, ErasureLimits


def forget_copies(
    databases: Databases, erased: Sequence[ErasedEvent], *, limits: ErasureLimits = DEFAULT_LIMITS
) -> list[ErasedEvent]:
    """Take what was erased out of PostgreSQL's statistics and the file beside an SQLite database.

    Once for however many events, as the statistics take seconds. Return them with what is left then.
    """
    are_sampled = any(each.are_samples_left for each in erased) and not _forget_samples(
        databases.write, limits
    )
    is_in_wal = any(each.is_left_in_wal for each in erased) and not write_ahead_log.truncate(
        databases.read, within_seconds=limits.wal_seconds
    )
    return [_finish(databases.write, each, are_sampled, is_in_wal) for each in erased]


def _finish(database: WriteDatabase, erased: ErasedEvent, are_sampled: bool, is_in_wal: bool) -> ErasedEvent:
    """Return it with what is left; where that is nothing, retention has nothing to do for it, either."""
    done = replace(
        erased,
        are_samples_left=erased.are_samples_left and are_sampled,
        is_left_in_wal=erased.is_left_in_wal and is_in_wal,
    )
    if done.is_complete:
        _leave_nothing(database, erased.workspace_id, erased.event_id)
    return done


def _leave_nothing(database: WriteDatabase, workspace_id: str, event_id: str) -> None:
    mine = delete(LatePayload).where(
        LatePayload.workspace_id == workspace_id, LatePayload.event_id == event_id
    )
    with database.begin() as connection:
        connection.execute(mine)


def _forget_samples(database: WriteDatabase, limits: ErasureLimits) -> bool:
    if not limits.samples:
        return not planner_statistics.keeps_samples(database)
    return payload_rows.forget_samples(database)
