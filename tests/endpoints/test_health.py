"""How an endpoint does, in six words that mean the same everywhere, on attempts as workers record them."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from tests.conftest import TESTER, Workspace
from tests.web.endpoints import load
from tests.worker.attempted import attempted, deliveries, make_due
from webhooks_app import config
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import EndpointHealth
from webhooks_app.deliveries import replays
from webhooks_app.endpoints import actions, health
from webhooks_app.endpoints.health import HealthState
from webhooks_app.extensions import db, services
from webhooks_app.worker import claims
from webhooks_app.worker.recording import record

URL = "http://127.0.0.1:9/"
OK = Outcome(OutcomeClass.SUCCESS, status=200)
NOT_FOUND = Outcome(OutcomeClass.HTTP_4XX, status=404)
DOCUMENT = (config.ROOT / "docs" / "health.md").read_text()


@pytest.fixture
def endpoint_id(workspace: Workspace) -> str:
    return workspace.endpoint(URL)


def attempt(database: WriteDatabase, endpoint_id: str, *outcomes: Outcome) -> None:
    """One attempt for each outcome, of whatever is due."""
    for outcome in outcomes:
        now = clock.now()
        with database.begin() as connection:
            [claim] = claims.claim_due(connection, {endpoint_id: 1}, now=now, lease=timedelta(minutes=2))
        record(database, [attempted(claim, outcome, at=now)], now=now)


def state(endpoint_id: str) -> HealthState:
    db.session.rollback()
    return health.read(db.session(), endpoint_id)


def test_an_endpoint_is_untried_until_something_was_sent(endpoint_id: str) -> None:
    assert state(endpoint_id) is HealthState.UNTRIED


def test_a_success_makes_it_healthy(workspace: Workspace, endpoint_id: str, database: WriteDatabase) -> None:
    workspace.send()
    attempt(database, endpoint_id, OK)
    assert state(endpoint_id) is HealthState.HEALTHY


def test_one_failure_among_successes_degrades_it_until_it_is_delivered(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(4)
    attempt(database, endpoint_id, OK, NOT_FOUND)
    assert state(endpoint_id) is HealthState.DEGRADED
    attempt(database, endpoint_id, OK, OK)
    assert state(endpoint_id) is HealthState.DEGRADED  # one still waits
    make_due(database)
    attempt(database, endpoint_id, OK)
    assert state(endpoint_id) is HealthState.HEALTHY


def test_three_failures_in_a_row_are_failing_until_one_succeeds(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(5)
    attempt(database, endpoint_id, OK, NOT_FOUND, NOT_FOUND)
    assert state(endpoint_id) is HealthState.DEGRADED
    attempt(database, endpoint_id, NOT_FOUND)
    assert state(endpoint_id) is HealthState.FAILING
    attempt(database, endpoint_id, OK)
    assert state(endpoint_id) is HealthState.DEGRADED


def test_an_endpoint_that_never_took_anything_fails_from_the_first_on(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    attempt(database, endpoint_id, NOT_FOUND)
    assert state(endpoint_id) is HealthState.FAILING


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (OutcomeClass.SECRET, HealthState.FAILING),
        (OutcomeClass.PLATFORM, HealthState.DEGRADED),
        (OutcomeClass.CRASHED, HealthState.DEGRADED),
        (OutcomeClass.PAYLOAD, HealthState.DEGRADED),
    ],
)
def test_of_our_own_failures_only_an_unreadable_secret_is_failing(
    workspace: Workspace,
    endpoint_id: str,
    database: WriteDatabase,
    outcome: OutcomeClass,
    found: HealthState,
) -> None:
    workspace.send(2)
    attempt(database, endpoint_id, OK, Outcome(outcome))
    assert state(endpoint_id) is found


def test_a_replay_of_what_was_delivered_degrades_nothing(
    app: Flask, workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    attempt(database, endpoint_id, OK)
    [delivery] = deliveries()
    replays.replay(database, services(app).wake_ups, workspace.id, delivery.id, actor=TESTER)
    assert state(endpoint_id) is HealthState.HEALTHY


def test_who_disabled_it_tells_whether_it_needs_attention(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    actions.disable(database, load(endpoint_id), actor=TESTER)
    assert state(endpoint_id) is HealthState.DISABLED
    actions.enable(database, load(endpoint_id), send_held=True, actor=TESTER)
    workspace.send()
    attempt(database, endpoint_id, Outcome(OutcomeClass.HTTP_410, status=410))
    assert state(endpoint_id) is HealthState.AUTO_DISABLED
    assert HealthState.AUTO_DISABLED in health.NEEDS_ATTENTION
    assert HealthState.DISABLED not in health.NEEDS_ATTENTION


def test_enabling_after_a_streak_makes_it_untried(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(2)
    attempt(database, endpoint_id, OK, Outcome(OutcomeClass.HTTP_410, status=410))
    actions.enable(database, load(endpoint_id), send_held=False, actor=TESTER)
    assert state(endpoint_id) is HealthState.UNTRIED


def test_states_are_counted_for_one_workspace(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, make_workspace: object
) -> None:
    other = workspace.endpoint(URL, name="Other")
    actions.remove(database, load(workspace.endpoint(URL, name="Gone")), actor=TESTER)
    actions.disable(database, load(other), actor=TESTER)
    db.session.rollback()
    assert health.count_states(db.session(), workspace.id) == {
        HealthState.UNTRIED: 1,
        HealthState.DISABLED: 1,
    }
    assert health.count_states(db.session(), "ws_none") == {}


def test_the_last_failure_has_the_code_that_it_was_answered_with(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send(3)
    assert health.last_failure(load(endpoint_id).health) is None
    attempt(database, endpoint_id, NOT_FOUND)
    found = health.last_failure(load(endpoint_id).health)
    assert found and found.label == "404 Rejected"
    attempt(database, endpoint_id, Outcome(OutcomeClass.TIMEOUT))
    found = health.last_failure(load(endpoint_id).health)
    assert found and found.label == "Timed out"
    attempt(database, endpoint_id, OK)
    found = health.last_failure(load(endpoint_id).health)
    assert found and found.label == "Timed out"


def test_a_code_that_belongs_to_an_earlier_failure_is_not_shown(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    attempt(database, endpoint_id, NOT_FOUND)
    with database.begin() as connection:  # as code from before the upgrade records it
        connection.execute(update(EndpointHealth).values(last_failure_outcome="timeout"))
    found = health.last_failure(load(endpoint_id).health)
    assert found and found.code == ""


def test_the_document_says_the_same_in_the_same_order() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| **")]
    assert [row.split(" | ")[:2] for row in rows] == [
        [f"| **{each.label}** `{each.value}`", each.meaning] for each in HealthState
    ]
