"""What a batch of attempts adds to the sums by response and by event type: the charts of traffic."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from webhooks_app.core.outcomes import response_name
from webhooks_app.db import bulk_sql, traffic_sql
from webhooks_app.db.models import Facet
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

INTERVAL_MINUTES = 5
_EARLIEST = datetime.min.replace(tzinfo=UTC)

_Key = tuple[str, Facet, datetime, str]


class Subject(NamedTuple):
    """What a delivery is about: the workspace and the type of its event."""

    workspace_id: str
    event_type: str


def add(
    connection: WriteConnection, attempted: Iterable[ClaimedDelivery], subjects: Mapping[str, Subject]
) -> None:
    """Add the attempts, whose deliveries' ids `subjects` knows.

    All workers write the rows of a workspace, so this comes last in its transaction, right before the commit.
    """
    encode_moment = bulk_sql.moment_encoder(connection)
    rows = [
        {
            "scope_id": scope_id,
            "facet": facet.value,
            "starts_at": encode_moment(starts_at),
            "minutes": INTERVAL_MINUTES,
            "name": name,
            "count": count,
            "failed": failed,
        }
        for (scope_id, facet, starts_at, name), [count, failed] in _count(attempted, subjects).items()
    ]
    if rows:
        bulk_sql.run_with_rows(connection, traffic_sql.ADD, rows)


def _count(attempted: Iterable[ClaimedDelivery], subjects: Mapping[str, Subject]) -> dict[_Key, list[int]]:
    """Return by key how many attempts there were, and how many of them failed."""
    counts: dict[_Key, list[int]] = {}
    # First by what makes them differ: a batch of hundreds has a handful of such kinds.
    for (endpoint_id, subject, interval_at, name, is_success), number in _kinds(attempted, subjects).items():
        for scope_id in (endpoint_id, subject.workspace_id):
            for key in (
                (scope_id, Facet.RESPONSE, interval_at, name),
                (scope_id, Facet.EVENT_TYPE, interval_at, subject.event_type),
            ):
                sums = counts.setdefault(key, [0, 0])
                sums[0] += number
                sums[1] += 0 if is_success else number
    return counts


def _kinds(
    attempted: Iterable[ClaimedDelivery], subjects: Mapping[str, Subject]
) -> Counter[tuple[str, Subject, datetime, str, bool]]:
    found: Counter[tuple[str, Subject, datetime, str, bool]] = Counter()
    interval_at = ends_at = _EARLIEST
    for each in attempted:
        if not interval_at <= each.started_at < ends_at:  # those of a batch began at about one time
            interval_at = _interval_start(each.started_at)
            ends_at = interval_at + timedelta(minutes=INTERVAL_MINUTES)
        outcome = each.outcome
        # Asked of failures alone, as an attribute of an Enum's class takes long to look up.
        name = str(outcome.status) if outcome.is_success else response_name(outcome.kind, outcome.status)
        if subject := subjects.get(each.delivery_id):  # none of one that was deleted since it was claimed
            found[each.endpoint_id, subject, interval_at, name, outcome.is_success] += 1
    return found


def _interval_start(moment: datetime) -> datetime:
    return moment.replace(minute=moment.minute - moment.minute % INTERVAL_MINUTES, second=0, microsecond=0)
