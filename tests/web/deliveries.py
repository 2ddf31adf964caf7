"""What the tests of the deliveries' pages share."""

from typing import Any

from sqlalchemy import select

from webhooks_app.db.models import Delivery, DeliveryState
from webhooks_app.extensions import db

MARKUP = '<script>alert(1)</script><b hx-get="/evil" hx-trigger="load">\u202e'


def newest() -> Delivery:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(Delivery).order_by(Delivery.id.desc()).limit(1)).one()


def state(delivery_id: str) -> DeliveryState:
    db.session.rollback()
    return db.session.scalars(select(Delivery.state).where(Delivery.id == delivery_id)).one()


def writes(delivery_id: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"deliveries/{delivery_id}/replay", {}),
        (f"deliveries/{delivery_id}/cancel", {}),
        (f"deliveries/{delivery_id}/erase", {"cancel": "y"}),
        ("deliveries/replay", {"delivery": delivery_id}),
    ]
