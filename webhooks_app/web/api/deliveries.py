"""The delivery log over the API, and what can be done with a delivery."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, g, request

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock
from webhooks_app.core.clock import format_optional, format_rfc3339
from webhooks_app.deliveries import cancellations, replays
from webhooks_app.deliveries.cancellations import CancelResult
from webhooks_app.deliveries.log import delivery_list, filters
from webhooks_app.deliveries.log.attempts import LoggedAttempt, read_attempts, read_last_details, read_payload
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.deliveries.log.rows import DeliveryRow, read_rows
from webhooks_app.deliveries.log.status_explanations import explain
from webhooks_app.deliveries.replays import ReplayResult, UnknownDelivery
from webhooks_app.extensions import db, services
from webhooks_app.web.api import log_models, paging
from webhooks_app.web.api.authentication import actor
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.loading import check_endpoint, load_delivery, refuse_unknown
from webhooks_app.web.api.log_models import Attempt, Delivery, DeliveryDetails, Phase
from webhooks_app.web.api.operations import Operation, respond
from webhooks_app.web.api.query_models import LONGEST_PAGE, DeliveryQuery

_REPLAY_REFUSALS = {
    ReplayResult.IN_FLIGHT: "in_flight",
    ReplayResult.ENDPOINT_DISABLED: "endpoint_disabled",
    ReplayResult.ENDPOINT_DELETED: "endpoint_deleted",
    ReplayResult.PAYLOAD_ERASED: "payload_erased",
}
_CANCEL_REFUSALS = {CancelResult.IN_FLIGHT: "in_flight", CancelResult.FINISHED: "finished"}


def list_deliveries(query: DeliveryQuery) -> Response:
    if query.ids:
        return respond(log_models.Deliveries(_answers(_read_named(query)), None))
    paging.check_cursor(query, "dlv")
    page = delivery_list.read_page(
        db.session(),
        g.workspace_id,
        _filter_of_query(),
        now=clock.now(),
        before=query.cursor,
        limit=query.limit,
        limits=services().search_limits,
    )
    return respond(log_models.Deliveries(_answers(page.rows), page.older or None))


def read_delivery(delivery_id: str) -> Response:
    return respond(_details(load_delivery(delivery_id)))


def list_attempts(delivery_id: str) -> Response:
    row = load_delivery(delivery_id)
    attempts = read_attempts(db.session(), row.id, row.attempt_count, full=True)
    return respond(log_models.Attempts([_attempt(each) for each in attempts], None))


def replay_delivery(delivery_id: str) -> Response:
    try:
        result = replays.replay(
            services().write, services().wake_ups, g.workspace_id, delivery_id, actor=actor()
        )
    except UnknownDelivery:
        refuse_unknown("delivery")
    if not result.is_sent:
        refuse(409, _REPLAY_REFUSALS[result], result.value)
    return respond(_answer(load_delivery(delivery_id)), 202)


def cancel_delivery(delivery_id: str) -> Response:
    try:
        result = cancellations.cancel(services().write, g.workspace_id, delivery_id, actor=actor())
    except UnknownDelivery:
        refuse_unknown("delivery")
    if result is not CancelResult.CANCELED:
        refuse(409, _CANCEL_REFUSALS[result], result.value)
    return respond(_answer(load_delivery(delivery_id)))


def _filter_of_query() -> LogFilter:
    """Return the filter that the arguments of the URL make. Raises ApiError 400, and 404 for the endpoint."""
    try:
        log_filter = filters.parse(request.args)
    except FilterError as error:
        refuse(400, "invalid_parameter", str(error), error.field)
    if log_filter.endpoint:
        check_endpoint(log_filter.endpoint)
    return log_filter


def _read_named(query: DeliveryQuery) -> list[DeliveryRow]:
    """Return the deliveries whose ids the query names, in their order. Raises ApiError 400."""
    if set(request.args) - {"ids", "limit"}:
        refuse(400, "invalid_parameter", "Name ids, or a filter, not both.", "ids")
    named = list(dict.fromkeys(query.ids.split(",")))
    if len(named) > LONGEST_PAGE:
        refuse(400, "invalid_parameter", f"Name {LONGEST_PAGE} deliveries at most.", "ids")
    return read_rows(db.session(), g.workspace_id, named)


def _answers(rows: Sequence[DeliveryRow]) -> list[Delivery]:
    details = _last_details(rows)
    return [Delivery(**_fields(row, details)) for row in rows]


def _answer(row: DeliveryRow) -> Delivery:
    [answer] = _answers([row])
    return answer


def _last_details(rows: Sequence[DeliveryRow]) -> Mapping[str, str]:
    failed = [row.id for row in rows if row.last_outcome and not row.is_success]
    return read_last_details(db.session(), failed)


def _fields(row: DeliveryRow, last_details: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of `log_models.Delivery`."""
    return {
        "id": row.id,
        "event_id": row.event_id,
        "event_type": row.event_type,
        "endpoint_id": row.endpoint_id,
        "endpoint_name": row.endpoint_name,
        "url": row.endpoint_url,
        "status": row.status,
        "attempts": row.attempt_count,
        "attempts_in_schedule": row.attempts_in_schedule,
        "last_outcome": row.last_outcome,
        "last_status": row.last_status,
        "last_detail": last_details.get(row.id),
        "last_duration_ms": row.last_duration_ms,
        "created_at": format_rfc3339(row.created_at),
        "last_attempt_at": format_optional(row.last_attempt_at),
        "next_attempt_at": format_optional(row.next_attempt_at),
        "finished_at": format_optional(row.finished_at),
        "payload_erased_at": format_optional(row.payload_erased_at),
    }


def _details(row: DeliveryRow) -> DeliveryDetails:
    payload, _ = read_payload(db.session(), row.event_id)
    schedule_length = len(services().settings.retry_delays) + 1
    explanation = explain(row, schedule_length=schedule_length, now=clock.now())
    return DeliveryDetails(
        **_fields(row, _last_details([row])),
        headline=explanation.headline,
        explanation=explanation.text.strip(),
        payload=payload.decode("utf-8", "backslashreplace"),
    )


def _attempt(attempt: LoggedAttempt) -> Attempt:
    return Attempt(
        id=attempt.id,
        number=attempt.number,
        started_at=format_rfc3339(attempt.started_at),
        outcome=attempt.outcome.value,
        detail=attempt.detail or None,
        status=attempt.status,
        duration_ms=attempt.total_ms,
        phases=[Phase(phase.name.lower(), phase.ms) for phase in attempt.phases],
        remote_address=attempt.remote_address or None,
        is_manual=attempt.is_manual,
        request_headers=list(attempt.request_headers),
        response_headers=attempt.response_headers.decode("utf-8", "backslashreplace"),
        headers_are_damaged=attempt.is_damaged,
        response_body=attempt.response_body.decode("utf-8", "backslashreplace"),
        response_body_base64=b64encode(attempt.response_body).decode(),
        response_is_truncated=attempt.is_truncated,
    )


_TAG = "Deliveries"
_PATH = "/deliveries/{delivery_id}"

OPERATIONS = (
    Operation(
        id="listDeliveries",
        method="GET",
        path="/deliveries",
        view=list_deliveries,
        tag=_TAG,
        summary="Search the delivery log",
        description=(
            "With the filters of the console, by the names that its addresses have; or those that `ids` "
            "names, as they are now, for programs that wait for what becomes of them."
        ),
        scope=TokenScope.DELIVERIES_READ,
        query=DeliveryQuery,
        answers={200: log_models.Deliveries},
        errors=(404,),
    ),
    Operation(
        id="getDelivery",
        method="GET",
        path=_PATH,
        view=read_delivery,
        tag=_TAG,
        summary="Read a delivery",
        scope=TokenScope.DELIVERIES_READ,
        answers={200: log_models.DeliveryDetails},
        errors=(404,),
    ),
    Operation(
        id="listAttempts",
        method="GET",
        path=_PATH + "/attempts",
        view=list_attempts,
        tag=_TAG,
        summary="Read the attempts of a delivery",
        description="The newest 50, newest first, with headers and bodies.",
        scope=TokenScope.DELIVERIES_READ,
        answers={200: log_models.Attempts},
        errors=(404,),
    ),
    Operation(
        id="replayDelivery",
        method="POST",
        path=_PATH + "/replay",
        view=replay_delivery,
        tag=_TAG,
        summary="Replay a delivery",
        description="A finished one begins a fresh schedule; one that still waits is attempted now.",
        scope=TokenScope.DELIVERIES_REPLAY,
        answers={202: log_models.Delivery},
        errors=(404, 409),
    ),
    Operation(
        id="cancelDelivery",
        method="POST",
        path=_PATH + "/cancel",
        view=cancel_delivery,
        tag=_TAG,
        summary="Cancel a delivery",
        description="Nothing more is sent of it until it is replayed.",
        scope=TokenScope.DELIVERIES_REPLAY,
        answers={200: log_models.Delivery},
        errors=(404, 409),
    ),
)
