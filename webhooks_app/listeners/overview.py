"""The listeners of a workspace as its members see them. Only reads."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from webhooks_app.db.models import ApiToken, Endpoint, Listener, Subscription


class ListenerRow(NamedTuple):
    """A listener that is there now; it ends at `ends_at` unless its program asks again."""

    endpoint_id: str
    name: str
    token_name: str
    forward_to: str
    all_events: bool
    event_count: int
    started_at: datetime
    ends_at: datetime


def read_live(session: Session, workspace_id: str) -> list[ListenerRow]:
    """Return the workspace's listeners, by name."""
    rows = session.execute(_select().where(Endpoint.is_live_in(workspace_id)).order_by(Listener.name))
    return [ListenerRow(*row) for row in rows]


def read(session: Session, endpoint_id: str) -> ListenerRow | None:
    """Return what is known of a listener, ended or not; None for any other endpoint."""
    row = session.execute(_select().where(Endpoint.id == endpoint_id)).first()
    return ListenerRow(*row) if row else None


def _select() -> Select[str, str, str, str, bool, int, datetime, datetime]:
    count = select(func.count()).where(Subscription.endpoint_id == Endpoint.id)
    return (
        select(
            Endpoint.id,
            Listener.name,
            ApiToken.name,
            Listener.forward_to,
            Endpoint.all_events,
            count.correlate(Endpoint).scalar_subquery(),
            Listener.started_at,
            Listener.ends_at,
        )
        .join(Listener, Listener.endpoint_id == Endpoint.id)
        .join(ApiToken, ApiToken.id == Listener.token_id)
    )
