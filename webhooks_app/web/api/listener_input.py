"""Between the API's models of listeners and what `listeners` takes and gives."""

import re
from base64 import b64decode
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from webhooks_app.core import clock, url_masking, visible_text
from webhooks_app.core.clock import format_rfc3339
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.column_types import from_microseconds, microseconds
from webhooks_app.db.models import ApiToken, Endpoint, Listener
from webhooks_app.listeners import attempt_reports
from webhooks_app.listeners.attempt_reports import AttemptReport
from webhooks_app.listeners.due_requests import DueRequest
from webhooks_app.listeners.listener_sessions import NewListener
from webhooks_app.transport.target_urls import LONGEST_URL
from webhooks_app.web.api.endpoint_input import check_event_type
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.listener_models import (
    NAME_PATTERN,
    ListenerInput,
    ListenerOwner,
    ListenerRequest,
    ReportInput,
)

_CLAIM = re.compile(r"([0-9]{1,9})\.([0-9]{1,17})")


def parse_listener(body: ListenerInput, *, timeout_ms: int) -> NewListener:
    """Return what is asked for; `timeout_ms` holds where it names none. Raises ApiError 422."""
    if not re.fullmatch(NAME_PATTERN, body.name):
        refuse(422, "invalid", "It does not have the required form.", "name")
    for position, name in enumerate(body.event_types):
        check_event_type(name, f"event_types[{position}]")
    return NewListener(
        name=body.name,
        all_events=not body.event_types,
        event_types=body.event_types,
        timeout_ms=body.timeout_seconds * 1000 if body.timeout_seconds else timeout_ms,
        forward_to=url_masking.mask_url(_target(body.forward_to, "forward_to"))[:LONGEST_URL],
    )


def fields(endpoint: Endpoint, listener: Listener, token: ApiToken) -> dict[str, Any]:
    """Return the fields of `listener_models.Listener`."""
    return {
        "id": endpoint.id,
        "name": listener.name,
        "token": ListenerOwner(token.id, token.name),
        "forward_to": listener.forward_to,
        "event_types": endpoint.event_types,
        "timeout_seconds": -(-endpoint.timeout_ms // 1000),
        "started_at": format_rfc3339(listener.started_at),
        "ends_at": format_rfc3339(listener.ends_at),
    }


def answer(due: DueRequest) -> ListenerRequest:
    return ListenerRequest(
        delivery_id=due.delivery_id,
        event_id=due.event_id,
        claim=f"{due.generation}.{microseconds(due.claimed_at)}",
        attempt=due.number,
        is_test=due.is_test,
        headers=due.headers,
        body=due.body.decode(),
    )


def report(body: ReportInput) -> AttemptReport:
    """Return what is reported. Raises ApiError 422."""
    if (body.status is None) == (body.failure is None):
        refuse(422, "invalid", "Give either a status or a failure.", "status")
    if body.failure is not None and body.failure not in attempt_reports.FAILURES:
        refuse(422, "invalid", "It is not one of the allowed values.", "failure")
    generation, claimed_at = _claim(body.claim)
    return AttemptReport(
        delivery_id=body.delivery_id,
        generation=generation,
        claimed_at=claimed_at,
        target=_target(body.target, "target"),
        status=body.status or 0,
        failure=OutcomeClass(body.failure) if body.failure else None,
        detail=body.detail,
        response_headers=_head(body),
        response_body=_body(body),
        is_truncated=body.is_truncated,
        first_byte_us=min(body.first_byte_us, body.total_us),
        total_us=body.total_us,
        retry_after=_retry_after(body),
    )


def _claim(claim: str) -> tuple[int, datetime]:
    """Return the generation and the moment of a claim. Raises ApiError 422, also for one of long ago."""
    found, now = _CLAIM.fullmatch(claim), clock.now()
    moment = from_microseconds(int(found[2])) if found else now - attempt_reports.OLDEST_CLAIM
    if not found or not now - attempt_reports.OLDEST_CLAIM < moment < now + attempt_reports.CLOCK_DIFFERENCE:
        refuse(422, "invalid", "This claim is no longer good.", "claim")
    return int(found[1]), moment


def _retry_after(body: ReportInput) -> str:
    named = (value for name, value in body.response_headers if name.lower() == "retry-after")
    return next(named, "")


def _target(url: str, field: str) -> str:
    """Return the URL. Raises ApiError 422 for what is none, or could not be stored or shown."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url or not url.isprintable() or visible_text.has_unseen(url):
        refuse(422, "invalid", "Give a URL that begins with http:// or https://.", field)
    return url


def _head(body: ReportInput) -> bytes:
    """Return the head of the answer as a server sends it (RFC 9112, section 4)."""
    if body.status is None:
        return b""
    known = body.status in set(HTTPStatus)
    lines = [f"HTTP/1.1 {body.status} {HTTPStatus(body.status).phrase if known else ''}".rstrip()]
    lines += [f"{name}: {value}" for name, value in body.response_headers]
    return ("\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines) + "\r\n\r\n").encode(
        "utf-8", "replace"
    )


def _body(body: ReportInput) -> bytes:
    try:
        return b64decode(body.response_body_base64, validate=True)
    except ValueError:
        refuse(422, "invalid", "This is no base64.", "response_body_base64")
