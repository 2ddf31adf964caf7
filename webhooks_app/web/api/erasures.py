"""Erasing the payload of an event over the API, as when a person asks for their data to be deleted."""

from flask import Response, g

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core.clock import format_rfc3339
from webhooks_app.deliveries.erasure import one_event
from webhooks_app.deliveries.erasure.erased_event import REQUEST_LIMITS
from webhooks_app.deliveries.erasure.one_event import (
    StillPending,
    UnknownEvent,
    UpgradeUnderWay,
)
from webhooks_app.extensions import services
from webhooks_app.web import erasure_messages
from webhooks_app.web.api import log_models
from webhooks_app.web.api.authentication import actor
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.loading import refuse_unknown
from webhooks_app.web.api.operations import Operation, respond
from webhooks_app.web.api.query_models import ErasureQuery


def erase_payload(event_id: str, query: ErasureQuery) -> Response:
    try:
        erased = one_event.erase(
            services().databases,
            event_id,
            workspace_id=g.workspace_id,
            cancel_pending=query.cancel_pending,
            actor=actor(),
            limits=REQUEST_LIMITS,
        )
    except UnknownEvent:
        refuse_unknown("event")
    except UpgradeUnderWay as upgrade:
        refuse(409, "upgrade_under_way", erasure_messages.explain_upgrade(upgrade))
    except StillPending as pending:
        message = erasure_messages.explain_pending(pending, was_cancel_asked=query.cancel_pending)
        refuse(409, "still_pending", message)
    answer = log_models.ErasedPayload(
        event_id=event_id,
        payload_erased_at=format_rfc3339(erased.payload_erased_at),
        was_erased=erased.was_erased,
        is_complete=erased.is_complete,
        attempts_erased=erased.attempts_erased,
        deliveries_canceled=erased.deliveries_canceled,
    )
    return respond(answer)


OPERATIONS = (
    Operation(
        id="erasePayload",
        method="DELETE",
        path="/events/{event_id}/payload",
        view=erase_payload,
        tag="Events",
        summary="Erase the payload of an event",
        description=(
            "For good: its body, the values that it is found by, and what its attempts sent and got. Its "
            "deliveries stay in the log, without it, and cannot be replayed. 409 with `still_pending` while "
            "something is to be sent of it, or being sent. Safe to repeat."
        ),
        scope=TokenScope.EVENTS_ERASE,
        query=ErasureQuery,
        answers={200: log_models.ErasedPayload},
        errors=(404, 409),
    ),
)
