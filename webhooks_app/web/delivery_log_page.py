"""The delivery log, of a workspace or among an endpoint's tabs: pages by filter, rows that open in place."""

from dataclasses import replace
from functools import partial
from typing import Any

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for

from webhooks_app.core import clock, ids
from webhooks_app.db.models import Endpoint, RecoveryAction, Role
from webhooks_app.deliveries import recoveries
from webhooks_app.deliveries.log import delivery_list, filters, saved_filters
from webhooks_app.deliveries.log.delivery_list import LogPage
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter, Status, parse_cursor
from webhooks_app.extensions import db, services
from webhooks_app.web import incident_cards, search_progress
from webhooks_app.web.access import check_endpoint, load_endpoint
from webhooks_app.web.delivery_log_updates import failing_variables
from webhooks_app.web.delivery_rows import load_row, render_row, row_previews
from webhooks_app.web.endpoint_choice import first_endpoints, with_endpoint_id
from webhooks_app.web.responses import PageResponse, is_fragment
from webhooks_app.web.sample_commands import sample_event
from webhooks_app.web.template_links import endpoint_log_address


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.get("/<delivery_id>/row")(row)


def add_endpoint_routes(blueprint: Blueprint) -> None:
    blueprint.get("/endpoints/<endpoint_id>/deliveries")(deliveries)


def index() -> PageResponse:
    return _show_log()


def deliveries(endpoint_id: str) -> PageResponse:
    """Show the log of one endpoint, among its tabs."""
    return _show_log(load_endpoint(endpoint_id))


def row(delivery_id: str) -> PageResponse:
    """Show the row, open or closed."""
    delivery = load_row(delivery_id)
    if not is_fragment():
        return redirect(url_for("deliveries.show", delivery_id=delivery_id))
    return render_row(delivery)


def _show_log(endpoint: Endpoint | None = None) -> PageResponse:
    try:
        log_filter = _within(endpoint, filters.parse(with_endpoint_id(request.args)))
        before, after = parse_cursor(request.args)
    except FilterError as error:
        return _render_log(_within(endpoint, LogFilter()), LogPage([]), endpoint, error=error), 400
    if log_filter.endpoint:
        check_endpoint(log_filter.endpoint)
    now = clock.now()
    if is_fragment() and "found" in request.args:
        return search_progress.render_further(log_filter, endpoint, before=before, now=now)
    page = delivery_list.read_page(
        db.session(),
        g.workspace.id,
        log_filter,
        now=now,
        before=before,
        after=after,
        limits=services().search_limits,
    )
    response = make_response(_render_log(log_filter, page, endpoint))
    if request.headers.get("HX-Source") == "form#filters":
        # Without the form's empty fields.
        response.headers["HX-Push-Url"] = endpoint_log_address(log_filter, endpoint)
    return response


def _within(endpoint: Endpoint | None, log_filter: LogFilter) -> LogFilter:
    return replace(log_filter, endpoint=endpoint.id) if endpoint else log_filter


def _render_log(
    log_filter: LogFilter, page: LogPage, endpoint: Endpoint | None, *, error: FilterError | None = None
) -> str:
    is_unfiltered = log_filter == _within(endpoint, LogFilter()) and error is None
    is_empty = not page.rows and not page.searched_to and is_unfiltered
    whole = "endpoints/deliveries.html" if endpoint else "deliveries/index.html"
    return render_template(
        "deliveries/_log.html" if is_fragment() else whole,
        endpoint=endpoint,
        page_url=partial(endpoint_log_address, log_filter, endpoint),
        unfiltered_url=endpoint_log_address(LogFilter(), endpoint),
        log_filter=log_filter,
        page=page,
        previews=row_previews(page.rows),
        error=error,
        groups=services().catalog.groups,
        ranges=filters.RANGES,
        responses=filters.RESPONSES,
        statuses=filters.STATUSES,
        newest=page.rows[0].id if page.rows else ids.floor("dlv", clock.now()),
        is_empty=is_empty,
        progress=search_progress.of_page(log_filter, page) if page.searched_to else None,
        bulk_actions=_bulk_actions(log_filter) if page.rows else (),
        arguments=log_filter.arguments,
        saved=saved_filters.read_all(db.session(), g.workspace.id),
        sample=sample_event() if is_empty else "",
        **({} if is_fragment() else _endpoint_variables(log_filter)),
    )


def _bulk_actions(log_filter: LogFilter) -> tuple[RecoveryAction, ...]:
    """Return what can be done with everything that the filter finds; nothing without one, or for viewers."""
    if g.member.role is not Role.ADMIN or log_filter == LogFilter():
        return ()
    if log_filter.status in (Status.PENDING, Status.RETRYING):
        return RecoveryAction.SEND, RecoveryAction.CANCEL  # to replay what waits is to send it now
    if log_filter.status is Status.UNDELIVERED:
        return RecoveryAction.REPLAY, RecoveryAction.CANCEL
    return tuple(each for each in RecoveryAction if recoveries.applies(each, log_filter))


def _endpoint_variables(log_filter: LogFilter) -> dict[str, Any]:
    """Return what stands on top of a whole page: its endpoint's incident, or what fails of all of them."""
    if not log_filter.endpoint:
        return failing_variables() | {"endpoints": first_endpoints(2)}
    endpoint = db.session.get_one(Endpoint, log_filter.endpoint)
    return {"card": None if endpoint.deleted_at else incident_cards.load(endpoint)}
