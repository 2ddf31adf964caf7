"""What keeps an event’s data from fulfilling its schema, in words that a producer can act on."""

import json
from typing import Any

import pytest

from webhooks_app.events import schema_violations
from webhooks_app.events.catalog import load
from webhooks_app.events.schema_violations import MOST_VIOLATIONS, Violation

CATALOG = load()

NAMES = [event_type.name for event_type in CATALOG.event_types]


def example_of(name: str) -> dict[str, Any]:
    event_type = CATALOG.get(name)
    assert event_type is not None
    copied: dict[str, Any] = json.loads(json.dumps(event_type.example))
    return copied


def changed(name: str, **fields: object) -> dict[str, Any]:
    return {**example_of(name), **fields}


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_the_schema_does_not_know_is_let_through(name: str) -> None:
    assert CATALOG.violations(name, changed(name, added_next_year={"any": ["thing"]})) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_required_field_is_missed_when_it_is_absent(name: str) -> None:
    event_type = CATALOG.get(name)
    assert event_type is not None
    assert event_type.schema["required"]
    expected = [Violation(f"data.{required}", "is required") for required in event_type.schema["required"]]
    assert CATALOG.violations(name, {}) == expected


@pytest.mark.parametrize("status", ["queued", "running", "succeeded", "failed"])
def test_a_batch_lifecycle_may_carry_each_published_status(status: str) -> None:
    assert CATALOG.violations("batch-lifecycle", {"batch_id": "batch_1", "status": status}) == []


def test_a_failed_batch_can_say_why() -> None:
    failed = changed(
        "batch-lifecycle", status="failed", error={"code": "out_of_memory", "message": "No memory left"}
    )
    assert CATALOG.violations("batch-lifecycle", failed) == []


@pytest.mark.parametrize(
    ("name", "fields", "field", "message"),
    [
        (
            "batch-lifecycle",
            {"status": "exploded"},
            "data.status",
            "must be one of queued, running, succeeded, failed",
        ),
        ("batch-lifecycle", {"batch_id": 7}, "data.batch_id", "must be a string"),
        ("batch-lifecycle", {"batch_id": ""}, "data.batch_id", "must have 1 or more characters"),
        ("batch-lifecycle", {"batch_id": "b" * 129}, "data.batch_id", "must have 128 or fewer characters"),
        ("batch-lifecycle", {"result_id": 7}, "data.result_id", "must be a string or null"),
        (
            "batch-lifecycle",
            {"request_counts": {"total": -1}},
            "data.request_counts.total",
            "must be 0 or more",
        ),
        (
            "batch-lifecycle",
            {"request_counts": {"failed": "many"}},
            "data.request_counts.failed",
            "must be a whole number",
        ),
        ("batch-lifecycle", {"error": {"code": "oom"}}, "data.error.message", "is required"),
        (
            "batch-lifecycle",
            {"error": {"code": "Not OK", "message": "x"}},
            "data.error.code",
            "must match ^[a-z][a-z0-9_]*$",
        ),
        ("model-version-activation", {"aliases": ["ok", 7]}, "data.aliases.1", "must be a string"),
        (
            "workspace-update",
            {"changed_fields": [""]},
            "data.changed_fields.0",
            "must have 1 or more characters",
        ),
        ("workspace-creation", {"owner_email": "dana"}, "data.owner_email", "must be a valid email"),
        (
            "api-key-creation",
            {"actor": {"type": "cat"}},
            "data.actor.type",
            "must be one of user, api_key, system",
        ),
    ],
)
def test_a_violation_points_at_its_field(name: str, fields: dict[str, Any], field: str, message: str) -> None:
    assert CATALOG.violations(name, changed(name, **fields)) == [Violation(field, message)]


@pytest.mark.parametrize(
    "value", ["2025-09-17T09:41:07Z", "2025-09-17t09:41:07.123456789z", "2025-09-17T09:41:07+05:30"]
)
def test_a_date_time_with_an_offset_is_let_through(value: str) -> None:
    assert CATALOG.violations("batch-lifecycle", changed("batch-lifecycle", queued_at=value)) == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "2025-09-17",
        "2025-09-17T09:41:07",
        "20250917T094107Z",
        "2025-W38-3T09:41:07Z",
        "2025-02-30T09:41:07Z",
    ],
)
def test_a_date_time_without_an_offset_or_off_the_calendar_is_a_violation(value: str) -> None:
    [violation] = CATALOG.violations("batch-lifecycle", changed("batch-lifecycle", queued_at=value))
    assert violation.field == "data.queued_at"
    assert violation.message.startswith("must be a date and time with its offset")


@pytest.mark.parametrize("data", [None, [], "text", 7, True])
def test_data_that_is_no_object_is_one_violation(data: object) -> None:
    assert CATALOG.violations("batch-lifecycle", data) == [Violation("data", "must be an object")]


def test_several_violations_are_told_at_once() -> None:
    violations = CATALOG.violations("batch-lifecycle", {"status": "exploded", "queued_at": 7})
    assert {violation.field for violation in violations} == {"data.batch_id", "data.status", "data.queued_at"}


@pytest.mark.parametrize(
    ("number", "is_multiple"),
    [("19.99", True), ("19.995", False), ("1" + "0" * 400, True), ("1e308", True), ("1e-400", True)],
)
def test_multiples_are_told_in_decimal(number: str, is_multiple: bool) -> None:
    validator = schema_violations.validator_of({"multipleOf": 0.01, "type": "number"})
    found = schema_violations.find(validator, json.loads(number))
    assert found == (
        [] if is_multiple else [Violation("data", "does not satisfy the schema's 'multipleOf' rule")]
    )


@pytest.mark.parametrize(
    "number", ["9" * 4300, "-" + "9" * 400, "1.7976931348623157e308", "5e-324", "1e-400"]
)
def test_no_number_is_too_much_for_a_schema(number: str) -> None:
    rules = {"minimum": 0.5, "exclusiveMaximum": 1e300, "multipleOf": 0.1, "enum": [1, 0.5], "const": 2.5}
    validator = schema_violations.validator_of({"properties": {"n": rules, "i": {"type": "integer"}}})
    assert schema_violations.find(validator, {"n": json.loads(number), "i": json.loads(number)})


def test_a_flood_of_violations_is_cut_short() -> None:
    flood = changed("model-version-activation", aliases=[7] * 100_000)
    assert len(CATALOG.violations("model-version-activation", flood)) == MOST_VIOLATIONS


def test_a_violation_never_quotes_the_value() -> None:
    violations = CATALOG.violations(
        "api-key-creation", changed("api-key-creation", key_prefix="ak_whole_secret_key")
    )
    assert violations == [Violation("data.key_prefix", "must have 12 or fewer characters")]


def test_an_unknown_event_type_is_a_violation_of_the_type() -> None:
    assert CATALOG.violations("batch-explosion", {}) == [
        Violation("type", "is not an event type of the catalog")
    ]


@pytest.mark.parametrize(
    ("name", "value", "is_checked"),
    [
        ("date", "31.01.2026", True),
        ("uuid", "1234", True),
        ("ipv4", "256.0.0.1", True),
        ("idn-hostname", "-.example", True),
        ("uri", "no uri", False),
        ("duration", "a while", False),
        ("hostname", "-", False),
    ],
)
def test_only_formats_that_need_no_further_library_are_checked(
    name: str, value: str, is_checked: bool
) -> None:
    schema = {"type": "object", "properties": {"value": {"type": "string", "format": name}}}
    found = schema_violations.find(schema_violations.validator_of(schema), {"value": value})
    assert bool(found) is is_checked
