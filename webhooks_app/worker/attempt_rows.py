"""The row of a recorded attempt. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from webhooks_app.db import attempt_heads
from webhooks_app.db.attempt_inserts import AttemptRow
from webhooks_app.worker.claimed_delivery import ClaimedDelivery


class _Heads(NamedTuple):
    """The headers of an attempt as its row holds them: as they are, or both packed."""

    plain_request: str
    plain_response: bytes | None
    packed: bytes | None


_NO_HEADS = _Heads("[]", None, None)


def of(
    delivery: ClaimedDelivery,
    as_stored: Callable[[datetime], Any],
    *,
    is_packed: bool,
    is_erased: bool = False,
) -> AttemptRow:
    """Return the row; `as_stored` is what `attempt_inserts.moments` returned. Raises UnicodeEncodeError.

    `is_erased`: its event has no payload any more, so that nothing is kept of what was sent and came back.
    """
    outcome, timings = delivery.outcome, delivery.outcome.timings
    if is_erased:
        heads, detail, body = _NO_HEADS, None, None
    else:
        heads = _packed_heads(delivery) if is_packed else _plain_heads(delivery)
        detail, body = outcome.detail or None, outcome.response_body or None
    return (
        delivery.delivery_id,
        delivery.generation,
        as_stored(delivery.started_at),
        outcome.kind.value,
        detail,
        outcome.status or None,
        timings.dns_us,
        timings.connect_us,
        timings.tls_us,
        timings.first_byte_us,
        timings.total_us,
        outcome.remote_address or None,
        heads.plain_request,
        heads.plain_response,
        body,
        outcome.truncated,
        delivery.is_manual,
        heads.packed,
    )


def _plain_heads(delivery: ClaimedDelivery) -> _Heads:
    return _Heads(delivery.request_headers, delivery.outcome.response_headers or None, None)


def _packed_heads(delivery: ClaimedDelivery) -> _Heads:
    packed = attempt_heads.pack(
        delivery.delivery_id,
        delivery.started_at,
        delivery.request_headers,
        delivery.outcome.response_headers,
    )
    return _Heads("[]", None, packed)
