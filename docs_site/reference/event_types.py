"""A page for each event type of the built-in catalog, and the page that lists them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs_site.reference.tables import table
from webhooks_app.events import catalog
from webhooks_app.events.event_types import EventType

_HEAD = """# Event types

The event types of the built-in catalog, written by `make reference`. A deployment may have
[others](../catalog.md); `GET /api/v1/event-types` and *Event catalog* in the console list what it has."""
_ENVELOPE = {
    "id": "evt_06h1dlm4r5t7v9x1z3b5d7f9h1",
    "type": "",
    "timestamp": "2026-01-31T12:00:00.123Z",
    "workspace_id": "ws_06h1dlm4r5t7v9x1z3b5d7f9h1",
    "data": {},
}


def write() -> dict[str, str]:
    """Return the pages' texts, by the names of their files without `.md`."""
    found = catalog.load()
    parts = [_HEAD]
    for group in found.groups:
        rows = [(f"[{each.name}]({each.name}.md)", each.description) for each in group.event_types]
        parts += [f"## {group.title}", table(("Event type", "What happened"), rows)]
    return {"README": "\n\n".join(parts) + "\n", **{each.name: _page(each) for each in found.event_types}}


def _page(event_type: EventType) -> str:
    body = _ENVELOPE | {"type": event_type.name, "data": event_type.example}
    indexed = ", ".join(f"`{name}`" for name in event_type.indexed)
    parts = [
        f"# {event_type.name}",
        f"{event_type.description.rstrip('.')}.",
        f"The delivery log finds such events by {indexed}." if indexed else "",
        "## Data",
        table(("Field", "Type", "Required", "Meaning"), _fields(event_type.schema)),
        "## What arrives",
        "The body of each delivery, once its [signature](../consumers.md#verify-the-signature) is verified:",
        _fenced("json", json.dumps(body, indent=2, ensure_ascii=False)),
        "## Receiving it",
        _fenced("python", _handler(event_type)),
        "## Sending it",
        _fenced("sh", _curl(event_type)),
        "## Schema",
        "What `data` fulfils (JSON Schema, draft 2020-12); an event that does not is refused with 422.",
        _fenced("json", json.dumps(event_type.schema, indent=2, ensure_ascii=False)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield each field, those of objects within behind them, as `outer.inner`."""
    for name, part in schema.get("properties", {}).items():
        is_required = "yes" if name in schema.get("required", ()) else "no"
        yield f"`{prefix}{name}`", _kind(part), is_required, part.get("description", "")
        yield from _fields(part, f"{prefix}{name}.")


def _kind(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(f"`{json.dumps(each)}`" for each in part["enum"])
    kinds = part.get("type", "any")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if text == "array" and "type" in part.get("items", {}):
        text = f"array of {part['items']['type']}s"
    return f"{text}, {part['format']}" if "format" in part else text


def _handler(event_type: EventType) -> str:
    first = next(iter(event_type.schema.get("required", event_type.example)))
    return (
        "def handle(event: dict) -> None:\n"
        f'    if event["type"] == "{event_type.name}":\n'
        f'        print("{event_type.name}", event["data"]["{first}"])'
    )


def _curl(event_type: EventType) -> str:
    body = json.dumps({"type": event_type.name, "data": event_type.example}, ensure_ascii=False)
    quoted = body.replace("'", "'\\''")
    return (
        "curl http://127.0.0.1:8000/api/v1/events \\\n"
        "  -H 'Authorization: Bearer tok_…' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d '{quoted}'"
    )


def _fenced(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"
