"""What an admin can set of an endpoint, and how its rows hold that."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET, UnsetType
from sqlalchemy import insert

from webhooks_app.core.encryption import Cipher
from webhooks_app.db.models import Subscription
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints.custom_headers import GivenHeader

DEFAULT_TIMEOUT_MS = 5_000  # the published promise: respond within 5 seconds

LONGEST_TIMEOUT_MS = 30_000
HIGHEST_RATE = 10_000  # requests a second


@dataclass(slots=True, frozen=True)
class EndpointValues:
    """What an admin can set; `event_types` counts only without `all_events`.

    A header without a value keeps the stored one, but only on the same server. `managed_by` stays as it is
    where it is unset; None means that nothing manages it any more.
    """

    name: str
    url: str
    all_events: bool
    event_types: Sequence[str]
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    rate_per_second: int | None = None
    headers: Sequence[GivenHeader] = ()
    managed_by: str | UnsetType | None = UNSET

    @property
    def subscribed(self) -> list[str]:
        """The event types that it is to be subscribed to by name, in their order."""
        types: Iterable[str] = () if self.all_events else set(self.event_types)
        return sorted(types)


@dataclass(slots=True, frozen=True)
class DesiredState:
    """Whether an endpoint is to be disabled; None leaves that as it is.

    `send_held` says what becomes of the deliveries that were held, where enabling it finds any.
    """

    is_disabled: bool | None = None
    send_held: bool | None = None


def columns(
    endpoint_id: str,
    values: EndpointValues,
    headers: Sequence[tuple[str, str]],
    cipher: Cipher,
    now: datetime,
) -> dict[str, object]:
    """Return the values as columns of `endpoints`; `headers` are those of the values, completed."""
    written = json.dumps([list(header) for header in headers]) if headers else None
    return {
        "name": values.name,
        "url": values.url,
        "all_events": values.all_events,
        "timeout_ms": values.timeout_ms,
        "rate_per_second": values.rate_per_second,
        "headers_encrypted": cipher.encrypt(endpoint_id, written) if written else None,
        "updated_at": now,
        **({} if values.managed_by is UNSET else {"managed_by": values.managed_by}),
    }


def subscribe(connection: WriteConnection, endpoint_id: str, values: EndpointValues) -> None:
    rows = [{"endpoint_id": endpoint_id, "event_type": event_type} for event_type in values.subscribed]
    if rows:
        connection.execute(insert(Subscription), rows)
