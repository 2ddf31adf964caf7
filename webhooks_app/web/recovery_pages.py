"""Recovery: many deliveries replayed at once. Chosen, counted, started, watched, canceled."""

from collections.abc import Mapping
from dataclasses import replace

from flask import flash, g, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from webhooks_app.core import clock
from webhooks_app.db.models import Endpoint, Recovery
from webhooks_app.deliveries import log, recoveries
from webhooks_app.deliveries.log import FilterError, LogFilter, MatchCount, Status
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import db, services
from webhooks_app.web.access import (
    WEBHOOKS,
    actor,
    admin_required,
    check_endpoint,
    load_owned,
    workspace_blueprint,
)
from webhooks_app.web.delivery_log_page import endpoint_choices, log_address
from webhooks_app.web.layout import is_fragment

blueprint = workspace_blueprint("recoveries", __name__, WEBHOOKS + "/recoveries")

Page = Response | str | tuple[str, int]
NEWEST = 50
FIRST_CHOICE = LogFilter(status=Status.FAILED, range="24h")


@blueprint.get("/")
def index() -> str:
    found = db.session.scalars(
        select(Recovery)
        .where(Recovery.workspace_id == g.workspace.id)
        .order_by(Recovery.id.desc())
        .limit(NEWEST)
    ).all()
    return render_template("recoveries/index.html", recoveries=found, names=dict(endpoint_choices()))


@blueprint.get("/new")
@admin_required
def new() -> Page:
    """The choice and what it comes to; the filter lives in the URL, as that of the log does."""
    try:
        wanted = _wanted(request.args)
        counted = recoveries.preview(db.session(), g.workspace.id, wanted, now=clock.now())
    except FilterError as error:
        return _choice(FIRST_CHOICE, None, error), 422
    return _choice(wanted, counted)


@blueprint.post("/")
@admin_required
def start() -> Page:
    try:
        wanted = _wanted(request.form)
        recovery_id = recoveries.start(
            services().databases, services().wake_ups, g.workspace.id, wanted, actor=actor()
        )
    except FilterError as error:
        return _choice(FIRST_CHOICE, None, error), 422
    except recoveries.AlreadyRunning:
        flash("A recovery is running already. Wait for its end, or cancel it.", "danger")
        return redirect(url_for("recoveries.index"), 303)
    except recoveries.NothingToRecover:
        flash("No delivery matches any more, so nothing was started.", "info")
        return redirect(url_for("recoveries.new"), 303)
    flash("Recovery started.", "success")
    return redirect(url_for("recoveries.show", recovery_id=recovery_id), 303)


@blueprint.get("/<recovery_id>")
def show(recovery_id: str) -> Page:
    recovery = load_owned(Recovery, recovery_id)
    return render_template(
        "recoveries/_progress.html" if is_fragment() else "recoveries/show.html",
        recovery=recovery,
        progress=recoveries.progress(recovery),
        names=dict(endpoint_choices(recovery.filter.get("endpoint", ""))),
    )


@blueprint.post("/<recovery_id>/cancel")
@admin_required
def cancel(recovery_id: str) -> Page:
    recovery = load_owned(Recovery, recovery_id)
    if recoveries.cancel(services().write, recovery, actor=actor()):
        flash("Recovery canceled. What it had replayed by then is sent.", "success")
    else:
        flash("That recovery had ended already.", "info")
    return redirect(url_for("recoveries.show", recovery_id=recovery_id), 303)


@blueprint.app_template_global()
def recovery_filter(recovery: Recovery, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """What it looks for, in words: label and value."""
    wanted = log.parse(recovery.filter)
    found = [("Status", log.STATUSES[wanted.status] if wanted.status else "Any")]
    if wanted.endpoint:
        found.append(("Endpoint", names.get(wanted.endpoint, wanted.endpoint)))
    if wanted.event_type:
        found.append(("Event type", wanted.event_type))
    if wanted.response:
        found.append(("Response", log.RESPONSES[wanted.response]))
    return found


@blueprint.app_template_global()
def recovery_log(recovery: Recovery, status: str = "") -> str:
    """The log of the deliveries it looked at, by what became of them."""
    wanted = replace(log.parse(recovery.filter), status=Status(status) if status else None, response="")
    return log_address(wanted.arguments)


def _wanted(arguments: Mapping[str, str]) -> LogFilter:
    wanted = log.parse(arguments)
    if wanted.endpoint:
        check_endpoint(wanted.endpoint)
    if "status" not in arguments:
        wanted = replace(wanted, status=FIRST_CHOICE.status)
    if not arguments:
        wanted = FIRST_CHOICE
    return wanted


def _is_failing(endpoint_id: str) -> bool:
    endpoint = db.session.get(Endpoint, endpoint_id) if endpoint_id else None
    return endpoint is not None and endpoint.health_state == "failing"


def _choice(wanted: LogFilter, counted: MatchCount | None, error: FilterError | None = None) -> str:
    return render_template(
        "recoveries/_preview.html" if is_fragment() else "recoveries/new.html",
        wanted=wanted,
        arguments=wanted.arguments,
        counted=counted,
        error=error,
        still_failing=_is_failing(wanted.endpoint),
        endpoints=endpoint_choices(wanted.endpoint),
        groups=catalog().groups,
        ranges=log.RANGES,
        responses={key: label for key, label in log.RESPONSES.items() if key != "2xx"},
        statuses={status: log.STATUSES[status] for status in recoveries.STATUSES},
    )
