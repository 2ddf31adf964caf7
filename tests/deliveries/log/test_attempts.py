"""A delivery’s attempts with where their time went, and its payload."""

import pytest
from sqlalchemy import select

from tests.conftest import Workspace
from tests.deliveries.conftest import page
from tests.receivers import Answer, Receiver
from webhooks_app.core.outcomes import OutcomeClass, Timings
from webhooks_app.db.models import Event
from webhooks_app.deliveries.log.attempts import Phase, phases, read_attempts, read_payload
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine


def test_attempts_come_newest_first_with_their_phases(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(503, b"\x00\xff", {"X-Trace": "abc"}, delay_seconds=0.05)
    engine.run(seconds=60)
    row = page(workspace).rows[0]

    [attempt] = read_attempts(db.session(), row.id, row.attempt_count, full=True)

    assert (attempt.number, attempt.response, attempt.is_unanswered) == (1, "503", False)
    assert {phase.name: phase.ms for phase in attempt.phases}["Wait"] >= 45
    assert abs(sum(phase.ms for phase in attempt.phases) - attempt.total_ms) < 0.01
    assert (attempt.response_body, attempt.is_truncated) == (b"\x00\xff", False)
    assert attempt.id == f"att_{row.id.removeprefix('dlv_')}0001"
    db.session.rollback()
    body = db.session.scalars(select(Event.body)).one()
    assert read_payload(db.session(), row.event_id, limit=10) == (body[:10], len(body))
    assert (row.status, row.response, row.attempts_in_schedule) == ("retrying", "503", 1)


def timings(**values: object) -> object:
    return type("Row", (), {"status": None, "remote_address": None, **vars_of(Timings()), **values})


def vars_of(item: Timings) -> dict[str, int]:
    return {name: getattr(item, name) for name in Timings.__slots__}


@pytest.mark.parametrize(
    ("outcome", "values", "names"),
    [
        ("success", {"first_byte_us": 900, "total_us": 1000, "status": 200}, ["Wait", "Download"]),
        ("dns", {"total_us": 1000}, ["DNS"]),
        ("connect", {"dns_us": 10, "total_us": 1000}, ["DNS", "Connect"]),
        ("tls", {"dns_us": 10, "connect_us": 20, "total_us": 1000}, ["DNS", "Connect", "TLS"]),
        ("timeout", {"dns_us": 10, "total_us": 1000}, ["DNS", "Connect"]),
        ("timeout", {"remote_address": "::1", "total_us": 1000}, ["Wait"]),
        (
            "timeout",
            {"connect_us": 5, "first_byte_us": 9, "total_us": 1000, "status": 200},
            ["Connect", "Wait", "Download"],
        ),
        ("secret", {}, []),
    ],
)
def test_the_last_phase_is_where_it_ended(outcome: str, values: dict[str, object], names: list[str]) -> None:
    result = phases(timings(**values), OutcomeClass(outcome))
    assert [phase.name for phase in result] == names
    assert all(isinstance(phase, Phase) and phase.ms > 0 for phase in result)
