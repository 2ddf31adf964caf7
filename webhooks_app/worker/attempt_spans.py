"""What a worker tells a tracer, where there is one. Pure."""

from datetime import datetime

from webhooks_app.core import ids
from webhooks_app.monitoring.tracing import AttemptSpan, ClaimSpan, Interval
from webhooks_app.worker.claimed_delivery import ClaimedDelivery


def of_claims(claimed: list[ClaimedDelivery]) -> list[ClaimSpan]:
    return [
        ClaimSpan(
            each.delivery_id,
            each.event_id,
            each.endpoint_id,
            each.generation,
            _nanoseconds(ids.created_at(each.delivery_id)) if each.generation == 1 else None,
        )
        for each in claimed
    ]


def of_attempts(recorded: list[ClaimedDelivery]) -> list[AttemptSpan]:
    return [_of_attempt(each) for each in recorded]


def _of_attempt(each: ClaimedDelivery) -> AttemptSpan:
    timings, began_ns = each.outcome.timings, _nanoseconds(each.started_at)
    return AttemptSpan(
        each.delivery_id,
        each.event_id,
        each.endpoint_id,
        each.generation,
        each.outcome.kind.value,
        each.outcome.status,
        each.decision.state.value,
        Interval(began_ns, began_ns + timings.total_us * 1000),
        {
            "name looked up": timings.dns_us,
            "connected": timings.connect_us,
            "TLS agreed": timings.tls_us,
            "first byte": timings.first_byte_us,
        },
    )


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
