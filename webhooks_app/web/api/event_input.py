"""The events of a request to the API: their shape, what the catalog says of them, and idempotency keys."""

from typing import Any

from flask import request

from webhooks_app.core import json_parsing
from webhooks_app.events.catalog import Catalog
from webhooks_app.events.submissions import NewEvent
from webhooks_app.web.api.errors import refuse, unknown_type_sentence

# What the web's server adds to the WSGI environment: the names, in lower case, of headers that came more than
# once, as WSGI joins their values. No client can set a name without HTTP_ before it.
REPEATED_KEY = "webhooks_app.repeated_headers"
LARGEST_EVENT_BYTES = 256 * 1024
LARGEST_BATCH_BYTES = 4 * 1024 * 1024
LARGEST_BATCH = 1000
LONGEST_KEY = 255
KEY_FIELD = "idempotency_key"  # of an event within a batch


def new_event(catalog: Catalog, body: Any, raw: bytes) -> NewEvent:
    """Return the event of a request whose body is `raw`, and `body` when parsed. Raises ApiError."""
    event_type, data = _parse_event(catalog, body, "")
    values = catalog.indexed_values(event_type, data)
    return NewEvent(event_type, data, json_parsing.data_as_sent(raw), values)


def new_events(catalog: Catalog, items: list[Any], raw: bytes) -> list[NewEvent]:
    """Return the events of a batch whose body is `raw`. Raises ApiError."""
    parsed, keys = [], _own_keys(items)
    for position, item in enumerate(items):
        rest = {name: item[name] for name in item if name != KEY_FIELD} if isinstance(item, dict) else item
        parsed.append(_parse_event(catalog, rest, f"events[{position}]."))
    data_as_sent = json_parsing.batch_data_as_sent(raw)
    return [
        NewEvent(event_type, data, raw_data, catalog.indexed_values(event_type, data), key)
        for (event_type, data), raw_data, key in zip(parsed, data_as_sent, keys, strict=True)
    ]


def has_known_type(catalog: Catalog, body: Any) -> bool:
    """Return whether the type of an event is in the catalog, without looking for one that is close."""
    event_type = body.get("type") if isinstance(body, dict) else None
    return isinstance(event_type, str) and event_type in catalog.names


def _parse_event(catalog: Catalog, item: Any, at: str) -> tuple[str, dict[str, Any]]:
    """Return an event's type and data; `at` is where in the body it stands. Raises ApiError."""
    if not isinstance(item, dict):
        refuse(422, "invalid", "An event is an object with type and data.", at.rstrip(".") or None)
    unknown = sorted(set(item) - {"type", "data"})
    if unknown:
        message = f"An event has no field {unknown[0]!r}; it has type and data."
        refuse(422, "unknown_field", message, at + unknown[0])
    event_type, data = item.get("type"), item.get("data")
    if not isinstance(event_type, str) or event_type not in catalog.names:
        refuse(422, "unknown_event_type", unknown_type_sentence(event_type, catalog.names), f"{at}type")
    if not isinstance(data, dict):
        refuse(422, "invalid", "data must be an object.", f"{at}data")
    problems = catalog.violations(event_type, data)
    if problems:
        refuse(422, "invalid_data", problems[0].message, at + problems[0].field)
    return event_type, data


def _own_keys(items: list[Any]) -> list[str | None]:
    """Return the idempotency key that each event of a batch has of its own, or None. Raises ApiError."""
    keys: dict[str, int] = {}
    found: list[str | None] = []
    for position, item in enumerate(items):
        key = item.get(KEY_FIELD) if isinstance(item, dict) else None
        field = f"events[{position}].{KEY_FIELD}"
        if key is not None and not (isinstance(key, str) and is_idempotency_key(key)):
            message = f"An idempotency key has 1 to {LONGEST_KEY} printable ASCII characters."
            refuse(422, "invalid_idempotency_key", message, field)
        if key is not None and keys.setdefault(key, position) != position:
            refuse(422, "invalid_idempotency_key", f"events[{keys[key]}] has the same key.", field)
        found.append(key)
    return found


def idempotency_key_of_request() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if "idempotency-key" in request.environ.get(REPEATED_KEY, ()):
        refuse(400, "invalid_idempotency_key", "Send one Idempotency-Key, not several.", "Idempotency-Key")
    if key is not None and not is_idempotency_key(key):
        message = f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters."
        refuse(400, "invalid_idempotency_key", message, "Idempotency-Key")
    return key


def is_idempotency_key(key: str) -> bool:
    return 0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()
