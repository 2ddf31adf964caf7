"""What the row of an attempt holds; reading it back is tried in `test_recording.py`."""

from datetime import UTC, datetime
from typing import Any

import pytest

from webhooks_app.core import ids
from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings
from webhooks_app.db import attempt_heads
from webhooks_app.db.models import Attempt
from webhooks_app.worker import attempt_rows
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)
SENT = '[["content-type","application/json"]]'
ANSWERED = Outcome(
    OutcomeClass.HTTP_5XX,
    "overloaded",
    status=503,
    timings=Timings(dns_us=1, connect_us=2, tls_us=3, first_byte_us=4, total_us=5),
    remote_address="192.0.2.1",
    response_headers=b"retry-after: 5",
    response_body=b"later",
    truncated=True,
)


def row(outcome: Outcome, **options: Any) -> dict[str, Any]:
    """Return the row by its columns' names, with the moment as it was."""
    delivery = ClaimedDelivery(ids.new("dlv"), "ep_1", "evt_1", 3, 0, 0)
    delivery.started_at, delivery.request_headers, delivery.outcome = MOMENT, SENT, outcome
    names = [column.name for column in Attempt.__table__.columns]
    values = attempt_rows.to_row(delivery, lambda moment: moment, **options)
    return dict(zip(names, values, strict=True))


def test_what_was_sent_and_what_came_back_is_kept_as_it_is() -> None:
    found = row(ANSWERED, is_packed=False)
    assert (found["generation"], found["started_at"], found["is_manual"]) == (3, MOMENT, False)
    assert (found["outcome"], found["detail"], found["status"]) == ("http_5xx", "overloaded", 503)
    times = [found[f"{name}_us"] for name in ("dns", "connect", "tls", "first_byte", "total")]
    assert times == [1, 2, 3, 4, 5]
    assert (found["remote_address"], found["response_body"]) == ("192.0.2.1", b"later")
    assert (found["request_headers"], found["response_headers"]) == (SENT, b"retry-after: 5")
    assert (found["response_truncated"], found["packed_heads"]) == (True, None)


def test_both_heads_may_be_packed_instead() -> None:
    found = row(ANSWERED, is_packed=True)
    assert (found["request_headers"], found["response_headers"]) == ("[]", None)
    heads = attempt_heads.unpack(found["delivery_id"], MOMENT, found["packed_heads"])
    assert (heads.request, heads.response) == (SENT, b"retry-after: 5")
    assert found["response_body"] == b"later"


@pytest.mark.parametrize("is_packed", [False, True])
def test_nothing_that_quotes_the_payload_is_kept_once_that_is_erased(is_packed: bool) -> None:
    found = row(ANSWERED, is_packed=is_packed, is_erased=True)
    quoting = ("detail", "request_headers", "response_headers", "response_body", "packed_heads")
    assert [found[name] for name in quoting] == [None, "[]", None, None, None]
    assert (found["outcome"], found["status"], found["remote_address"]) == ("http_5xx", 503, "192.0.2.1")


def test_where_nothing_came_back_nothing_is_stored() -> None:
    found = row(Outcome(OutcomeClass.TIMEOUT), is_packed=False)
    empty = ("detail", "status", "remote_address", "response_headers", "response_body")
    assert [found[name] for name in empty] == [None] * 5
