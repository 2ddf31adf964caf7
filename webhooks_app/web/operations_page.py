"""The operators' page: what is wrong with the platform, what waits, and every process of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, render_template
from flask_login import current_user
from sqlalchemy import select

from webhooks_app.core import clock
from webhooks_app.db.models import Endpoint, Workspace
from webhooks_app.endpoints.attempt_stats import CHART_HEIGHT, CHART_WIDTH
from webhooks_app.extensions import db, services
from webhooks_app.monitoring import backlog, lost_processes
from webhooks_app.monitoring.backlog import Sample
from webhooks_app.monitoring.facts import Facts
from webhooks_app.monitoring.own_report import KINDS
from webhooks_app.monitoring.problem_codes import Severity
from webhooks_app.monitoring.process_problems import HANGS_AFTER_SECONDS
from webhooks_app.monitoring.reports import Process
from webhooks_app.web import platform_health
from webhooks_app.web.responses import PageResponse, is_fragment

# Processes that ended of their own accord are of interest for a while only.
_SHOWN_AFTER_END = timedelta(minutes=10)


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(show)


def is_operator() -> bool:
    """Return whether whoever is logged in is one of WEBHOOKS_OPERATORS."""
    return current_user.is_authenticated and current_user.email in services().settings.operators


@dataclass(frozen=True, slots=True)
class ProcessRow:
    process: Process
    status: str


@dataclass(frozen=True, slots=True)
class BusyEndpoint:
    """One of the endpoints that have most due, or most requests under way."""

    id: str
    name: str
    workspace: str
    due: int
    in_flight: int


def show() -> PageResponse:
    """Answer 404 to everybody else: the page names hosts, and endpoints of all workspaces."""
    if not is_operator():
        abort(404)
    health = platform_health.read(services())
    known = health.facts
    values: dict[str, Any] = {
        "health": health,
        "failing": [each for each in health.problems if each.severity is Severity.FAILING],
        "facts": known,
        "sample": known.samples[-1] if known and known.samples else None,
        "slope": backlog.slope_per_minute(known.samples) if known else None,
        "line": _line(known.samples) if known else "",
        "peak": max((each.due for each in known.samples), default=0) if known else 0,
        "processes": _process_rows(known) if known else [],
        "endpoints": _endpoint_rows(known) if known else [],
        "now": clock.now(),
    }
    name = "operations/_state.html" if is_fragment() else "operations/index.html"
    return render_template(name, **values)


def _line(samples: Sequence[Sample]) -> str:
    """Return the path of what was due over the last hour, as SVG has it. Pure."""
    if not samples:
        return ""
    peak, end = max(each.due for each in samples) or 1, samples[-1].at
    xs = [CHART_WIDTH * (1 - (end - each.at) / backlog.KEPT_FOR) for each in samples]
    ys = [(CHART_HEIGHT - 1) * (1 - each.due / peak) + 0.5 for each in samples]
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))


def _process_rows(known: Facts) -> list[ProcessRow]:
    lost = lost_processes.find(known.reports)
    rows = [ProcessRow(each, _status(each, known, lost)) for each in known.reports.processes]
    shown = [each for each in rows if each.status and not _is_past(each.process, known)]
    return sorted(shown, key=lambda each: (KINDS.index(each.process.kind), each.process.name))


def _is_past(process: Process, known: Facts) -> bool:
    return process.ended_at is not None and known.now - process.ended_at > _SHOWN_AFTER_END


def _status(process: Process, known: Facts, lost: list[Process]) -> str:
    """Return the word for a process; none for one that was replaced."""
    if process.ended_at is not None:
        return "ended"
    if process.is_alive(known.now):
        hangs = process.state.get("silent_seconds", 0.0) > HANGS_AFTER_SECONDS
        return "hangs" if hangs else "working"
    return "silent" if process in lost else ""


def _endpoint_rows(known: Facts) -> list[BusyEndpoint]:
    due: dict[str, int] = {}
    if known.samples:
        due = {str(name): int(str(count)) for name, count in known.samples[-1].endpoints}
    in_flight = dict(known.reports.in_flight_by_endpoint())
    named = (
        select(Endpoint.id, Endpoint.name, Workspace.name.label("workspace"))
        .join(Workspace, Workspace.id == Endpoint.workspace_id)
        .where(Endpoint.id.in_(due.keys() | in_flight.keys()))
    )
    rows = [
        BusyEndpoint(row.id, row.name, row.workspace, due.get(row.id, 0), in_flight.get(row.id, 0))
        for row in db.session.execute(named).all()
    ]
    return sorted(rows, key=lambda each: (-each.due, -each.in_flight, each.id))
