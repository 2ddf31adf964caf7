"""What a program reports becomes an attempt: at its place in the schedule, with so much of the answer."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Workspace
from tests.listeners.listening import begin, claim
from tests.worker.attempted import attempts, make_due
from webhooks_app.core import clock
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.core.retry_schedule import JITTER
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState
from webhooks_app.extensions import services
from webhooks_app.listeners import attempt_reports
from webhooks_app.listeners.attempt_reports import RECORDED_BYTES, AttemptReport, Recorded
from webhooks_app.listeners.due_requests import DueRequest

DELAYS = (100.0, 10_000.0)


def record(endpoint_id: str, request: DueRequest, status: int = 503, **more: Any) -> Recorded:
    report = AttemptReport(
        delivery_id=request.delivery_id,
        generation=request.generation,
        claimed_at=request.claimed_at,
        target="http://localhost:3000/hooks",
        status=status,
        failure=None,
        detail="",
        response_headers=b"",
        response_body=b"",
        is_truncated=False,
        first_byte_us=0,
        total_us=1000,
    )
    found = services()
    return attempt_reports.record(
        found.databases, found.cipher, endpoint_id, replace(report, **more), delays=DELAYS
    )


def test_each_failure_is_followed_by_its_own_delay_of_the_schedule(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = begin(workspace).endpoint_id
    workspace.send()
    for number, delay in enumerate(DELAYS, start=1):
        [request] = claim(endpoint_id)
        assert request.number == number
        before = clock.now()
        due_at = record(endpoint_id, request).decision.next_attempt_at
        after = clock.now()
        assert due_at is not None
        assert before + timedelta(seconds=delay) <= due_at <= after + timedelta(seconds=delay * (1 + JITTER))
        make_due(database)
    [last] = claim(endpoint_id)
    assert record(endpoint_id, last).decision.state is DeliveryState.FAILED


def test_an_attempt_began_when_its_request_did(workspace: Workspace) -> None:
    """Not when it was taken: what is taken together is handed on one after the other."""
    endpoint_id = begin(workspace).endpoint_id
    workspace.send()
    workspace.send()
    first, second = claim(endpoint_id)
    early = first.claimed_at - timedelta(seconds=10)
    before = clock.now()
    record(endpoint_id, replace(first, claimed_at=early), 200, total_us=4_000_000)
    after = clock.now()
    record(endpoint_id, second, 200, total_us=1_800_000_000)
    began = {attempt.delivery_id: attempt.started_at for attempt in attempts()}
    took = timedelta(seconds=4)
    assert before - took <= began[first.delivery_id] <= after - took
    assert began[second.delivery_id] == second.claimed_at  # it cannot have begun before


@pytest.mark.parametrize(
    ("length", "is_cut_by_program", "is_truncated"),
    [(RECORDED_BYTES, False, False), (RECORDED_BYTES + 1, False, True), (10, True, True)],
)
def test_so_much_of_an_answer_is_kept_and_whether_there_was_more(
    workspace: Workspace, length: int, is_cut_by_program: bool, is_truncated: bool
) -> None:
    endpoint_id = begin(workspace).endpoint_id
    workspace.send()
    [request] = claim(endpoint_id)
    answered = {"response_body": b"b" * length, "is_truncated": is_cut_by_program}
    record(endpoint_id, request, 200, response_headers=b"h" * (RECORDED_BYTES + 1), **answered)
    [attempt] = attempts()
    kept = b"b" * min(length, RECORDED_BYTES)
    assert (attempt.response_body, attempt.response_truncated) == (kept, is_truncated)
    assert attempt.response_headers == b"h" * RECORDED_BYTES


def test_a_410_is_a_wrong_path_of_the_program_and_retried(workspace: Workspace) -> None:
    endpoint_id = begin(workspace).endpoint_id
    workspace.send()
    [request] = claim(endpoint_id)
    recorded = record(endpoint_id, request, 410)
    assert (recorded.outcome.kind, recorded.decision.state) == (OutcomeClass.HTTP_4XX, DeliveryState.PENDING)


def test_what_a_lost_claim_reports_is_said_to_be_stale_and_uses_nothing_up(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = begin(workspace).endpoint_id
    workspace.send()
    [stale] = claim(endpoint_id)
    make_due(database)
    [current] = claim(endpoint_id)
    assert not record(endpoint_id, stale).is_current
    assert record(endpoint_id, current).is_current
    make_due(database)
    [request] = claim(endpoint_id)
    assert request.number == 2
