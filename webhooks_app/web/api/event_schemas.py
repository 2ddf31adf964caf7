"""Events in the OpenAPI document: as producers send them, and as the webhooks that consumers get."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from webhooks_app.core import signing
from webhooks_app.events.catalog import Catalog
from webhooks_app.events.event_types import EventType
from webhooks_app.web.api.event_input import KEY_FIELD, LARGEST_BATCH, LONGEST_KEY

Json = dict[str, Any]
Names = Mapping[str, str]

# The tag of the operations that consumers serve.
TAG = "Webhooks"
# As the header and as the field of an event within a batch have it.
IDEMPOTENCY_KEY = {"minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"}
_SCHEMAS = "#/components/schemas/"
_OF_ONE_TYPE = ("Data", "Input", "Event")
_OF_ALL_TYPES = ("EventInput", "BatchItem", "BatchInput")
_HEADERS = {
    signing.ID_HEADER: (
        "Id of the delivery, the same on every retry and replay: what to dedupe on.",
        "string",
    ),
    signing.TIMESTAMP_HEADER: ("Unix seconds of the attempt.", "integer"),
    signing.SIGNATURE_HEADER: (
        "`v1,` and the Base64 of an HMAC-SHA256, one for each secret in force.",
        "string",
    ),
}


def type_names(catalog: Catalog, taken: Collection[str] = ()) -> Names:
    """Return for each event type what its components begin with, as generated code has it: BatchLifecycle.

    Where a component of that name is taken, as by a schema of the API, `Type` follows until none is.
    """
    used, names = {*taken, *_OF_ALL_TYPES}, dict[str, str]()
    for each in catalog.event_types:
        name = "".join(part.capitalize() for part in re.split("[._-]", each.name))
        while used & {name + suffix for suffix in _OF_ONE_TYPE}:
            name += "Type"
        used |= {name + suffix for suffix in _OF_ONE_TYPE}
        names[each.name] = name
    return names


def schemas(catalog: Catalog, names: Names) -> Json:
    """Return the components: of each type its data, its input and its delivery; and those of all types."""
    found: Json = {}
    for each in catalog.event_types:
        name = names[each.name]
        data = {key: value for key, value in each.schema.items() if key != "$schema"}
        found[f"{name}Data"] = _moved(data, f"{_SCHEMAS}{name}Data")
        found[f"{name}Input"] = _input(each, name)
        found[f"{name}Event"] = _delivered(each, name)
    return found | {
        "EventInput": _any_of_types(names),
        "BatchItem": _batch_item(catalog),
        "BatchInput": _batch(),
    }


def _moved(part: Any, place: str) -> Any:
    """Return part of a schema as it stands at `place` of the document: what refers to it leads there."""
    if isinstance(part, list):
        return [_moved(each, place) for each in part]
    if not isinstance(part, dict):
        return part
    moved = {key: _moved(value, place) for key, value in part.items()}
    reference = part.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        moved["$ref"] = place + reference[1:]
    return moved


def webhooks(catalog: Catalog, names: Names) -> Json:
    """Return the section of that name: what consumers get, by event type."""
    return {each.name: {"post": _webhook(each, names[each.name])} for each in catalog.event_types}


def _data_ref(name: str) -> Json:
    return {"$ref": f"{_SCHEMAS}{name}Data"}


def _input(event_type: EventType, name: str) -> Json:
    return {
        "type": "object",
        "description": event_type.description,
        "required": ["type", "data"],
        "additionalProperties": False,
        "properties": {"type": {"const": event_type.name}, "data": _data_ref(name)},
        "examples": [{"type": event_type.name, "data": event_type.example}],
    }


def _delivered(event_type: EventType, name: str) -> Json:
    return {
        "type": "object",
        "description": event_type.description,
        "required": ["id", "type", "timestamp", "workspace_id", "data"],
        "properties": {
            "id": {"type": "string", "description": "Id of the event."},
            "type": {"const": event_type.name},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it was accepted."},
            "workspace_id": {"type": "string"},
            "data": _data_ref(name),
        },
    }


def _any_of_types(names: Names) -> Json:
    refs = {each: f"{_SCHEMAS}{name}Input" for each, name in names.items()}
    return {
        "description": "An event of the catalog.",
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "type", "mapping": refs},
    }


def _batch_item(catalog: Catalog) -> Json:
    return {
        "type": "object",
        "description": "An event of the catalog, as EventInput has it, with a key of its own if need be.",
        "required": ["type", "data"],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": [each.name for each in catalog.event_types]},
            "data": {"type": "object"},
            KEY_FIELD: {"type": ["string", "null"], **IDEMPOTENCY_KEY},
        },
    }


def _batch() -> Json:
    events = {
        "type": "array",
        "minItems": 1,
        "maxItems": LARGEST_BATCH,
        "items": {"$ref": f"{_SCHEMAS}BatchItem"},
    }
    return {
        "type": "object",
        "description": "Events that are accepted all or none.",
        "required": ["events"],
        "additionalProperties": False,
        "properties": {"events": events},
    }


def _webhook(event_type: EventType, name: str) -> Json:
    schema = {"$ref": f"{_SCHEMAS}{name}Event"}
    return {
        "operationId": f"on{name}",
        "summary": event_type.description,
        "description": (
            "Sent to each endpoint that subscribes. Verify the signature over the bytes of the body, answer "
            "2xx within the endpoint's time-out, and dedupe on `webhook-id`."
        ),
        "tags": [TAG],
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": kind}}
            for name, (text, kind) in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "2XX": {"description": "Delivered."},
            "410": {"description": "Disables the endpoint."},
            "429": {"description": "Tried again, not before `Retry-After`."},
            "default": {"description": "Tried again, by the retry schedule."},
        },
    }
