"""Recovery: many deliveries replayed at once. Chosen, counted, started, watched, canceled."""

from collections.abc import Mapping
from dataclasses import replace

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import select

from webhooks_app.core import clock
from webhooks_app.db.keyset import MatchCount
from webhooks_app.db.models import Endpoint, Recovery
from webhooks_app.deliveries import recoveries, recovery_progress
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filters import FilterError, LogFilter, Status
from webhooks_app.endpoints import health
from webhooks_app.endpoints.health import HealthState
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import db, services
from webhooks_app.web.access import (
    actor,
    admin_required,
    check_endpoint,
    load_owned,
)
from webhooks_app.web.log_filters import endpoint_choices
from webhooks_app.web.responses import PageResponse, is_fragment

NEWEST = 50
FIRST_CHOICE = LogFilter(status=Status.FAILED, range="24h")


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.get("/new")(new)
    blueprint.post("/")(start)
    blueprint.get("/<recovery_id>")(show)
    blueprint.post("/<recovery_id>/cancel")(cancel)


def index() -> PageResponse:
    newest = db.session.scalars(
        select(Recovery)
        .where(Recovery.workspace_id == g.workspace.id)
        .order_by(Recovery.id.desc())
        .limit(NEWEST)
    ).all()
    return render_template(
        "recoveries/index.html", recoveries=newest, endpoint_names=dict(endpoint_choices())
    )


@admin_required
def new() -> PageResponse:
    """Show the choice and how many deliveries it matches; its filter is in the URL, as that of the log is."""
    try:
        log_filter = _parse_filter(request.args)
        match_count = recoveries.preview(db.session(), g.workspace.id, log_filter, now=clock.now())
    except FilterError as error:
        return _choice_page(FIRST_CHOICE, None, error), 422
    return _choice_page(log_filter, match_count)


@admin_required
def start() -> PageResponse:
    try:
        log_filter = _parse_filter(request.form)
        recovery_id = recoveries.start(
            services().databases, services().wake_ups, g.workspace.id, log_filter, actor=actor()
        )
    except FilterError as error:
        return _choice_page(FIRST_CHOICE, None, error), 422
    except recoveries.AlreadyRunning:
        flash("A recovery is running already. Wait for its end, or cancel it.", "danger")
        return redirect(url_for("recoveries.index"), 303)
    except recoveries.NothingToRecover:
        flash("No delivery matches any more, so nothing was started.", "info")
        return redirect(url_for("recoveries.new"), 303)
    flash("Recovery started.", "success")
    return redirect(url_for("recoveries.show", recovery_id=recovery_id), 303)


def show(recovery_id: str) -> PageResponse:
    recovery = load_owned(Recovery, recovery_id)
    return render_template(
        "recoveries/_progress.html" if is_fragment() else "recoveries/show.html",
        recovery=recovery,
        progress=recovery_progress.progress(recovery),
        endpoint_names=dict(endpoint_choices(recovery.filter.get("endpoint", ""))),
    )


@admin_required
def cancel(recovery_id: str) -> PageResponse:
    recovery = load_owned(Recovery, recovery_id)
    if recoveries.stop(services().write, recovery, actor=actor()):
        flash("Recovery canceled. What it had replayed by then is sent.", "success")
    else:
        flash("That recovery had ended already.", "info")
    return redirect(url_for("recoveries.show", recovery_id=recovery_id), 303)


def _parse_filter(arguments: Mapping[str, str]) -> LogFilter:
    log_filter = filters.parse(arguments)
    if log_filter.endpoint:
        check_endpoint(log_filter.endpoint)
    if "status" not in arguments:
        log_filter = replace(log_filter, status=FIRST_CHOICE.status)
    if not arguments:
        log_filter = FIRST_CHOICE
    return log_filter


def _is_failing(endpoint_id: str) -> bool:
    endpoint = db.session.get(Endpoint, endpoint_id) if endpoint_id else None
    return endpoint is not None and health.read(db.session(), endpoint.id) is HealthState.FAILING


def _choice_page(
    log_filter: LogFilter, match_count: MatchCount | None, error: FilterError | None = None
) -> str:
    return render_template(
        "recoveries/_preview.html" if is_fragment() else "recoveries/new.html",
        log_filter=log_filter,
        arguments=log_filter.arguments,
        match_count=match_count,
        error=error,
        still_failing=_is_failing(log_filter.endpoint),
        endpoints=endpoint_choices(log_filter.endpoint),
        groups=catalog().groups,
        ranges=filters.RANGES,
        responses={key: label for key, label in filters.RESPONSES.items() if key != "2xx"},
        statuses=filters.STATUSES,
    )
