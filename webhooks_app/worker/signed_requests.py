"""The signed request of a claimed delivery; loads what it needs per batch."""

import json
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from webhooks_app.core import signing
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.models import Event
from webhooks_app.endpoints.destinations import Destination, read
from webhooks_app.transport.request import Request
from webhooks_app.worker.claims import Claim

# Without the last two, libcurl would send `Accept: */*`, and wait for a 100 before larger bodies.
_LINES = ("content-type: application/json", "Accept:", "Expect:")

# JSON put together by hand, as its encoder took a twentieth of a drain; nothing that goes in needs escaping.
_LOGGED = (
    '[["content-type","application/json"],'
    f'["{signing.ID_HEADER}","%s"],["{signing.TIMESTAMP_HEADER}","%d"],["{signing.SIGNATURE_HEADER}","%s"]%s]'
)

_BODIES = select(Event.id, Event.body).where(Event.id.in_(bindparam("ids", expanding=True)))


def bodies(connection: Connection, event_ids: Iterable[str]) -> dict[str, bytes]:
    """The bytes to send, by event: one copy however many endpoints an event goes to."""
    rows = connection.execute(_BODIES, {"ids": list(set(event_ids))}).all()
    return {event_id: bytes(body) for event_id, body in rows}


def preview(
    connection: Connection, cipher: Cipher, endpoint_id: str, *, delivery_id: str, body: bytes, now: datetime
) -> list[tuple[str, str]]:
    """The headers that a delivery of these bytes would carry now, custom values masked."""
    _, destination = read(connection, [endpoint_id], cipher)[endpoint_id]
    claim = Claim(delivery_id, endpoint_id, event_id="", generation=0, tries=0, lapses=0)
    _, headers = sign(claim, destination, destination.keys_at(now), body, now=now)
    return [(name, value) for name, value in json.loads(headers)]


def sign(
    claim: Claim, destination: Destination, keys: list[bytes], body: bytes, *, now: datetime
) -> tuple[Request, str]:
    """The request, and its headers as the log keeps them: JSON, custom values masked."""
    timestamp = int(now.timestamp())
    signature = signing.signature(keys, message_id=claim.delivery_id, timestamp=timestamp, body=body)
    own = (
        f"{signing.ID_HEADER}: {claim.delivery_id}",
        f"{signing.TIMESTAMP_HEADER}: {timestamp}",
        f"{signing.SIGNATURE_HEADER}: {signature}",
    )
    request = Request(
        destination.url, [*_LINES, *own, *destination.header_lines], body, destination.timeout_ms
    )
    return request, _LOGGED % (claim.delivery_id, timestamp, signature, destination.logged_headers)
