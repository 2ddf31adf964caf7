"""One field that leads anywhere: to what an id or a value names, an endpoint, an event type, a page.

A page of its own and, on Ctrl-K, a dialog on every page that shows the same results.
"""

from collections.abc import Iterator
from typing import NamedTuple

from flask import Blueprint, g, render_template, request, url_for
from sqlalchemy import select

from webhooks_app.core import ids
from webhooks_app.core.case_folding import fold
from webhooks_app.db.models import Endpoint, Event, Role
from webhooks_app.deliveries.log import saved_filters, value_search
from webhooks_app.deliveries.log.filter_values import LONGEST_TEXT, PAYLOADS
from webhooks_app.deliveries.log.rows import read_row
from webhooks_app.extensions import db, services
from webhooks_app.web import navigation
from webhooks_app.web.responses import PageResponse, is_fragment
from webhooks_app.web.template_links import log_address

MOST_OF_A_KIND = 6


class Found(NamedTuple):
    """Where something is; `kind` says what it is."""

    kind: str
    label: str
    url: str


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)


def index() -> PageResponse:
    q = request.args.get("q", "").replace("\0", "").strip()[:LONGEST_TEXT]
    template = "find/_results.html" if is_fragment() else "find/index.html"
    return render_template(template, q=q, results=list(find(q)))


def find(q: str) -> Iterator[Found]:
    """Yield what the text may mean, the surest first; the pages of the console where there is none."""
    if not q:
        yield from _saved_filters("")
        yield from _pages("")
        return
    yield from _named(q)
    if value_search.is_known(db.session(), g.workspace.id, fold(q)):
        yield Found("Deliveries", f"Deliveries about {q}", url_for("deliveries.index", q=q))
    yield from _saved_filters(q)
    yield from _endpoints(q)
    yield from _event_types(q)
    yield from _pages(q)
    if not _is_whole_id(q):
        address = log_address({"q": q, "in": PAYLOADS})
        yield Found("Search", f"Payloads that hold “{q}”", address)


def _is_whole_id(q: str) -> bool:
    return q.startswith("att_") or any(ids.is_id(kind, q) for kind in ("dlv", "evt", "ep"))


def _named(q: str) -> Iterator[Found]:
    """Yield what bears the id, if it is this workspace's."""
    session = db.session()
    delivery_id = ids.delivery_id_of(q) if q.startswith("att_") else q
    if row := read_row(session, g.workspace.id, delivery_id):
        attempt = q if q.startswith("att_") else None
        url = url_for("deliveries.show", delivery_id=row.id, attempt=attempt)
        yield Found("Delivery", f"{row.event_type} to {row.endpoint_name}", url)
    is_theirs = Event.id == q, Event.workspace_id == g.workspace.id
    if ids.is_id("evt", q) and (kind := session.scalar(select(Event.type).where(*is_theirs))):
        yield Found("Event", f"{kind}, all its deliveries", url_for("deliveries.index", q=q))


def _saved_filters(q: str) -> Iterator[Found]:
    saved = saved_filters.read_all(db.session(), g.workspace.id)
    for each in [each for each in saved if fold(q) in fold(each.name)][:MOST_OF_A_KIND]:
        yield Found("Saved filter", each.name, log_address(each.filter))


def _endpoints(q: str) -> Iterator[Found]:
    matches = (Endpoint.id == q) | Endpoint.name.icontains(q, autoescape=True)
    live = select(Endpoint.id, Endpoint.name).where(Endpoint.is_live_in(g.workspace.id), matches)
    found = live.order_by(Endpoint.name, Endpoint.id)
    for row in db.session.execute(found.limit(MOST_OF_A_KIND)):
        yield Found("Endpoint", row.name, url_for("endpoints.show", endpoint_id=row.id))


def _event_types(q: str) -> Iterator[Found]:
    names = [name for name in sorted(services().catalog.names) if fold(q) in name]
    for name in names[:MOST_OF_A_KIND]:
        yield Found("Event type", name, url_for("deliveries.index", event_type=name))


def _pages(q: str) -> Iterator[Found]:
    links = [(link.label, link.view) for group in navigation.NAVIGATION for link in group.links]
    if g.member.role is Role.ADMIN:
        links += [("Add endpoint", "endpoints.new"), ("New recovery", "recoveries.new")]
    links.append(("Your profile", "profile.show"))
    for label, view in links:
        if fold(q) in fold(label):
            yield Found("Page", label, url_for(view))
