"""A filter from a URL’s arguments, and back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from webhooks_app.core import ids
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter, Status, TrafficKind, parse_cursor


@pytest.mark.parametrize(
    "arguments",
    [
        {"status": "gone"},
        {"endpoint": "ep_1"},
        {"event_type": "<b>"},
        {"response": "6xx"},
        {"response": "604"},
        {"response": "4"},
        {"traffic": "all"},
        {"recovery": "rcv_1"},
        {"range": "1y"},
        {"from": "yesterday"},
        {"from": "0001-01-01T00:00+23:00"},
        {"from": "2025-01-02T00:00", "until": "2025-01-01T00:00"},
        {"q": "dlv_123"},
        {"q": "x" * 201},
        {"q": "x", "in": "headers"},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(FilterError) as refused:
        filters.parse(arguments)
    assert refused.value.field in arguments


@pytest.mark.parametrize(
    "value", ["x", "dlv_", "dlv_" + "z" * 26, "evt_" + "0" * 26, "dlv_" + "0" * 25 + "1\0"]
)
def test_a_tampered_cursor_is_refused(value: str) -> None:
    with pytest.raises(FilterError):
        parse_cursor({"before": value})


def test_a_filter_survives_its_own_arguments() -> None:
    wanted = LogFilter(
        q="text",
        within="payloads",
        status=Status.HELD,
        endpoint=ids.new("ep"),
        event_type="batch-request",
        response="5xx",
        traffic=TrafficKind.TEST,
        recovery=ids.new("rcv"),
        range="custom",
        since=datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
        until=datetime(2025, 1, 2, 3, 5, 6, tzinfo=UTC),
    )
    assert filters.parse(wanted.arguments) == wanted
    assert filters.parse(replace(wanted, range="7d", since=None, until=None).arguments).range == "7d"
    assert filters.parse({}).arguments == {}
