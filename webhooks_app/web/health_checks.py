"""Health checks: whether the platform works, whether this process can take events, whether it lives."""

import hmac
from typing import Any

from flask import Blueprint, Response, abort, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from webhooks_app.core.clock import format_optional
from webhooks_app.db import disk_space
from webhooks_app.extensions import services
from webhooks_app.monitoring.problem_codes import HealthProblem, Severity
from webhooks_app.web import metrics_answer, platform_health
from webhooks_app.web.api.authentication import bearer_token

HealthResponse = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/healthz")(show)
    blueprint.get("/healthz/web")(show_readiness)
    blueprint.get("/livez")(show_liveness)
    blueprint.get("/readyz")(show_readiness)
    blueprint.get("/metrics")(show_metrics)


def show() -> HealthResponse:
    """Answer monitoring: 503 as soon as anything needs a person.

    Anybody may ask, so it names no host and no endpoint.
    """
    health = platform_health.read(services())
    swept_at = health.facts.swept_at if health.facts else None
    return {
        "status": "failing" if health.is_failing else "ok",
        "problems": health.texts(Severity.FAILING),
        "warnings": health.texts(Severity.WARNING),
        "details": [_problem_json(each) for each in health.problems],
        "database": health.facts is not None,
        "redis": health.redis_problem is None,
        "overdue_seconds": round(health.overdue.total_seconds(), 1) if health.overdue else 0,
        "last_sweep_seconds": round((health.at - swept_at).total_seconds(), 1) if swept_at else None,
    }, 503 if health.is_failing else 200


def _problem_json(problem: HealthProblem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.text,
        "since": format_optional(problem.since),
    }


def show_readiness() -> HealthResponse:
    """Answer load balancers: 503 only when this process cannot take events, which it can without Redis."""
    if services().is_ending:
        return {"status": "ending"}, 503, {"Retry-After": "1"}
    try:
        with services().read.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        failing: dict[str, Any] = {"status": "failing", "database": False}
        return failing, 503, {"Retry-After": "1"}
    if disk_space.is_full(services().settings.database_url):
        return {"status": "failing", "database": True, "disk_full": True}, 503, {"Retry-After": "1"}
    return {"status": "ok", "database": True}, 200


def show_liveness() -> HealthResponse:
    """Answer whoever would restart this process if it hung; that neither needs the database nor Redis."""
    return {"status": "ok"}, 200


def show_metrics() -> Response:
    """Answer Prometheus, where WEBHOOKS_METRICS_TOKEN is set and it sends that as its bearer token."""
    expected = services().settings.metrics_token
    if expected is None:
        abort(404)
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is None or not hmac.compare_digest(token.encode(), expected.encode()):
        return Response("Send the token of WEBHOOKS_METRICS_TOKEN.\n", 401, {"WWW-Authenticate": "Bearer"})
    body, content_type = metrics_answer.render(services(), request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)
