"""Recoveries over the API: counted, started, watched, canceled."""

from flask import Response, g
from msgspec import to_builtins
from sqlalchemy import select

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock
from webhooks_app.core.clock import format_optional, format_rfc3339
from webhooks_app.db.models import Recovery
from webhooks_app.deliveries import recoveries, recovery_progress
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.deliveries.recovery_progress import RecoveryOutcomes
from webhooks_app.extensions import db, expire_read_rows, services
from webhooks_app.web.api import log_models, paging
from webhooks_app.web.api.authentication import actor
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.loading import check_endpoint, load_recovery
from webhooks_app.web.api.operations import Operation, respond
from webhooks_app.web.api.query_models import PageQuery, RecoveryInput


def list_recoveries(query: PageQuery) -> Response:
    own = select(Recovery).where(Recovery.workspace_id == g.workspace_id)
    rows, cursor = paging.read_newest(own, Recovery.id, query, "rcv")
    return respond(log_models.Recoveries([_answer(each) for each in rows], cursor))


def start_recovery(body: RecoveryInput) -> Response:
    try:
        recovery_id = recoveries.start(
            services().databases,
            services().wake_ups,
            g.workspace_id,
            _filter(body),
            action=body.action,
            rate_per_second=body.rate_per_second,
            actor=actor(),
        )
    except FilterError as error:
        refuse(422, "invalid", str(error), error.field)
    except recoveries.AlreadyRunning as running:
        other = f"Recovery {running.recovery_id} of the same endpoint or over all"
        refuse(409, "already_running", f"{other} is running. Wait for its end, or cancel it.")
    except recoveries.NothingToRecover:
        refuse(409, "nothing_to_recover", "No delivery matches, so nothing was started.")
    return respond(_answer(load_recovery(recovery_id)), 202)


def count_recovery(body: RecoveryInput) -> Response:
    try:
        counted = recoveries.preview(
            db.session(), g.workspace_id, _filter(body), action=body.action, now=clock.now()
        )
    except FilterError as error:
        refuse(422, "invalid", str(error), error.field)
    return respond(log_models.RecoveryCount(counted.count, counted.is_all))


def read_recovery(recovery_id: str) -> Response:
    recovery = load_recovery(recovery_id)
    answer = _answer(recovery)
    answer.outcomes = _outcomes(recovery_progress.read_outcomes(db.session(), recovery))
    return respond(answer)


def cancel_recovery(recovery_id: str) -> Response:
    recovery = load_recovery(recovery_id)
    if not recoveries.stop(services().write, recovery, actor=actor()):
        refuse(409, "finished", "This recovery has ended already.")
    expire_read_rows()
    return respond(_answer(load_recovery(recovery_id)))


def _filter(body: RecoveryInput) -> LogFilter:
    """Return the filter. Raises FilterError, and ApiError 404 for the endpoint."""
    given = to_builtins(body).items()
    arguments = {name: value for name, value in given if value and name not in ("action", "rate_per_second")}
    log_filter = filters.parse(arguments)
    if log_filter.endpoint:
        check_endpoint(log_filter.endpoint)
    return log_filter


def _answer(recovery: Recovery) -> log_models.Recovery:
    return log_models.Recovery(
        id=recovery.id,
        action=recovery.action,
        rate_per_second=recovery.rate_per_second,
        state=recovery.state,
        filter=filters.spell_for_machines(recovery.filter),
        total=recovery.total,
        handled=recovery.handled,
        left_out=recovery.left_out,
        without_payload=recovery.without_payload,
        started_by=recovery.started_by,
        created_at=format_rfc3339(recovery.created_at),
        finished_at=format_optional(recovery.finished_at),
    )


def _outcomes(counted: RecoveryOutcomes) -> log_models.RecoveryOutcomes:
    return log_models.RecoveryOutcomes(
        delivered=counted.delivered,
        pending=counted.pending,
        retrying=counted.retrying,
        failed=counted.failed,
        canceled=counted.canceled,
        held=counted.held,
    )


_TAG = "Recoveries"

OPERATIONS = (
    Operation(
        id="listRecoveries",
        method="GET",
        path="/recoveries",
        view=list_recoveries,
        tag=_TAG,
        summary="List recoveries",
        scope=TokenScope.DELIVERIES_READ,
        query=PageQuery,
        answers={200: log_models.Recoveries},
    ),
    Operation(
        id="startRecovery",
        method="POST",
        path="/recoveries",
        view=start_recovery,
        tag=_TAG,
        summary="Start a recovery",
        description=(
            "Sends, replays or cancels in the background every delivery that the filter finds. One at a time "
            "for each endpoint, and one over all."
        ),
        scope=TokenScope.DELIVERIES_REPLAY,
        body=RecoveryInput,
        answers={202: log_models.Recovery},
        errors=(404, 409, 422),
    ),
    Operation(
        id="countRecovery",
        method="POST",
        path="/recoveries/count",
        view=count_recovery,
        tag=_TAG,
        summary="Count what a recovery would look at",
        description="Starts nothing.",
        scope=TokenScope.DELIVERIES_READ,
        body=RecoveryInput,
        answers={200: log_models.RecoveryCount},
        errors=(404, 422),
    ),
    Operation(
        id="getRecovery",
        method="GET",
        path="/recoveries/{recovery_id}",
        view=read_recovery,
        tag=_TAG,
        summary="Read how far a recovery is",
        scope=TokenScope.DELIVERIES_READ,
        answers={200: log_models.Recovery},
        errors=(404,),
    ),
    Operation(
        id="cancelRecovery",
        method="POST",
        path="/recoveries/{recovery_id}/cancel",
        view=cancel_recovery,
        tag=_TAG,
        summary="Cancel a recovery",
        description="What it has done by then stays done.",
        scope=TokenScope.DELIVERIES_REPLAY,
        answers={200: log_models.Recovery},
        errors=(404, 409),
    ),
)
