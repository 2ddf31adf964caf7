"""Each status of a delivery is explained in words that say what comes next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhooks_app.db.models import DeliveryState, EndpointState
from webhooks_app.deliveries.log.rows import DeliveryRow
from webhooks_app.deliveries.log.status_explanations import explain

NOW = datetime(2025, 1, 2, tzinfo=UTC)


def row(**values: Any) -> DeliveryRow:
    """A delivery that waits for its first attempt, but for what is named."""
    defaults: dict[str, Any] = {
        **dict.fromkeys(DeliveryRow.__slots__),
        "state": DeliveryState.PENDING,
        "next_attempt_at": NOW,
        "attempts_in_schedule": 0,
        "attempt_count": 0,
        "is_being_sent": False,
        "is_manual_due": False,
        "is_test": False,
        "endpoint_state": EndpointState.ENABLED,
    }
    return DeliveryRow(**(defaults | values))


TIMED_OUT = {"last_outcome": "timeout", "attempts_in_schedule": 2, "attempt_count": 2}
DELIVERED = {"state": DeliveryState.DELIVERED, "attempt_count": 1, "attempts_in_schedule": 1}
REFUSED = {"last_outcome": "http_4xx", "last_status": 404, "attempts_in_schedule": 1, "attempt_count": 1}
FAILED = TIMED_OUT | {"state": DeliveryState.FAILED, "next_attempt_at": None}


@pytest.mark.parametrize(
    ("values", "headline", "text", "variant"),
    [
        ({}, "Waiting for its first attempt.", "It starts at any moment.", "info"),
        (
            {"next_attempt_at": NOW - timedelta(minutes=3)},
            "Waiting for its first attempt.",
            "It is overdue by 3 min",
            "info",
        ),
        (TIMED_OUT, "Attempt 2 of 10 failed: timed out.", "", "warning"),
        (
            TIMED_OUT | {"attempts_in_schedule": 0},
            "Replay started: the first attempt of a fresh schedule is next.",
            "",
            "warning",
        ),
        (
            TIMED_OUT | {"is_manual_due": True},
            "A manual attempt is next, beside the schedule.",
            "The last attempt failed: timed out. If it fails, too, the schedule continues unchanged.",
            "warning",
        ),
        (
            TIMED_OUT | {"attempt_count": 3},
            "The last attempt failed: timed out. The schedule has used 2 of 10.",
            "",
            "warning",
        ),
        (
            FAILED | {"is_test": True, "attempts_in_schedule": 1, "attempt_count": 1},
            "The test failed: timed out. Tests are attempted once.",
            "Then replay it.",
            "danger",
        ),
        (TIMED_OUT | {"is_being_sent": True}, "Being sent right now.", "The attempt before failed", "info"),
        (FAILED, "Failed: timed out.", "Then replay it.", "danger"),
        (
            REFUSED,
            "Attempt 1 of 10 failed: 404, rejected.",
            "refused the request. Check the URL’s path.",
            "warning",
        ),
        (FAILED | {"attempts_in_schedule": 10}, "All 10 attempts failed.", "Then replay it.", "danger"),
        (FAILED | {"endpoint_state": EndpointState.DISABLED}, "Failed", "enable it to replay.", "danger"),
        (FAILED | {"endpoint_deleted_at": NOW}, "Failed", "it cannot be replayed.", "danger"),
        (
            FAILED | {"endpoint_deleted_at": NOW, "is_listener": True},
            "Failed",
            "Start it again under its name, then replay this.",
            "danger",
        ),
        (FAILED | {"last_outcome": "http_410"}, "Given up: the endpoint answered 410 Gone.", "", "danger"),
        (
            FAILED | {"state": DeliveryState.CANCELED},
            "Canceled: nothing more is sent.",
            "The last attempt failed: timed out. Replay it",
            "warning",
        ),
        ({"state": DeliveryState.HELD}, "Held back.", "The endpoint is disabled.", "warning"),
        (
            {
                "state": DeliveryState.DELIVERED,
                "last_outcome": "success",
                "last_status": 200,
                "last_duration_ms": 1250,
                "attempt_count": 1,
                "attempts_in_schedule": 1,
            },
            "Delivered at the first attempt.",
            "The endpoint answered 200 in 1.25 s.",
            "success",
        ),
        (
            DELIVERED | {"attempt_count": 3},
            "Delivered after 3 attempts.",
            "",
            "success",
        ),
        (
            DELIVERED | {"is_test": True},
            "Delivered at the only attempt of a test.",
            "",
            "success",
        ),
    ],
)
def test_a_status_is_explained(values: dict[str, Any], headline: str, text: str, variant: str) -> None:
    explanation = explain(row(**values), schedule_length=10, now=NOW)

    assert explanation.headline.startswith(headline)
    assert text in explanation.text
    assert explanation.variant == variant
