"""Pages of the list of endpoints: filtered, sorted by what needs attention, and by keyset. Only reads."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

from sqlalchemy import ColumnElement, Subquery, and_, func, literal, or_, select
from sqlalchemy.orm import Session, joinedload

from webhooks_app.core import ids
from webhooks_app.db import keyset
from webhooks_app.db.models import Endpoint, EndpointHealth, Subscription
from webhooks_app.endpoints import attempt_stats, charts, health, waiting_counts
from webhooks_app.endpoints.charts import Bars
from webhooks_app.endpoints.health import HealthState, LastFailure
from webhooks_app.endpoints.waiting_counts import Waiting

PAGE_SIZE = 50
LONGEST_SEARCH = 200
# In regular expressions of either database: no run of letters and digits that may be a token begins here.
_NO_TOKEN = "(?![a-z0-9]{16}|[0-9a-f]{8}-[0-9a-f]{4}-)"
BAR_WIDTH, BAR_HEIGHT = 192, 28


@dataclass(slots=True, frozen=True)
class EndpointFilter:
    """What an endpoint must fulfil, all of it; an empty field asks for nothing.

    `q` is part of a name or of a URL before its query, the beginning of an id, or an event type; `event` is
    what the endpoint must get. `is_event` says that `q` is an event type, which those for all events get.
    """

    q: str = ""
    state: HealthState | None = None
    event: str = ""
    is_event: bool = False

    @property
    def arguments(self) -> dict[str, str]:
        values = {"q": self.q, "state": self.state or "", "event": self.event}
        return {name: str(value) for name, value in values.items() if value}


@dataclass(slots=True, frozen=True)
class EndpointRow:
    """An endpoint in the list; `hours` are (succeeded, failed) of the last 24, oldest first.

    `waiting` are its deliveries that are pending or held, each counted up to waiting_counts.LISTED_LIMIT.
    """

    endpoint: Endpoint
    health: HealthState
    event_count: int
    hours: list[tuple[int, int]]
    waiting: Waiting

    @property
    def bars(self) -> Bars:
        return charts.bars(self.hours, width=BAR_WIDTH, height=BAR_HEIGHT, gap=2)

    @property
    def label(self) -> str:
        failed = sum(bad for _, bad in self.hours)
        total = sum(good for good, _ in self.hours) + failed
        if not total:
            return "No attempt"
        attempts = f"{total:,} {'attempt' if total == 1 else 'attempts'}"
        return attempts + (f", {failed:,} failed" if failed else "")

    @property
    def last_failure(self) -> LastFailure | None:
        return health.last_failure(self.endpoint.health)

    @property
    def version(self) -> str:
        """Differs whenever the row looks different; letters and digits only, as it stands in addresses."""
        endpoint = self.endpoint
        shown = (
            endpoint.updated_at,
            self.health,
            self.event_count,
            self.hours,
            self.last_failure,
            self.waiting,
        )
        return f"{crc32(repr((*shown, endpoint.health.failing_since)).encode()):08x}"


@dataclass(slots=True, frozen=True)
class EndpointPage:
    """`next` and `previous` are ids to go on from, empty where there is nothing more."""

    rows: list[EndpointRow]
    next: str = ""
    previous: str = ""


def parse(arguments: Mapping[str, str], event_types: Collection[str]) -> EndpointFilter:
    """Return the filter of a URL's arguments; what cannot be one is left out."""
    # PostgreSQL takes no NUL in a text, and no name or URL has one.
    q = arguments.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    state, event = arguments.get("state", ""), arguments.get("event", "")
    return EndpointFilter(
        q,
        HealthState(state) if state in set(HealthState) else None,
        event if event in event_types else "",
        is_event=q in event_types,
    )


def read_page(
    session: Session,
    workspace_id: str,
    endpoint_filter: EndpointFilter,
    *,
    now: datetime,
    after: str = "",
    before: str = "",
    limit: int = PAGE_SIZE,
) -> EndpointPage:
    """Return the endpoints behind `after` or before `before`: what needs attention first, then by name.

    A state that changes between two pages moves its endpoint, as in any list that is sorted by it.
    """
    listed = _listed(workspace_id, endpoint_filter)
    cursor = next((each for each in (after, before) if ids.is_id("ep", each)), "")
    place = _place(session, workspace_id, cursor) if cursor else None
    is_backwards = place is not None and cursor == before and not after
    found, has_more = keyset.read_beyond(
        session, select(listed.c.id), _keys(listed), place, limit=limit, upwards=not is_backwards
    )
    if is_backwards:
        found = found[::-1]
    rows = read_rows(session, workspace_id, found, now=now)
    if not found:
        return EndpointPage(rows)
    has_next, has_previous = (True, has_more) if is_backwards else (has_more, place is not None)
    return EndpointPage(rows, found[-1] if has_next else "", found[0] if has_previous else "")


def read_rows(
    session: Session, workspace_id: str, endpoint_ids: Sequence[str], *, now: datetime
) -> list[EndpointRow]:
    """Return the endpoints in the order of the ids, without those that are gone, in four queries."""
    named = [each for each in endpoint_ids if ids.is_id("ep", each)]
    if not named:
        return []
    statement = (
        select(Endpoint, health.state())
        .join(EndpointHealth, EndpointHealth.endpoint_id == Endpoint.id)
        .options(joinedload(Endpoint.health))
        .where(Endpoint.is_kept_in(workspace_id), Endpoint.id.in_(named))
    )
    found = {endpoint.id: (endpoint, HealthState(state)) for endpoint, state in session.execute(statement)}
    counts, days = _event_counts(session, named), attempt_stats.read_day(session, named, now)
    silent, waiting = [(0, 0)] * attempt_stats.DAY.bins, waiting_counts.read_waiting(session, named)
    return [
        EndpointRow(*found[each], counts.get(each, 0), days.get(each, silent), waiting[each])
        for each in endpoint_ids
        if each in found
    ]


def _listed(workspace_id: str, endpoint_filter: EndpointFilter) -> Subquery:
    """The endpoints that match, with what they are sorted by."""
    statement = (
        select(Endpoint.id, func.lower(Endpoint.name).label("name"), health.state().label("state"))
        .join(EndpointHealth, EndpointHealth.endpoint_id == Endpoint.id)
        .where(Endpoint.is_kept_in(workspace_id), *_conditions(endpoint_filter))
    )
    states = statement.subquery()
    ranked = select(states.c.id, states.c.name, health.rank(states.c.state).label("rank"))
    if endpoint_filter.state is not None:
        ranked = ranked.where(states.c.state == endpoint_filter.state.value)
    return ranked.subquery()


def _place(session: Session, workspace_id: str, endpoint_id: str) -> tuple[Any, ...] | None:
    """Return where the endpoint stands among all; None if it is gone."""
    everything = _listed(workspace_id, EndpointFilter())
    row = session.execute(select(*_keys(everything)).where(everything.c.id == endpoint_id)).first()
    return tuple(row) if row else None


def _keys(listed: Subquery) -> tuple[Any, ...]:
    return listed.c.rank, listed.c.name, listed.c.id


def _conditions(endpoint_filter: EndpointFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if endpoint_filter.event:
        found.append(_gets(endpoint_filter.event))
    if endpoint_filter.q:
        found.append(or_(*_holds(endpoint_filter)))
    return found


def _holds(endpoint_filter: EndpointFilter) -> list[ColumnElement[bool]]:
    found = [Endpoint.name.icontains(endpoint_filter.q, autoescape=True), _address_holds(endpoint_filter.q)]
    if endpoint_filter.q.startswith("ep_"):
        found.append(Endpoint.id.startswith(endpoint_filter.q, autoescape=True))
    if endpoint_filter.is_event:
        found.append(_gets(endpoint_filter.q))
    return found


def _gets(event_type: str) -> ColumnElement[bool]:
    chosen = select(Subscription.endpoint_id).where(
        Subscription.endpoint_id == Endpoint.id, Subscription.event_type == event_type
    )
    return or_(Endpoint.all_events, chosen.correlate(Endpoint).exists())


def _address_holds(search: str) -> ColumnElement[bool]:
    """The URL holds it before its query and before what looks random in its path.

    Whoever may not read what is there must not find it either; see `core.url_masking`.
    """
    parts = re.split(r"(?<![A-Za-z0-9])(?=[A-Za-z0-9])", search)
    held = "".join(_NO_TOKEN + re.escape(part) for part in parts)
    return and_(Endpoint.url.regexp_match(f"(?i)^(?:{_NO_TOKEN}[^?])*{held}"), literal("?" not in search))


def _event_counts(session: Session, endpoint_ids: Sequence[str]) -> dict[str, int]:
    rows = session.execute(
        select(Subscription.endpoint_id, func.count())
        .where(Subscription.endpoint_id.in_(endpoint_ids))
        .group_by(Subscription.endpoint_id)
    )
    return {row[0]: row[1] for row in rows}
