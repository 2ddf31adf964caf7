"""What a tracer is told of claims and attempts: moments in nanoseconds since 1970, phases from the start."""

from datetime import UTC, datetime, timedelta

from webhooks_app.core import ids
from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings
from webhooks_app.db.models import DeliveryState
from webhooks_app.monitoring.tracing import AttemptSpan, ClaimSpan, Interval
from webhooks_app.worker import attempt_spans
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.retry_decision import RetryDecision

BEGAN_AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
BEGAN_NS = 1_767_323_045_678_901_000


def claimed(generation: int) -> ClaimedDelivery:
    return ClaimedDelivery(ids.new("dlv"), "ep_1", "evt_1", generation, 0, 0)


def test_a_first_claim_says_since_when_its_delivery_waited() -> None:
    first, again = claimed(1), claimed(2)
    found = attempt_spans.of_claims([first, again])
    created = ids.created_at(first.delivery_id) - datetime(1970, 1, 1, tzinfo=UTC)
    created_ns = created // timedelta(microseconds=1) * 1000
    assert found == [
        ClaimSpan(first.delivery_id, "evt_1", "ep_1", 1, created_ns),
        ClaimSpan(again.delivery_id, "evt_1", "ep_1", 2, None),
    ]


def test_an_attempt_says_how_it_ended_and_when_each_phase_did() -> None:
    delivery = claimed(3)
    delivery.started_at = BEGAN_AT
    timings = Timings(dns_us=1, connect_us=2, tls_us=3, first_byte_us=4, total_us=5)
    delivery.outcome = Outcome(OutcomeClass.HTTP_5XX, status=503, timings=timings)
    delivery.decision = RetryDecision(DeliveryState.PENDING, BEGAN_AT)
    assert attempt_spans.of_attempts([delivery]) == [
        AttemptSpan(
            *(delivery.delivery_id, "evt_1", "ep_1", 3),
            *("http_5xx", 503, "pending"),
            Interval(BEGAN_NS, BEGAN_NS + 5000),
            {"name looked up": 1, "connected": 2, "TLS agreed": 3, "first byte": 4},
        )
    ]
