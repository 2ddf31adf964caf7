"""A page for each event type of a catalog, and the page that lists them. Pure."""

import json

from webhooks_app.core.ids import PLACEHOLDER_TOKEN
from webhooks_app.events.catalog import Catalog
from webhooks_app.events.event_types import EventType
from webhooks_app.web.documents import schema_fields
from webhooks_app.web.documents.document_blocks import Block, CodeBlock, Heading, Paragraph, Table, json_code
from webhooks_app.web.documents.schema_fields import SchemaField

_SIGNATURE = "[signature](../consumers.md#verify-the-signature)"
_ENVELOPE = {
    "id": "evt_06h1dlm4r5t7v9x1z3b5d7f9h1",
    "type": "",
    "timestamp": "2026-01-31T12:00:00.123Z",
    "workspace_id": "ws_06h1dlm4r5t7v9x1z3b5d7f9h1",
    "data": {},
}


def index(catalog: Catalog, introduction: str) -> list[Block]:
    """Return the page that lists the event types, by group."""
    blocks: list[Block] = [Heading(1, "Event types"), Paragraph(introduction)]
    for group in catalog.groups:
        rows = [(f"[{each.name}]({each.name}.md)", each.description) for each in group.event_types]
        blocks += [Heading(2, group.title), Table(("Event type", "What happened"), rows)]
    return blocks


def page(event_type: EventType, *, base_url: str) -> list[Block]:
    """Return the page of an event type; `base_url` is the platform that it is sent to."""
    data_fields = list(map(_field, schema_fields.fields(event_type.schema)))
    body = _ENVELOPE | {"type": event_type.name, "data": event_type.example}
    indexed = ", ".join(f"`{name}`" for name in event_type.indexed)
    blocks: list[Block | None] = [
        Heading(1, event_type.name),
        Paragraph(f"{event_type.title}.") if event_type.title else None,
        Paragraph(f"{event_type.description.rstrip('.')}."),
        Paragraph(f"The delivery log finds such events by {indexed}.") if indexed else None,
        Heading(2, "Data"),
        Table(("Field", "Type", "Required", "Meaning"), data_fields),
        Heading(2, "What arrives"),
        Paragraph(f"The body of each delivery, once its {_SIGNATURE} is verified:"),
        json_code(body),
        Heading(2, "Receiving it"),
        CodeBlock("python", _handler(event_type)),
        Heading(2, "Sending it"),
        CodeBlock("sh", _curl(event_type, base_url)),
        Heading(2, "Schema"),
        Paragraph(
            "What `data` fulfils (JSON Schema, draft 2020-12); an event that does not is refused with 422."
        ),
        json_code(event_type.schema),
    ]
    return [block for block in blocks if block]


def _field(field: SchemaField) -> tuple[str, str, str, str]:
    path, part, is_required, description = field
    kind = schema_fields.kind(part, show=lambda value: f"`{value}`")
    return f"`{path}`", kind, "yes" if is_required else "no", description


def _handler(event_type: EventType) -> str:
    first = next(iter([*event_type.schema.get("required", ()), *event_type.example]), None)
    shown = f', event["data"][{json.dumps(first)}]' if first is not None else ""
    return (
        "def handle(event: dict) -> None:\n"
        f'    if event["type"] == "{event_type.name}":\n'
        f'        print("{event_type.name}"{shown})'
    )


def _curl(event_type: EventType, base_url: str) -> str:
    body = json.dumps({"type": event_type.name, "data": event_type.example}, ensure_ascii=False)
    quoted = body.replace("'", "'\\''")
    return (
        f"curl {base_url}/api/v1/events \\\n"
        f"  -H 'Authorization: Bearer {PLACEHOLDER_TOKEN}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d '{quoted}'"
    )
