"""Listeners over the API: begun, asked for requests, told what came of them, ended."""

from datetime import timedelta

from flask import Response, g
from sqlalchemy import Row, Select, select
from sqlalchemy.orm import selectinload

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock, ids
from webhooks_app.db.models import ApiToken, Endpoint, Listener
from webhooks_app.endpoints import signing_secrets
from webhooks_app.extensions import db, expire_read_rows, services
from webhooks_app.listeners import (
    attempt_reports,
    due_requests,
    ending,
    listener_limits,
    listener_sessions,
    past_events,
)
from webhooks_app.listeners.listener_limits import TooManyListeners, TooOften
from webhooks_app.listeners.listener_sessions import ListenerSession
from webhooks_app.listeners.past_events import AddedEvents
from webhooks_app.web.api import listener_input, listener_models
from webhooks_app.web.api.authentication import actor, current_token
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.listener_models import ClaimInput, ListenerInput, ReportInput
from webhooks_app.web.api.loading import load_workspace, refuse_unknown
from webhooks_app.web.api.operations import Operation, respond
from webhooks_app.web.middleware import logged_ids
from webhooks_app.web.responses import ask_to_wait


def list_listeners() -> Response:
    rows = db.session.execute(_live().order_by(Endpoint.id.desc())).all()
    return respond(listener_models.Listeners([_answer(row) for row in rows], None))


def start_listener(body: ListenerInput) -> Response:
    listener = listener_input.parse_listener(body, timeout_ms=load_workspace().default_timeout_ms)
    token_id, now = current_token().id, clock.now()
    try:
        if body.since_seconds is not None:
            listener_limits.check_past(services().read, g.workspace_id, token_id, now=now)
        session = listener_sessions.begin(
            services().write, services().cipher, g.workspace_id, token_id, listener, actor=actor()
        )
    except TooManyListeners as many:
        refuse(409, "too_many_listeners", f"There are {many.count} {many.what}, which is the limit.")
    except TooOften as often:
        message = f"Too many {often.what} lately. Try again in {often.seconds} seconds."
        refuse(429, "too_often", message, headers={"Retry-After": str(often.seconds)})
    if session.is_resumed:
        services().wake_ups.notify_listeners([session.endpoint_id])
    filled = AddedEvents(0, False)
    if body.since_seconds is not None:
        filled = past_events.add_past_events(
            services().databases,
            g.workspace_id,
            session.endpoint_id,
            since=now - timedelta(seconds=body.since_seconds),
            event_types=None if listener.all_events else listener.event_types,
        )
    return _started(session, filled)


def claim_requests(listener_id: str, body: ClaimInput) -> Response:
    endpoint, listener = _load_live(listener_id, body.session)
    now = clock.now()
    ends_at = listener_sessions.renew(services().write, listener, now=now)
    timeout = timedelta(milliseconds=endpoint.timeout_ms)
    due = due_requests.claim(
        services().databases, services().cipher, endpoint.id, limit=body.limit, timeout=timeout
    )
    answers = [listener_input.answer(each) for each in due]
    response = respond(listener_models.ListenerRequests(answers, clock.format_rfc3339(ends_at)))
    response.headers["Cache-Control"] = "no-store"
    if not due and body.wait_seconds:
        ask_to_wait(
            response,
            endpoint.id,
            body.wait_seconds,
            workspace_id=g.workspace_id,
            token_id=current_token().id,
            session_id=body.session,
        )
    return response


def report_attempt(listener_id: str, body: ReportInput) -> Response:
    endpoint, _ = _load(listener_id)
    report = listener_input.report(body)
    delays = services().settings.retry_delays
    try:
        recorded = attempt_reports.record(
            services().databases, services().cipher, endpoint.id, report, delays=delays
        )
    except attempt_reports.NotOfThisListener:
        refuse(422, "invalid", "This delivery is none of the listener's.", "delivery_id")
    return respond(
        listener_models.ReportResult(
            recorded.outcome.kind,
            recorded.decision.state,
            clock.format_optional(recorded.decision.next_attempt_at),
            recorded.is_current,
        )
    )


def end_listener(listener_id: str) -> Response:
    endpoint, _ = _load(listener_id)
    canceled = ending.end(services().write, endpoint.id, actor=actor())
    services().wake_ups.notify_listeners([endpoint.id])
    return respond(listener_models.EndedListener(canceled or 0))


def _load(listener_id: str) -> tuple[Endpoint, Listener]:
    """Return the token's listener, ended or not. Raises ApiError 404."""
    found = None
    if ids.is_id("ep", listener_id):
        own = select(Endpoint, Listener).join(Listener, Listener.endpoint_id == Endpoint.id)
        mine = Endpoint.id == listener_id, Listener.token_id == current_token().id
        found = db.session.execute(own.where(*mine)).first()
    return (found[0], found[1]) if found else refuse_unknown("listener")


def _load_live(listener_id: str, session: str) -> tuple[Endpoint, Listener]:
    """Return it if it is in this program's hands. Raises ApiError 404, 409 and 410."""
    endpoint, listener = _load(listener_id)
    if endpoint.deleted_at is not None or listener.ends_at <= clock.now():
        refuse(410, "listener_ended", "This listener has ended. Start it again.")
    if listener.session_id != session:
        refuse(409, "listener_taken_over", "Another program listens under this name and token by now.")
    return endpoint, listener


def _live() -> Select[Endpoint, Listener, ApiToken]:
    return (
        select(Endpoint, Listener, ApiToken)
        .join(Listener, Listener.endpoint_id == Endpoint.id)
        .join(ApiToken, ApiToken.id == Listener.token_id)
        .where(Endpoint.is_live_in(g.workspace_id))
        .options(selectinload(Endpoint.subscriptions))
    )


def _answer(row: Row[Endpoint, Listener, ApiToken]) -> listener_models.Listener:
    return listener_models.Listener(**listener_input.fields(*row))


def _started(session: ListenerSession, filled: AddedEvents) -> Response:
    """Return 201 with the signing secret, which is recorded as revealed; 200 where it goes on."""
    expire_read_rows()
    row = db.session.execute(_live().where(Endpoint.id == session.endpoint_id)).one()
    secrets = signing_secrets.reveal(services().write, services().cipher, row[0], actor=actor())
    workspace = load_workspace()
    body = listener_models.StartedListener(
        **listener_input.fields(*row),
        session=session.id,
        secret=secrets[0],
        workspace_id=workspace.id,
        workspace_name=workspace.name,
        resumed=session.is_resumed,
        added=filled.count,
        left_out=filled.has_more,
    )
    logged_ids.add_to_access_log({"endpoint_id": session.endpoint_id})
    return respond(body, 200 if session.is_resumed else 201, {"Cache-Control": "no-store"})


_TAG = "Listeners"
_PATH = "/listeners/{listener_id}"

OPERATIONS = (
    Operation(
        id="listListeners",
        method="GET",
        path="/listeners",
        view=list_listeners,
        tag=_TAG,
        summary="List listeners",
        description="Those that are there now, of all tokens of the workspace.",
        scope=TokenScope.ENDPOINTS_READ,
        answers={200: listener_models.Listeners},
    ),
    Operation(
        id="startListener",
        method="POST",
        path="/listeners",
        view=start_listener,
        tag=_TAG,
        summary="Start a listener",
        description=(
            "A short-lived endpoint whose deliveries the caller fetches; `avra listen` is made of it. Under "
            "a name that the token used before, it has the signing secret of then, and what waits if it had "
            "not ended; a program that listens under the name meanwhile is told so. It ends ten minutes "
            "after it was last asked for requests."
        ),
        scope=TokenScope.EVENTS_LISTEN,
        body=ListenerInput,
        answers={200: listener_models.StartedListener, 201: listener_models.StartedListener},
        errors=(409, 429),
    ),
    Operation(
        id="claimListenerRequests",
        method="POST",
        path=_PATH + "/claims",
        view=claim_requests,
        tag=_TAG,
        summary="Take the requests that are due",
        description=(
            "Waits up to `wait_seconds` for one. What is taken is due again if nothing is reported on it in "
            "time. 410 once the listener has ended, 409 once another program has it. A `Retry-After` asks "
            "for a pause, where too many wait at once; 429 where they are the token's own or its workspace's."
        ),
        scope=TokenScope.EVENTS_LISTEN,
        body=ClaimInput,
        answers={200: listener_models.ListenerRequests},
        errors=(404, 409, 410, 429),
    ),
    Operation(
        id="reportListenerAttempt",
        method="POST",
        path=_PATH + "/attempts",
        view=report_attempt,
        tag=_TAG,
        summary="Report what came of a request",
        description=(
            "Recorded in the log as an attempt, and retried by the same schedule; it counts towards no "
            "health and no figure. Safe to repeat."
        ),
        scope=TokenScope.EVENTS_LISTEN,
        body=ReportInput,
        answers={200: listener_models.ReportResult},
        errors=(404,),
    ),
    Operation(
        id="endListener",
        method="DELETE",
        path=_PATH,
        view=end_listener,
        tag=_TAG,
        summary="End a listener",
        description="What waits for it is canceled; its log stays. Ended already, it stays so.",
        scope=TokenScope.EVENTS_LISTEN,
        answers={200: listener_models.EndedListener},
        errors=(404,),
    ),
)
