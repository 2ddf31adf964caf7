"""Recovery: many deliveries sent, replayed or canceled at once. Counted, started, watched, stopped."""

from collections.abc import Mapping
from dataclasses import replace

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import select

from webhooks_app.core import clock
from webhooks_app.db.keyset import MatchCount
from webhooks_app.db.models import Recovery, RecoveryAction
from webhooks_app.deliveries import recoveries, recovery_progress
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter, Status, TrafficKind
from webhooks_app.endpoints import health
from webhooks_app.endpoints.health import HealthState
from webhooks_app.extensions import db, services
from webhooks_app.web.access import (
    actor,
    admin_required,
    check_endpoint,
    load_owned,
)
from webhooks_app.web.endpoint_choice import endpoint_names, with_endpoint_id
from webhooks_app.web.responses import PageResponse, is_fragment

NEWEST = 50
FIRST_CHOICE = LogFilter(status=Status.UNDELIVERED, traffic=TrafficKind.REAL, range="24h")
ACTIONS = {
    RecoveryAction.REPLAY: "Replay",
    RecoveryAction.SEND: "Send now what waits",
    RecoveryAction.CANCEL: "Cancel what waits",
}
STATUSES = {
    status: label
    for status, label in filters.STATUSES.items()
    if status in recoveries.STATUSES[RecoveryAction.REPLAY]
}
RATES = (1, 5, 10, 25, 50, 100, 250, 500)


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
        "recoveries/index.html",
        recoveries=newest,
        actions=ACTIONS,
        endpoint_names=endpoint_names(each.filter.get("endpoint", "") for each in newest),
    )


@admin_required
def new() -> PageResponse:
    """Show the choice and how many deliveries it matches; its filter is in the URL, as that of the log is."""
    try:
        action, log_filter = _parse_action(request.args), _parse_filter(request.args)
        match_count = recoveries.preview(
            db.session(), g.workspace.id, log_filter, action=action, now=clock.now()
        )
    except FilterError as error:
        return _choice_page(RecoveryAction.REPLAY, FIRST_CHOICE, None, error), 422
    return _choice_page(action, log_filter, match_count)


@admin_required
def start() -> PageResponse:
    try:
        recovery_id = recoveries.start(
            services().databases,
            services().wake_ups,
            g.workspace.id,
            _parse_filter(request.form),
            action=_parse_action(request.form),
            rate_per_second=_parse_rate(request.form),
            actor=actor(),
        )
    except FilterError as error:
        return _choice_page(RecoveryAction.REPLAY, FIRST_CHOICE, None, error), 422
    except recoveries.AlreadyRunning as running:
        return _show_running(running.recovery_id)
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
        actions=ACTIONS,
        progress=recovery_progress.progress(recovery),
        outcomes=recovery_progress.read_outcomes(db.session(), recovery),
        endpoint_names=endpoint_names([recovery.filter.get("endpoint", "")]),
    )


@admin_required
def cancel(recovery_id: str) -> PageResponse:
    recovery = load_owned(Recovery, recovery_id)
    if recoveries.stop(services().write, recovery, actor=actor()):
        flash("Recovery stopped. What it had done by then stays done.", "success")
    else:
        flash("That recovery had ended already.", "info")
    return redirect(url_for("recoveries.show", recovery_id=recovery_id), 303)


def _show_running(recovery_id: str) -> PageResponse:
    """Redirect to the recovery that is in the way: at a second press, the one that the first started."""
    if not recovery_id:
        flash("Another recovery of these deliveries has just ended. Try again.", "info")
        return redirect(url_for("recoveries.index"), 303)
    flash("This recovery is running already. Wait for its end, or stop it.", "danger")
    return redirect(url_for("recoveries.show", recovery_id=recovery_id), 303)


def _parse_action(arguments: Mapping[str, str]) -> RecoveryAction:
    chosen = arguments.get("action") or RecoveryAction.REPLAY
    if chosen not in set(RecoveryAction):
        raise FilterError("action", "Choose what to do with the deliveries.")
    return RecoveryAction(chosen)


def _parse_rate(arguments: Mapping[str, str]) -> int | None:
    text = arguments.get("rate", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise FilterError("rate", "Enter the deliveries a second as a number.")
    return int(text)


def _parse_filter(arguments: Mapping[str, str]) -> LogFilter:
    log_filter = filters.parse(with_endpoint_id(arguments))
    if log_filter.endpoint:
        check_endpoint(log_filter.endpoint)
    if not arguments:
        return FIRST_CHOICE
    if "status" in arguments:
        return log_filter
    return replace(log_filter, status=FIRST_CHOICE.status, traffic=log_filter.traffic or FIRST_CHOICE.traffic)


def _is_failing(endpoint_id: str) -> bool:
    return bool(endpoint_id) and health.read(db.session(), endpoint_id) is HealthState.FAILING


def _choice_page(
    action: RecoveryAction,
    log_filter: LogFilter,
    match_count: MatchCount | None,
    error: FilterError | None = None,
) -> str:
    return render_template(
        "recoveries/_preview.html" if is_fragment() else "recoveries/new.html",
        action=action,
        actions=ACTIONS,
        rates=RATES,
        log_filter=log_filter,
        arguments=log_filter.arguments,
        looked_at=recoveries.narrow(action, log_filter).arguments,
        match_count=match_count,
        error=error,
        still_failing=action != RecoveryAction.CANCEL and _is_failing(log_filter.endpoint),
        groups=services().catalog.groups,
        ranges=filters.RANGES,
        responses=filters.RESPONSES,
        statuses=STATUSES,
    )
