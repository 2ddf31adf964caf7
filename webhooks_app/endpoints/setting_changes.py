"""What a change of an endpoint's settings changes, for the audit log and for whoever looks for a cause."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, select

from webhooks_app.core import url_masking
from webhooks_app.db.models import Endpoint, Subscription
from webhooks_app.endpoints.endpoint_values import EndpointValues

_WORDS = {"url": "URL", "name": "name", "timeout_ms": "time-out", "rate_per_second": "rate limit"}


def stored(endpoint_id: str) -> Select[Any]:
    """Return the query of an endpoint's settings as they are."""
    names = ("id", "all_events", "headers_encrypted", "managed_by", *_WORDS)
    return select(*(getattr(Endpoint, name) for name in names)).where(Endpoint.id == endpoint_id)


def describe(
    connection: Connection, before: Any, after: Mapping[str, object], values: EndpointValues
) -> dict[str, Any]:
    """Return the details of an audit row: masked URLs, and the names of what changed.

    `before` is a row of `stored`, `after` the columns to be written; call it before they are.
    """
    changed = [word for name, word in _WORDS.items() if getattr(before, name) != after[name]]
    chosen = select(Subscription.event_type).where(Subscription.endpoint_id == before.id)
    if (before.all_events, set(connection.scalars(chosen))) != (values.all_events, set(values.subscribed)):
        changed.append("events")
    is_given = any(value is not None for _, value in values.headers)
    if is_given or (before.headers_encrypted is None) != (after["headers_encrypted"] is None):
        changed.append("custom headers")
    details: dict[str, Any] = {"url": url_masking.mask_url(values.url), "changed": changed}
    if "URL" in changed:
        details["url_before"] = url_masking.mask_url(before.url)
    return details | _management(before.managed_by, after.get("managed_by", before.managed_by))


def _management(before: object, after: object) -> dict[str, Any]:
    """Return what the audit row says of whatever manages the endpoint, before and after the change."""
    if before != after:
        return {"managed_by": after, "managed_by_before": before}
    return {"managed_by": after} if after else {}
