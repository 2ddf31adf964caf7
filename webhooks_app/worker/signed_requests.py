"""The signed request of a claimed delivery, and the bodies of a batch."""

import json
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from webhooks_app.core import signing
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import event_bodies
from webhooks_app.db.models import Event
from webhooks_app.endpoints.destinations import Destination, read
from webhooks_app.transport.request import Request

# Without the last two, libcurl would send `Accept: */*`, and wait for a 100 before larger bodies.
_LINES = ("content-type: application/json", "Accept:", "Expect:")

# JSON by formatting, as the encoder took a twentieth of a backlog's time; no value in it needs escaping.
_LOGGED = (
    '[["content-type","application/json"],'
    f'["{signing.ID_HEADER}","%s"],["{signing.TIMESTAMP_HEADER}","%d"],["{signing.SIGNATURE_HEADER}","%s"]%s]'
)

_BODIES = select(Event.id, Event.body).where(Event.id.in_(bindparam("ids")))


def bodies(connection: Connection, event_ids: Collection[str]) -> dict[str, bytes]:
    """Return the bytes to send, by event id: one copy however many endpoints an event goes to.

    One that is damaged is `event_bodies.Unreadable`, and is not to be sent.
    """
    if not event_ids:
        return {}
    rows = connection.execute(_BODIES, {"ids": list(set(event_ids))}).all()
    return {row.id: event_bodies.of_event(row.id, row.body) for row in rows}


def preview(
    connection: Connection, cipher: Cipher, endpoint_id: str, *, delivery_id: str, body: bytes, now: datetime
) -> list[tuple[str, str]]:
    """Return the headers that a delivery of these bytes would carry now, custom values masked."""
    _, destination = read(connection, [endpoint_id], cipher)[endpoint_id]
    _, headers = sign(delivery_id, destination, destination.keys_at(now), body, now=now)
    return [(name, value) for name, value in json.loads(headers) if not name.startswith(":")]


def sign(
    delivery_id: str, destination: Destination, keys: list[bytes], body: bytes, *, now: datetime
) -> tuple[Request, str]:
    """Return the request, and its headers as the log keeps them: JSON, custom values masked.

    The signature is that of Standard Webhooks 1.0.0, one for each of `keys`.
    """
    timestamp = int(now.timestamp())
    signature = signing.signature(keys, message_id=delivery_id, timestamp=timestamp, body=body)
    own = (
        f"{signing.ID_HEADER}: {delivery_id}",
        f"{signing.TIMESTAMP_HEADER}: {timestamp}",
        f"{signing.SIGNATURE_HEADER}: {signature}",
    )
    request = Request(
        destination.url, [*_LINES, *own, *destination.header_lines], body, destination.timeout_ms
    )
    return request, _LOGGED % (delivery_id, timestamp, signature, destination.logged_headers)
