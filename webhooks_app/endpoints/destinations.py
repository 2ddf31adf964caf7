"""Endpoints as a worker needs them: where to send, what to sign with, and whether they accept deliveries."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, bindparam, select

from webhooks_app.core import signing, url_masking
from webhooks_app.core.encryption import Cipher, DecryptionError
from webhooks_app.db.models import DeliveryState, Endpoint, EndpointState, SigningSecret
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import custom_headers

log = logging.getLogger(__name__)

USER_AGENT = "Avra-Webhooks/1.0"

# Put together once: that takes longer than running them.
_CHANGED_AT = select(Endpoint.id, Endpoint.updated_at).where(Endpoint.id.in_(bindparam("ids")))

as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True, frozen=True)
class Destination:
    """Where an endpoint's deliveries go, and what each request carries.

    `keys` holds each signing key with the moment it expires. `header_lines` are those that every request to
    it carries; `logged_headers` the same as JSON for the log, custom values masked, behind where it goes
    to, which HTTP/2 has among its headers (RFC 9113, section 8.3.1). `not_accepting` is the state that its
    deliveries get while no worker may send them: held while disabled, canceled once deleted; those of a
    listener stay pending.
    """

    url: str
    timeout_ms: int
    keys: tuple[tuple[bytes, datetime | None], ...]
    header_lines: tuple[str, ...]
    logged_headers: str
    not_accepting: DeliveryState | None

    def keys_at(self, now: datetime) -> list[bytes]:
        return [key for key, expires_at in self.keys if expires_at is None or expires_at > now]


class Destinations:
    """Cache of the endpoints that this process delivers to; each is loaded anew once it was changed."""

    def __init__(self, cipher: Cipher, *, cache_size: int) -> None:
        self._cipher = cipher
        self._cache_size = cache_size
        self._known: dict[str, tuple[datetime, Destination]] = {}

    def load(self, connection: Connection, endpoint_ids: Iterable[str]) -> dict[str, Destination]:
        """Return the endpoints as they stand, by id."""
        changed_at = connection.execute(_CHANGED_AT, {"ids": list(set(endpoint_ids))}).all()
        if len(self._known) > self._cache_size:
            self._known.clear()
        stale = [name for name, moment in changed_at if self._cached_change(name) != moment]
        if stale:
            self._known |= read(connection, stale, self._cipher)
        return {name: self._known[name][1] for name, _ in changed_at}

    def known(self, endpoint_id: str, changed_at: datetime) -> Destination | None:
        """Return the endpoint as it stood at its last change, then, if it was loaded since."""
        known = self._known.get(endpoint_id)
        return known[1] if known is not None and known[0] == changed_at else None

    def _cached_change(self, endpoint_id: str) -> datetime | None:
        known = self._known.get(endpoint_id)
        return known[0] if known else None


def read(
    connection: Connection, endpoint_ids: list[str], cipher: Cipher
) -> dict[str, tuple[datetime, Destination]]:
    """Return each endpoint's moment of change and its destination, by id."""
    rows = connection.execute(
        select(
            Endpoint.id,
            Endpoint.url,
            Endpoint.timeout_ms,
            Endpoint.headers_encrypted,
            Endpoint.state,
            Endpoint.updated_at,
            Endpoint.deleted_at,
            Endpoint.is_listener,
        ).where(Endpoint.id.in_(endpoint_ids))
    ).all()
    # After the rows with their moments of change: keys rotated in between are then loaded again, not never.
    keys = _keys(connection, endpoint_ids, cipher)
    return {row.id: (row.updated_at, _destination(row, tuple(keys[row.id]), cipher)) for row in rows}


def _destination(row: Any, keys: tuple[tuple[bytes, datetime | None], ...], cipher: Cipher) -> Destination:
    headers: list[tuple[str, str]] = []
    try:
        headers = _allowed(row.id, custom_headers.decrypt(cipher, row))
    except DecryptionError:
        log.error("headers_unreadable", extra={"endpoint_id": row.id})
        keys = ()  # sends nothing, as without a secret
    not_accepting = _state_while_not_accepting(row.state, row.deleted_at)
    if not_accepting is None and row.is_listener:
        not_accepting = DeliveryState.PENDING
    lines = tuple(f"{name}: {value}" for name, value in headers)
    masked = "".join("," + as_json(header) for header in custom_headers.mask_values(headers))
    target = "".join("," + as_json(header) for header in logged_target(row.url))
    if all(name.lower() != "user-agent" for name, _ in headers):
        lines = (f"user-agent: {USER_AGENT}", *lines)
        masked = "," + as_json(["user-agent", USER_AGENT]) + masked
    return Destination(row.url, row.timeout_ms, keys, lines, target + masked, not_accepting)


def logged_target(url: str) -> list[tuple[str, str]]:
    """Return where a request goes to, as the log has it beside the headers."""
    parts = urlsplit(url_masking.mask_url(url))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return [(":method", "POST"), (":scheme", parts.scheme), (":authority", parts.netloc), (":path", path)]


def _allowed(endpoint_id: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers without those that were saved before their names became reserved."""
    reserved = [name for name, _ in headers if custom_headers.is_reserved(name)]
    if reserved:
        log.warning("reserved_headers_not_sent", extra={"endpoint_id": endpoint_id, "headers": reserved})
    return [(name, value) for name, value in headers if name not in reserved]


def _state_while_not_accepting(state: EndpointState, deleted_at: datetime | None) -> DeliveryState | None:
    if deleted_at is not None:
        return DeliveryState.CANCELED
    return None if state is EndpointState.ENABLED else DeliveryState.HELD


def not_accepting(connection: WriteConnection, endpoint_ids: Iterable[str]) -> dict[str, DeliveryState]:
    """Return those of the endpoints that accept no deliveries, with the state that theirs get.

    Locks them until the caller commits: an admin who enables one waits, and then sees what was held for it.
    """
    rows = connection.execute(
        select(Endpoint.id, Endpoint.state, Endpoint.deleted_at)
        .where(Endpoint.id.in_(set(endpoint_ids)))
        .order_by(Endpoint.id)
        .with_for_update(read=True)
    )
    found = {row.id: _state_while_not_accepting(row.state, row.deleted_at) for row in rows}
    return {name: state for name, state in found.items() if state is not None}


def _keys(
    connection: Connection, endpoint_ids: list[str], cipher: Cipher
) -> dict[str, list[tuple[bytes, datetime | None]]]:
    rows = connection.execute(
        select(SigningSecret.endpoint_id, SigningSecret.ciphertext, SigningSecret.expires_at)
        .where(SigningSecret.endpoint_id.in_(endpoint_ids))
        .order_by(SigningSecret.created_at.desc(), SigningSecret.id.desc())
    )
    keys: dict[str, list[tuple[bytes, datetime | None]]] = defaultdict(list)
    for endpoint_id, ciphertext, expires_at in rows:
        try:
            keys[endpoint_id].append((signing.key_of(cipher.decrypt(endpoint_id, ciphertext)), expires_at))
        except DecryptionError:
            log.error("secret_unreadable", extra={"endpoint_id": endpoint_id})
    return keys
