"""Pages of the log, newest first, by keyset on the time-sorted id: no COUNT, no OFFSET."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from webhooks_app.core import ids
from webhooks_app.db import moment_index
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import Delivery
from webhooks_app.deliveries.log import search
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.deliveries.log.rows import DeliveryRow, read_rows

PAGE_SIZE = 25
# New deliveries are counted no further: "25+ new" says enough.
NEW_COUNTED = 25


@dataclass(frozen=True, slots=True)
class LogPage:
    """`older` and `newer` are ids to go on from, empty where nothing more is known to be.

    `searched_to` is set where the search stopped before the page was full: `older` goes on from there.
    `is_by_value` says that the filter's text is a value that events are indexed by.
    """

    rows: list[DeliveryRow]
    older: str = ""
    newer: str = ""
    searched_to: datetime | None = None
    is_by_value: bool = False

    @property
    def is_newest(self) -> bool:
        return not self.newer


def read_page(
    session: Session,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    now: datetime,
    before: str = "",
    after: str = "",
    limit: int = PAGE_SIZE,
    limits: SearchLimits = search.LIMITS,
) -> LogPage:
    """Return the page of the newest deliveries older than `before`, or next newer than `after`."""
    log_filter = search.resolve_text_kind(session, workspace_id, log_filter)
    if after:
        newer_page = _newer_page(session, workspace_id, log_filter, now=now, after=after, limit=limit)
        if newer_page is not None:
            return newer_page
    result = search.find_deliveries(
        session, workspace_id, log_filter, now=now, limit=limit, before=before, limits=limits
    )
    rows = read_rows(session, workspace_id, result.ids)
    older = result.reached or (result.ids[-1] if result.has_more else "")
    newer = (result.ids[0] if result.ids else before) if before else ""
    searched_to = ids.created_at(result.reached) if result.reached else None
    return LogPage(rows, older, newer, searched_to, search.is_by_value(session, workspace_id, log_filter))


def _newer_page(
    session: Session, workspace_id: str, log_filter: LogFilter, *, now: datetime, after: str, limit: int
) -> LogPage | None:
    """Return None where so little is newer that it is the newest page."""
    result = search.find_deliveries(session, workspace_id, log_filter, now=now, limit=limit, after=after)
    if not result.has_more:
        return None
    rows = read_rows(session, workspace_id, result.ids[::-1])
    older, newer = result.ids[0] if result.ids else after, result.reached or result.ids[-1]
    is_by_value = search.is_by_value(session, workspace_id, log_filter)
    return LogPage(rows, older, newer, is_by_value=is_by_value)


def read_oldest(session: Session, workspace_id: str) -> datetime | None:
    """Return when the oldest delivery in the log was made, to which a search goes back at most."""
    theirs = select(Delivery.id).where(moment_index.found_by((Delivery.workspace_id, workspace_id)))
    first = moment_index.first(session.get_bind().dialect, theirs, Delivery.id, 1, upwards=True)
    oldest = session.scalar(first)
    return ids.created_at(oldest) if oldest else None


def count_newer(
    session: Session, workspace_id: str, log_filter: LogFilter, newest: str, *, now: datetime
) -> int:
    """Return how many deliveries came after `newest`, up to one more than NEW_COUNTED."""
    result = search.find_deliveries(
        session, workspace_id, log_filter, now=now, limit=NEW_COUNTED, after=newest
    )
    return len(result.ids) + (result.has_more and len(result.ids) == NEW_COUNTED)
