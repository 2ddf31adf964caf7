"""The row of a recorded attempt. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from webhooks_app.db import attempt_heads
from webhooks_app.db.attempt_inserts import AttemptRow
from webhooks_app.worker.claimed_delivery import ClaimedDelivery


class _Heads(NamedTuple):
    """The headers of an attempt as its row holds them: as they are, or both packed."""

    plain_request: str = "[]"
    plain_response: bytes | None = None
    packed: bytes | None = None
    constant_digest: int | None = None


_NO_HEADS = _Heads()


def to_row(
    delivery: ClaimedDelivery,
    as_stored: Callable[[datetime], Any],
    *,
    is_packed: bool,
    is_erased: bool = False,
    constant_digest: int | None = None,
) -> AttemptRow:
    """Return the row; `as_stored` is what `attempt_inserts.moments` returned. Raises UnicodeEncodeError.

    `constant_digest` names the row of `constant_headers` that the attempt refers to, if there is one.
    `is_erased`: its event has no payload any more, so that nothing is kept of what was sent and came back.
    """
    outcome, timings = delivery.outcome, delivery.outcome.timings
    if is_erased:
        heads, detail, body = _NO_HEADS, None, None
    else:
        heads = _packed_heads(delivery, constant_digest) if is_packed else _plain_heads(delivery)
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
        heads.constant_digest,
    )


def _plain_heads(delivery: ClaimedDelivery) -> _Heads:
    return _Heads(delivery.request_headers, delivery.outcome.response_headers or None)


def _packed_heads(delivery: ClaimedDelivery, constant_digest: int | None) -> _Heads:
    sent = (
        delivery.delivery_id,
        delivery.started_at,
        delivery.request_headers,
        delivery.outcome.response_headers,
    )
    if constant_digest is not None and delivery.constant_headers is not None:
        variable = attempt_heads.pack_variable(*sent, delivery.constant_headers)
        if variable is not None:
            return _Heads(packed=variable, constant_digest=constant_digest)
    return _Heads(packed=attempt_heads.pack(*sent))
