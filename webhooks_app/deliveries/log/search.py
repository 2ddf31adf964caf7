"""Finding deliveries by filter: ids only, in the order of time, with a bounded amount of work.

A filter is split in two: what an index serves becomes ranges of that index, and what none serves becomes
conditions that are tried on what lies in the ranges (`db/keyset.py`).
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import literal_column, not_, select
from sqlalchemy.orm import Session

from webhooks_app.core import ids
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db import keyset, moment_index
from webhooks_app.db.event_conditions import of_event
from webhooks_app.db.keyset import Condition, MatchCount, Search, SearchLimits, SearchResult
from webhooks_app.db.models import Delivery, DeliveryState, Event, PendingDelivery
from webhooks_app.deliveries.log import filter_values, value_search
from webhooks_app.deliveries.log.filters import LogFilter, Status, TrafficKind
from webhooks_app.deliveries.log.payload_text import PayloadText

# For one page where no index serves the filter: it is to be there within 50 ms.
LIMITS = SearchLimits(rows=5000, seconds=0.015, chunk_rows=500)
PAYLOAD_CHUNK_ROWS = 400  # reading a payload costs more than comparing a column

# The values of the column that says what needs attention, see `db/models/delivery_tables.py`.
_ATTENTION_STATES = (Status.RETRYING, Status.HELD, Status.FAILED, Status.CANCELED)
# Spelt as in the partial index, or SQLite would not use that.
_IS_TEST: Condition = literal_column("deliveries.is_test")


def find_deliveries(
    session: Session,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    now: datetime,
    limit: int,
    before: str = "",
    after: str = "",
    limits: SearchLimits = LIMITS,
) -> SearchResult:
    """Return up to `limit` ids: the newest ones (older than `before`), or with `after` the oldest newer ones.

    `log_filter.endpoint` must be known to belong to the workspace.
    """
    if is_by_value(session, workspace_id, log_filter):
        return _find_by_value(session, workspace_id, log_filter, now, limit, before, after, limits)
    search = _search(workspace_id, log_filter, now)
    low, high = _bounds(log_filter, now)
    low, high = max(low, after), min(high, before) if before else high
    limits = _limits(log_filter, limits)
    return keyset.find(session, search, low, high, limit=limit, limits=limits, upwards=bool(after))


def count_deliveries(
    session: Session, workspace_id: str, log_filter: LogFilter, *, now: datetime, limit: int
) -> MatchCount:
    """Return how many deliveries `find_deliveries` would find, up to `limit`."""
    log_filter = resolve_text_kind(session, workspace_id, log_filter)
    if is_by_value(session, workspace_id, log_filter):
        found = find_deliveries(session, workspace_id, log_filter, now=now, limit=limit)
        return MatchCount(len(found.ids), not found.has_more)
    search = _search(workspace_id, log_filter, now)
    low, high = _bounds(log_filter, now)
    return keyset.count(session, search, low, high, limit=limit, limits=_limits(log_filter, LIMITS))


def is_by_value(session: Session, workspace_id: str, log_filter: LogFilter) -> bool:
    """Return whether the text is a value that events are indexed by, and so found at once.

    Of a filter that is settled the database is not asked.
    """
    if log_filter.within == filter_values.VALUES:
        return bool(log_filter.value)
    return bool(log_filter.value) and value_search.is_known(session, workspace_id, log_filter.value)


def resolve_text_kind(session: Session, workspace_id: str, log_filter: LogFilter) -> LogFilter:
    """Return the filter with what it takes the text for.

    A search over many requests must read the text the same way throughout.
    """
    if not log_filter.text or log_filter.within:
        return log_filter
    is_value = is_by_value(session, workspace_id, log_filter)
    return replace(log_filter, within=filter_values.VALUES if is_value else filter_values.PAYLOADS)


def _find_by_value(
    session: Session,
    workspace_id: str,
    log_filter: LogFilter,
    now: datetime,
    limit: int,
    before: str,
    after: str,
    limits: SearchLimits,
) -> SearchResult:
    low, high = _bounds(log_filter, now)
    conditions = [Delivery.id > low, Delivery.id < high, *_column_conditions(log_filter).values()]
    if log_filter.status is Status.SENDING:
        sent = PendingDelivery.delivery_id == Delivery.id, PendingDelivery.is_being_sent(now)
        conditions.append(select(PendingDelivery.delivery_id).where(*sent).exists())
    if log_filter.recovery:
        conditions.append(Delivery.recovery_id == log_filter.recovery)
    return value_search.find(
        session,
        workspace_id,
        log_filter.value,
        conditions,
        log_filter.bounds(now),
        limit=limit,
        cursor=after or before,
        upwards=bool(after),
        limits=limits,
    )


def _limits(log_filter: LogFilter, limits: SearchLimits) -> SearchLimits:
    if not log_filter.text:
        return limits
    return replace(limits, chunk_rows=min(limits.chunk_rows, PAYLOAD_CHUNK_ROWS))


def _bounds(log_filter: LogFilter, now: datetime) -> tuple[str, str]:
    """Return the ids between which the deliveries of the filter's time lie."""
    since, until = log_filter.bounds(now)
    return ids.floor("dlv", since) if since else "dlv_", ids.floor("dlv", until) if until else "dlv_~"


def _search(workspace_id: str, log_filter: LogFilter, now: datetime) -> Search:
    found = _search_columns(workspace_id, log_filter, now)
    if not log_filter.text:
        return found
    content = select(Event.body).where(Event.id == Delivery.event_id)
    return replace(found, content=content, content_holds=PayloadText.of(log_filter.text).is_in)


def _search_columns(workspace_id: str, log_filter: LogFilter, now: datetime) -> Search:
    conditions = _column_conditions(log_filter)
    is_owned = Delivery.workspace_id == workspace_id
    if log_filter.delivery_id or log_filter.event_id:
        named = _is_named(log_filter)
        return Search(Delivery.id, [[named]], Delivery.id, [is_owned, *conditions.values()])
    if log_filter.recovery:
        ranges = _recovery_ranges(log_filter, conditions)
        return Search(Delivery.id, ranges, Delivery.id, [is_owned, *conditions.values()])
    if log_filter.status in (Status.PENDING, Status.SENDING):
        # The queue is short next to the log, and it sorts by the same id.
        is_sending = log_filter.status is Status.SENDING
        return Search(
            PendingDelivery.delivery_id,
            [[]],
            Delivery.id,
            [is_owned, *conditions.values()],
            early_condition=PendingDelivery.is_being_sent(now) if is_sending else None,
        )
    ranges = _index_ranges(workspace_id, log_filter, conditions)
    return Search(Delivery.id, ranges, Delivery.id, list(conditions.values()))


def _is_named(log_filter: LogFilter) -> Condition:
    if log_filter.delivery_id:
        return Delivery.id == log_filter.delivery_id
    return of_event(log_filter.event_id)


def _recovery_ranges(log_filter: LogFilter, conditions: dict[str, Condition]) -> list[list[Condition]]:
    """As `_index_ranges`, over the index that a recovery's deliveries have by what became of them."""
    is_dealt_with = Delivery.recovery_id == log_filter.recovery
    states = _attention_states(log_filter.status)
    if states:
        conditions.pop("status")
        return [[is_dealt_with, Delivery.attention_state == state.value] for state in states]
    unmarked = [is_dealt_with, Delivery.attention_state.is_(None)]
    if log_filter.status is Status.DELIVERED:
        return [unmarked]
    marked = ([is_dealt_with, Delivery.attention_state == each.value] for each in _ATTENTION_STATES)
    return [unmarked, *marked]


def _attention_states(status: Status | None) -> tuple[Status, ...]:
    """Return the values of the column that say that a delivery has this status; none say it of the others."""
    if status is Status.UNDELIVERED:
        return (Status.RETRYING, Status.FAILED)
    return (status,) if status in _ATTENTION_STATES else ()


def _index_ranges(
    workspace_id: str, log_filter: LogFilter, conditions: dict[str, Condition]
) -> list[list[Condition]]:
    """Return the ranges; takes out of `conditions` those that they fulfil."""
    is_owned = Delivery.workspace_id == workspace_id
    if log_filter.traffic is TrafficKind.TEST:
        return [[is_owned, conditions.pop("traffic")]]
    owner = [conditions.pop("endpoint")] if log_filter.endpoint else [is_owned]
    if states := _attention_states(log_filter.status):
        conditions.pop("status")
        return [[*owner, Delivery.attention_state == state.value] for state in states]
    is_failure = log_filter.outcomes and OutcomeClass.SUCCESS not in log_filter.outcomes
    if is_failure and log_filter.status is None:
        # A delivery whose last attempt failed is in one of these states.
        return [[*owner, Delivery.attention_state == state.value] for state in _ATTENTION_STATES]
    owners = (Delivery.workspace_id, workspace_id)
    if log_filter.endpoint:
        return [[moment_index.found_by((Delivery.endpoint_id, log_filter.endpoint))]]
    if log_filter.event_type:
        conditions.pop("event_type")
        return [[moment_index.found_by(owners, (Delivery.event_type, log_filter.event_type))]]
    return [[moment_index.found_by(owners)]]


def _column_conditions(log_filter: LogFilter) -> dict[str, Condition]:
    conditions: dict[str, Condition] = {}
    if log_filter.endpoint:
        conditions["endpoint"] = Delivery.endpoint_id == log_filter.endpoint
    if log_filter.status is not None:
        conditions["status"] = _has_status(log_filter.status)
    if log_filter.event_type:
        conditions["event_type"] = Delivery.event_type == log_filter.event_type
    if log_filter.outcomes:
        conditions["response"] = Delivery.last_outcome.in_([kind.value for kind in log_filter.outcomes])
    if log_filter.status_code:
        conditions["status_code"] = Delivery.last_status == log_filter.status_code
    if log_filter.traffic is not None:
        is_test = log_filter.traffic is TrafficKind.TEST
        conditions["traffic"] = _IS_TEST if is_test else not_(Delivery.is_test)
    return conditions


def _has_status(status: Status) -> Condition:
    if states := _attention_states(status):
        return Delivery.attention_state.in_([state.value for state in states])
    state = DeliveryState.PENDING if status is Status.SENDING else DeliveryState(status.value)
    return Delivery.state == state
