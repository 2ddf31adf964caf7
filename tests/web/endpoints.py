"""What the tests of the endpoints' pages share."""

import json
import re
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update

from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    AttemptRollup,
    AuditEntry,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointHealth,
    Facet,
    TrafficCount,
)
from webhooks_app.extensions import db

URL = "http://127.0.0.1:9009/hooks"


TYPED: dict[str, Any] = {"url": URL, "name": "Orders", "scope": "chosen", "events": ["batch-lifecycle"]}


MARKUP = '<img src=x onerror=alert(1) hx-get="/">'


SECRET_VALUE = "s3cret-header-value"
EXAMPLE = json.dumps({"batch_id": "b1", "status": "succeeded"})


def load(endpoint_id: str) -> Endpoint:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Endpoint, endpoint_id)


def only_endpoint() -> Endpoint:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(Endpoint)).one()


def error_at(text: str, field: str) -> str:
    found = re.search(rf'id="{field}-error">([^<]+)<', text)
    assert found, f"no error at {field}"
    return found[1]


def audited_actions() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def states() -> list[DeliveryState]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(Delivery.state)))


def seed_rollup(database: WriteDatabase, endpoint_id: str, outcome: str, bucket: int, count: int) -> None:
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    with database.begin() as connection:
        connection.execute(
            insert(AttemptRollup).values(
                endpoint_id=endpoint_id, hour_at=hour, outcome=outcome, latency_bucket=bucket, count=count
            )
        )
        failed = 0 if outcome == "success" else count
        connection.execute(
            insert(TrafficCount).values(
                scope_id=endpoint_id,
                facet=Facet.RESPONSE,
                starts_at=hour,
                minutes=60,
                name=outcome,
                count=count,
                failed=failed,
            )
        )


def seed_failure(database: WriteDatabase, endpoint_id: str, outcome: str) -> None:
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            update(EndpointHealth)
            .where(EndpointHealth.endpoint_id == endpoint_id)
            .values(last_failure_at=now, last_failure_outcome=outcome, failing_since=now - timedelta(hours=2))
        )
