"""Health checks: whether the platform works, whether this process can take events, whether it lives."""

from typing import Any

from flask import Blueprint
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from webhooks_app.core import clock
from webhooks_app.db import disk_space
from webhooks_app.extensions import services
from webhooks_app.jobs import alarms
from webhooks_app.jobs.alarms import Liveness

HealthResponse = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/healthz")(show)
    blueprint.get("/healthz/web")(show_web)
    blueprint.get("/livez")(show_life)


def show() -> HealthResponse:
    """Answer monitoring: 503 as soon as anything needs a person."""
    now = clock.now()
    liveness, redis_problem = _read_liveness(), services().wake_ups.redis_problem()
    disk_problem = disk_space.problem(services().settings.database_url)
    problems = [disk_problem] if disk_problem else []
    if redis_problem:
        is_accepting = liveness is not None and not disk_problem
        problems.append(f"{redis_problem}." + (" Events are still accepted." if is_accepting else ""))
    if liveness is None:
        problems.append("The database does not answer.")
    else:
        problems += alarms.messages(liveness, now=now, up_since=services().started_at)
    overdue = liveness.overdue if liveness else None
    swept_at = liveness.swept_at if liveness else None
    return {
        "status": "failing" if problems else "ok",
        "problems": problems,
        "database": liveness is not None,
        "redis": redis_problem is None,
        "overdue_seconds": round(overdue.total_seconds(), 1) if overdue else 0,
        "last_sweep_seconds": round((now - swept_at).total_seconds(), 1) if swept_at else None,
    }, 503 if problems else 200


def show_web() -> HealthResponse:
    """Answer load balancers: 503 only when this process cannot take events, which it can without Redis."""
    try:
        with services().read.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        failing: dict[str, Any] = {"status": "failing", "database": False}
        return failing, 503, {"Retry-After": "1"}
    if disk_space.is_full(services().settings.database_url):
        return {"status": "failing", "database": True, "disk_full": True}, 503, {"Retry-After": "1"}
    return {"status": "ok", "database": True}, 200


def show_life() -> HealthResponse:
    """Answer whoever would restart this process if it hung; that neither needs the database nor Redis."""
    return {"status": "ok"}, 200


def _read_liveness() -> Liveness | None:
    try:
        with services().read.connect() as connection:
            return alarms.read_liveness(connection, clock.now())
    except SQLAlchemyError:
        return None
