"""Events of requests: what is wrong with one is said at its place in the body."""

import json
from typing import Any

import pytest
from flask import Flask

from webhooks_app.events.catalog import Catalog
from webhooks_app.extensions import services
from webhooks_app.web.api import event_input
from webhooks_app.web.api.errors import ApiError

TYPE = "batch-lifecycle"
DATA = {"batch_id": "b1", "status": "queued"}
EVENT = {"type": TYPE, "data": DATA}


@pytest.fixture
def catalog(app: Flask) -> Catalog:
    return services(app).catalog


WRONG: list[tuple[Any, str, str]] = [
    ("text", "invalid", ""),
    (None, "invalid", ""),
    (EVENT | {"extra": 1}, "unknown_field", "extra"),
    (EVENT | {"type": 7}, "unknown_event_type", "type"),
    (EVENT | {"type": [TYPE]}, "unknown_event_type", "type"),
    (EVENT | {"type": "no-such"}, "unknown_event_type", "type"),
    ({"data": DATA}, "unknown_event_type", "type"),
    (EVENT | {"data": []}, "invalid", "data"),
    ({"type": TYPE}, "invalid", "data"),
    (EVENT | {"data": DATA | {"status": 7}}, "invalid_data", "data.status"),
]


@pytest.mark.parametrize(("body", "code", "field"), WRONG)
def test_what_is_wrong_with_an_event_is_said_at_its_place(
    catalog: Catalog, body: Any, code: str, field: str
) -> None:
    with pytest.raises(ApiError) as refused:
        event_input.new_event(catalog, body, json.dumps(body).encode())
    assert (refused.value.status, refused.value.code, refused.value.field) == (422, code, field or None)


@pytest.mark.parametrize(("item", "code", "field"), WRONG)
def test_and_in_a_batch_with_the_number_of_the_event(
    catalog: Catalog, item: Any, code: str, field: str
) -> None:
    items = [EVENT, item]
    with pytest.raises(ApiError) as refused:
        event_input.new_events(catalog, items, json.dumps({"events": items}).encode())
    place = f"events[1].{field}".rstrip(".")
    assert (refused.value.status, refused.value.code, refused.value.field) == (422, code, place)


@pytest.mark.parametrize("key", [7, "", "x" * 256, "é", "a\n", ["k"]])
def test_a_key_of_an_event_that_is_none_is_refused(catalog: Catalog, key: Any) -> None:
    items = [EVENT | {"idempotency_key": key}]
    with pytest.raises(ApiError) as refused:
        event_input.new_events(catalog, items, json.dumps({"events": items}).encode())
    assert refused.value.code == "invalid_idempotency_key"
    assert refused.value.field == "events[0].idempotency_key"


def test_events_of_a_batch_keep_their_keys_apart_from_their_data(catalog: Catalog) -> None:
    items = [EVENT, EVENT | {"idempotency_key": "x" * 255}, EVENT | {"idempotency_key": None}]
    events = event_input.new_events(catalog, items, json.dumps({"events": items}).encode())
    assert [(each.type, each.data) for each in events] == [(TYPE, DATA)] * 3
    assert [each.idempotency_key for each in events] == [None, "x" * 255, None]


@pytest.mark.parametrize(
    ("key", "repeated", "message"),
    [
        ("x" * 256, (), "Idempotency-Key must be 1 to 255 printable ASCII characters."),
        ("a,b", ("idempotency-key",), "Send one Idempotency-Key, not several."),
    ],
)
def test_the_key_of_a_request_is_one_that_can_be_kept(
    app: Flask, key: str, repeated: tuple[str, ...], message: str
) -> None:
    environ = {event_input.REPEATED_KEY: repeated}
    asked = app.test_request_context(headers={"Idempotency-Key": key}, environ_overrides=environ)
    with asked, pytest.raises(ApiError) as refused:
        event_input.idempotency_key_of_request()
    error = refused.value
    assert (error.status, error.code, error.message) == (400, "invalid_idempotency_key", message)
    assert error.field == "Idempotency-Key"


@pytest.mark.parametrize(
    ("body", "is_known"),
    [(EVENT, True), ({"type": "no-such"}, False), ({"type": [TYPE]}, False), ({}, False), ([EVENT], False)],
)
def test_whether_a_type_is_known_is_told_of_whatever_comes(
    catalog: Catalog, body: Any, is_known: bool
) -> None:
    assert event_input.has_known_type(catalog, body) is is_known
