"""A search for text that goes on by itself: a step in each request, until a page is full or the log ends."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from flask import abort, g, render_template, request

from webhooks_app.core import clock
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries.log import delivery_list
from webhooks_app.deliveries.log.delivery_list import LogPage
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.extensions import db
from webhooks_app.web.delivery_rows import row_previews
from webhooks_app.web.template_links import endpoint_log_address

# One step: as long as a page may take, since each of them has a request's own cost.
LIMITS = SearchLimits(rows=20_000, seconds=0.035, chunk_rows=500)


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search came: the share of the log's time, from 0 to 1, and how many it has found."""

    share: float
    found: int


def of_page(log_filter: LogFilter, page: LogPage, *, found_before: int = 0) -> SearchProgress:
    now = clock.now()
    since, until = log_filter.bounds(now)
    oldest = delivery_list.read_oldest(db.session(), g.workspace.id) or now
    first, last = max(oldest, since or oldest), min(now, until or now)
    searched = (last - (page.searched_to or first)) / (last - first) if last > first else 1.0
    return SearchProgress(min(max(searched, 0.0), 1.0), found_before + len(page.rows))


def render_further(log_filter: LogFilter, endpoint: Endpoint | None, *, before: str, now: datetime) -> str:
    """Return what the next step found, and where the search stands."""
    found_before = _found_before()
    page = delivery_list.read_page(
        db.session(),
        g.workspace.id,
        log_filter,
        now=now,
        before=before,
        limit=delivery_list.PAGE_SIZE - found_before,
        limits=LIMITS,
    )
    return render_template(
        "deliveries/_further.html",
        endpoint=endpoint,
        page=page,
        page_url=partial(endpoint_log_address, log_filter, endpoint),
        unfiltered_url=endpoint_log_address(LogFilter(), endpoint),
        log_filter=log_filter,
        progress=of_page(log_filter, page, found_before=found_before),
        previews=row_previews(page.rows),
    )


def _found_before() -> int:
    """Return how many rows of the page the reader has already; 400 for what no page asks."""
    found = request.args["found"]
    if not found.isdecimal() or int(found) >= delivery_list.PAGE_SIZE:
        abort(400)
    return int(found)
