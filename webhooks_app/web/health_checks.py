"""For whoever watches the platform: does it work, and can this process take events."""

from typing import Any

from flask import Blueprint, Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from webhooks_app.core import clock
from webhooks_app.extensions import services
from webhooks_app.jobs import alarms
from webhooks_app.jobs.alarms import Liveness

blueprint = Blueprint("health", __name__)

HealthResponse = tuple[dict[str, Any], int]


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/healthz")
def show() -> HealthResponse:
    """For monitoring: 503 as soon as anything needs a person."""
    now = clock.now()
    pulse, has_redis = _read_pulse(), services().wake_ups.is_redis_answering()
    problems = [] if has_redis else ["Redis does not answer. Events are still accepted."]
    if pulse is None:
        problems.append("The database does not answer.")
    else:
        problems += alarms.messages(pulse, now=now, up_since=services().started_at)
    overdue = pulse.overdue if pulse else None
    swept_at = pulse.swept_at if pulse else None
    return {
        "status": "failing" if problems else "ok",
        "problems": problems,
        "database": pulse is not None,
        "redis": has_redis,
        "overdue_seconds": round(overdue.total_seconds(), 1) if overdue else 0,
        "last_sweep_seconds": round((now - swept_at).total_seconds(), 1) if swept_at else None,
    }, 503 if problems else 200


@blueprint.get("/healthz/web")
def show_web() -> HealthResponse:
    """For load balancers: 503 only when this process cannot take events, which it can without Redis."""
    try:
        with services().read.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return {"status": "failing", "database": False}, 503
    return {"status": "ok", "database": True}, 200


def _read_pulse() -> Liveness | None:
    try:
        with services().read.connect() as connection:
            return alarms.read_liveness(connection, clock.now())
    except SQLAlchemyError:
        return None
