"""Finding deliveries by filter: ids only, in the order of time, with a bounded amount of work.

A filter is split in two. What an index serves becomes *lanes*: ranges of an index that ends in the id, merged
by id. What none serves becomes *conditions*, tried on window after window of the lanes until a page is full
or enough was looked at; then the caller learns how far that was and can go on from there.
"""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, literal, or_, select, true, union_all
from sqlalchemy.orm import Session

from webhooks_app.core import ids
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.models import Delivery, DeliveryState, Event, PendingDelivery
from webhooks_app.deliveries.log.filters import LogFilter, Status

# Deliveries looked at for one page, when no index serves the filter, and the time after which it is enough:
# a page is to be there within 50 ms.
LOOKED_AT = 5000
BUDGET_SECONDS = 0.015
WINDOW = 500  # small enough that the time is looked at often
PAYLOAD_WINDOW = 200  # reading a payload costs more than comparing a column

# All values of the column `trouble`, see `Delivery.attention_state`.
_TROUBLES = (Status.RETRYING, Status.HELD, Status.FAILED, Status.CANCELED)
_JSON_COLON = re.compile(r'"\s*:\s*')

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Ids in the direction of the search. `reached` is the last one looked at, where it ended early."""

    ids: list[str]
    has_more: bool
    reached: str | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    id: Any
    lanes: list[list[Condition]]
    conditions: list[Condition]
    window: int = WINDOW
    sent_at: datetime | None = None  # for those that are being sent then


def find(
    session: Session,
    workspace_id: str,
    wanted: LogFilter,
    *,
    now: datetime,
    limit: int,
    before: str = "",
    after: str = "",
) -> SearchResult:
    """Up to `limit` ids: the newest ones (older than `before`), or with `after` the oldest newer ones.

    `wanted.endpoint` must be known to belong to the workspace.
    """
    plan = _plan(workspace_id, wanted, session.get_bind().dialect.name, now)
    low, high = _bounds(wanted, now)
    low, high = max(low, after), min(high, before) if before else high
    if not plan.conditions and len(plan.lanes) == 1:
        found = list(session.scalars(_lane(plan, plan.lanes[0], low, high, bool(after)).limit(limit + 1)))
        return SearchResult(found[:limit], len(found) > limit)
    return _walk(session, plan, low, high, limit, upwards=bool(after))


@dataclass(frozen=True, slots=True)
class MatchCount:
    """How many deliveries match, counted no further than a limit or for longer than a page may take."""

    count: int
    is_all: bool


def count(session: Session, workspace_id: str, wanted: LogFilter, *, now: datetime, limit: int) -> MatchCount:
    """As `find` has them."""
    plan = _plan(workspace_id, wanted, session.get_bind().dialect.name, now)
    low, high = _bounds(wanted, now)
    if plan.conditions or len(plan.lanes) > 1:
        found = _walk(session, plan, low, high, limit, upwards=False)
        return MatchCount(len(found.ids), not found.has_more)
    some = _lane(plan, plan.lanes[0], low, high, False).limit(limit + 1).subquery()
    number = session.scalar(select(func.count()).select_from(some)) or 0
    return MatchCount(min(number, limit), number <= limit)


def _walk(session: Session, plan: _Plan, low: str, high: str, limit: int, *, upwards: bool) -> SearchResult:
    deadline = time.monotonic() + BUDGET_SECONDS
    found: list[str] = []
    looked_at = 0
    while True:
        window = _window(plan, low, high, upwards)
        found += session.scalars(_matches(plan, window, upwards).limit(limit + 1 - len(found)))
        if len(found) > limit:
            return SearchResult(found[:limit], True)
        edge = func.max(window.c.id) if upwards else func.min(window.c.id)
        count, reached = session.execute(select(func.count(), edge).select_from(window)).one()
        looked_at += count
        if count < plan.window:
            return SearchResult(found, False)
        low, high = (reached, high) if upwards else (low, reached)
        if looked_at >= LOOKED_AT or time.monotonic() > deadline:
            return SearchResult(found, True, reached)


def _lane(plan: _Plan, lane: list[Condition], low: str, high: str, upwards: bool) -> Select[Any]:
    within = [plan.id > low, plan.id < high]
    columns = [plan.id.label("id")]
    if plan.sent_at:  # read along with the id, this is known before the delivery is looked up
        columns.append(PendingDelivery.is_being_sent(plan.sent_at).label("is_being_sent"))
    return select(*columns).where(*lane, *within).order_by(plan.id if upwards else plan.id.desc())


def _window(plan: _Plan, low: str, high: str, upwards: bool) -> Subquery:
    """The next ids of all lanes."""
    parts = [_lane(plan, lane, low, high, upwards).limit(plan.window).subquery() for lane in plan.lanes]
    if len(parts) == 1:
        return parts[0]
    merged = union_all(*(select(part.c.id) for part in parts)).subquery()
    return (
        select(merged.c.id)
        .order_by(merged.c.id if upwards else merged.c.id.desc())
        .limit(plan.window)
        .subquery()
    )


def _matches(plan: _Plan, window: Subquery, upwards: bool) -> Select[Any]:
    # One look at each delivery by its id, whatever the planner believes: a join may come out as a scan.
    holds = select(and_(true(), *plan.conditions)).where(Delivery.id == window.c.id).scalar_subquery()
    statement = select(window.c.id).where(holds)
    if plan.sent_at:
        statement = statement.where(window.c.is_being_sent)
    return statement.order_by(window.c.id if upwards else window.c.id.desc())


def _bounds(wanted: LogFilter, now: datetime) -> tuple[str, str]:
    """Ids between which the deliveries of the filter's time lie."""
    since, until = wanted.bounds(now)
    return ids.floor("dlv", since) if since else "dlv_", ids.floor("dlv", until) if until else "dlv_~"


def _plan(workspace_id: str, wanted: LogFilter, dialect: str, now: datetime) -> _Plan:
    conditions = _column_conditions(wanted)
    window = WINDOW
    if wanted.text:
        conditions["text"] = _holds(wanted.text, dialect)
        window = PAYLOAD_WINDOW
    of_workspace = Delivery.workspace_id == workspace_id
    if wanted.delivery_id or wanted.event_id:
        named = (
            Delivery.id == wanted.delivery_id if wanted.delivery_id else Delivery.event_id == wanted.event_id
        )
        return _Plan(Delivery.id, [[named]], [of_workspace, *conditions.values()], window)
    if wanted.status in (Status.PENDING, Status.SENDING):
        # The queue is short next to the log, and it sorts by the same id.
        queue = [of_workspace, *conditions.values()]
        sent_at = now if wanted.status is Status.SENDING else None
        return _Plan(PendingDelivery.delivery_id, [[]], queue, window, sent_at)
    lanes = _lanes(of_workspace, wanted, conditions)
    return _Plan(Delivery.id, lanes, list(conditions.values()), window)


def _lanes(
    of_workspace: Condition, wanted: LogFilter, conditions: dict[str, Condition]
) -> list[list[Condition]]:
    """The index ranges; takes out of `conditions` what they see to."""
    owner = [conditions.pop("endpoint")] if wanted.endpoint else [of_workspace]
    if wanted.status in _TROUBLES:
        return [[*owner, conditions.pop("status")]]
    failures = wanted.outcomes and OutcomeClass.SUCCESS not in wanted.outcomes
    if failures and wanted.status is None:
        # Whose last attempt failed is in trouble.
        return [[*owner, Delivery.attention_state == trouble.value] for trouble in _TROUBLES]
    if wanted.event_type and not wanted.endpoint:
        return [[of_workspace, conditions.pop("event_type")]]
    return [owner]


def _column_conditions(wanted: LogFilter) -> dict[str, Condition]:
    conditions: dict[str, Condition] = {}
    if wanted.endpoint:
        conditions["endpoint"] = Delivery.endpoint_id == wanted.endpoint
    if wanted.status is not None:
        conditions["status"] = _has_status(wanted.status)
    if wanted.event_type:
        conditions["event_type"] = Delivery.event_type == wanted.event_type
    if wanted.outcomes:
        conditions["response"] = Delivery.last_outcome.in_([kind.value for kind in wanted.outcomes])
    return conditions


def _has_status(status: Status) -> Condition:
    if status in _TROUBLES:
        return Delivery.attention_state == status.value
    state = DeliveryState.PENDING if status is Status.SENDING else DeliveryState(status.value)
    return Delivery.state == state


def _holds(text: str, dialect: str) -> Condition:
    """The event's bytes hold the text, as typed or as compact JSON spells it (no space behind a colon)."""
    spellings = {text, _JSON_COLON.sub('":', text)}
    body = select(Event.body).where(Event.id == Delivery.event_id).scalar_subquery()
    position = func.instr if dialect == "sqlite" else func.pg_catalog.position
    return or_(*(position(body, literal(each.encode("utf-8", "replace"))) > 0 for each in sorted(spellings)))
