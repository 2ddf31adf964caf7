"""Disable an endpoint that does nothing but fail: after a warning, a final warning, and with a notice.

What counts is the time from the first to the last failure of a streak, not how long ago the streak began:
an endpoint that failed once and was sent nothing since stays enabled. Each step needs a failure past its
moment; the last step needs one past the moment that the final warning named. So an endpoint that is disabled
was warned of, had time, and was tried once more, even if the sweep had not run for a week.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, String, bindparam, column, select, text

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.core.outcomes import PLATFORM_FAILURES
from webhooks_app.db import dialect_sql
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models import EndpointHealth, NoticeKind
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.endpoints import actions, notices

log = logging.getLogger(__name__)

ACTOR = Actor("auto-disable")
WARNING_SHARE = 0.5
FINAL_SHARE = 0.9
# As many as one delivery's default schedule holds: two unlucky deliveries days apart prove nothing.
ENOUGH_FAILURES = 10
# A sweep comes each 15 seconds; disabling moves an endpoint's whole backlog, so only a few at a time.
STEPS_PER_SWEEP = 20

_STREAKS = """
    SELECT h.endpoint_id, e.workspace_id, h.failing_since, h.failure_count
    FROM endpoint_health h JOIN endpoints e ON e.id = h.endpoint_id
    WHERE h.failing_since <= :began_by AND h.last_failure_at >= {later} AND h.failure_count >= :enough
    AND h.last_failure_outcome NOT IN :our_own AND e.state = 'enabled' AND e.deleted_at IS NULL
    AND {unless} ORDER BY h.failing_since LIMIT :count
"""
_HAS_NO_NOTICE = """NOT EXISTS (
    SELECT 1 FROM notices n
    WHERE n.endpoint_id = h.endpoint_id AND n.kind IN :kinds AND n.streak_at = h.failing_since
)"""
_HAS_FINAL_WARNING = """EXISTS (
    SELECT 1 FROM notices n
    WHERE n.endpoint_id = h.endpoint_id AND n.kind IN :kinds AND n.streak_at = h.failing_since
    AND n.disable_at <= h.last_failure_at
)"""

Streak = Row[Any]


def warn_and_disable(databases: Databases, *, after: timedelta, now: datetime) -> int:
    """Take the steps that are due, STEPS_PER_SWEEP of a kind at most; return how many. `after` zero: none."""
    if not after:
        return 0
    disabled = [
        _disable(databases.write, streak, now)
        for streak in _find(databases.read, _HAS_FINAL_WARNING, [NoticeKind.FINAL_WARNING], after, now)
    ]
    # The final warning first: where both are due, one is enough.
    warned = [
        _warn(databases.write, streak, kind, after, now)
        for kind, kinds, share in (
            (NoticeKind.FINAL_WARNING, [NoticeKind.FINAL_WARNING], FINAL_SHARE),
            (NoticeKind.WARNING, notices.WARNINGS, WARNING_SHARE),
        )
        for streak in _find(databases.read, _HAS_NO_NOTICE, kinds, after * share, now)
    ]
    return sum(disabled) + sum(warned)


def _find(
    database: ReadDatabase, unless: str, kinds: Sequence[NoticeKind], span: timedelta, now: datetime
) -> Sequence[Streak]:
    """Return the streaks whose failures span at least `span`."""
    with database.connect() as connection:
        later = dialect_sql.seconds_after(connection.dialect, "h.failing_since", ":span_s")
        statement = (
            text(_STREAKS.format(later=later, unless=unless))
            .bindparams(
                bindparam("kinds", expanding=True, type_=String),
                bindparam("our_own", expanding=True),
                bindparam("began_by", type_=UtcDateTime),
            )
            .columns(
                column("endpoint_id"),
                column("workspace_id"),
                column("failing_since", UtcDateTime),
                column("failure_count"),
            )
        )
        values = {
            "kinds": [kind.value for kind in kinds],
            "our_own": sorted(PLATFORM_FAILURES),
            "began_by": now - span,
            "span_s": span.total_seconds(),
            "enough": ENOUGH_FAILURES,
            "count": STEPS_PER_SWEEP,
        }
        return connection.execute(statement, values).all()


def _warn(database: WriteDatabase, streak: Streak, kind: NoticeKind, after: timedelta, now: datetime) -> bool:
    """Add the notice, unless another sweep did; a success meanwhile makes it void by itself."""
    disable_at = streak.failing_since + after
    if kind is NoticeKind.FINAL_WARNING:
        disable_at = max(disable_at, now + (1 - FINAL_SHARE) * after)
    with database.begin() as connection:
        is_new = notices.add(
            connection,
            streak.endpoint_id,
            kind,
            streak_at=streak.failing_since,
            disable_at=disable_at,
            now=now,
        )
        if is_new:
            audit.record(
                connection,
                ACTOR,
                f"endpoint.{kind.value}",
                workspace_id=streak.workspace_id,
                target=streak.endpoint_id,
                now=now,
                failing_since=clock.format_rfc3339(streak.failing_since),
                disable_at=clock.format_rfc3339(disable_at),
            )
    return is_new


def _disable(database: WriteDatabase, streak: Streak, now: datetime) -> bool:
    """Disable it, unless a success came in between or it is disabled already."""
    since = clock.format_utc(streak.failing_since)
    reason = f"Every attempt since {since} failed, {streak.failure_count:,} in all."
    with database.begin() as connection:
        # In the order in which recording takes its locks, the health last, so that the two do not wait for
        # each other; that it comes last is why it is undone here rather than checked first.
        is_done = actions.disable_in_transaction(
            connection, streak.endpoint_id, reason=reason, actor=ACTOR, now=now
        )
        if not is_done or not _still_fails(connection, streak):
            connection.rollback()
            return False
        notices.add(
            connection, streak.endpoint_id, NoticeKind.DISABLED, streak_at=streak.failing_since, now=now
        )
    log.warning("endpoint_disabled", extra={"endpoint_id": streak.endpoint_id})
    return True


def _still_fails(connection: Any, streak: Streak) -> bool:
    since = connection.scalar(
        select(EndpointHealth.failing_since)
        .where(EndpointHealth.endpoint_id == streak.endpoint_id)
        .with_for_update()
    )
    return bool(since == streak.failing_since)
