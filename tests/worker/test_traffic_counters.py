"""What attempts add to the sums by response and by event type."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.conftest import Workspace
from tests.worker.attempted import DELIVERED, TIMED_OUT, URL, attempted, claim, claim_twice, write
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Facet, TrafficCount
from webhooks_app.extensions import db

pytestmark = pytest.mark.usefixtures("queue_matches_states")

SLOT = datetime(2026, 1, 1, 10, 5, tzinfo=UTC)
NOT_FOUND = Outcome(OutcomeClass.HTTP_4XX, status=404)


def sums(scope_id: str, facet: Facet) -> dict[tuple[datetime, str], tuple[int, int]]:
    db.session.rollback()
    rows = db.session.scalars(select(TrafficCount).filter_by(scope_id=scope_id, facet=facet))
    return {(row.starts_at, row.name): (row.count, row.failed) for row in rows}


def test_attempts_count_by_code_and_by_type_for_endpoint_and_workspace(
    workspace: Workspace, database: WriteDatabase
) -> None:
    one, other = workspace.endpoint(URL), workspace.endpoint(f"{URL}/other")
    workspace.send(2)
    claims = {(each.endpoint_id, each.event_id): each for each in claim(database, 4)}
    outcomes = {one: [DELIVERED, NOT_FOUND], other: [TIMED_OUT, NOT_FOUND]}
    for endpoint_id in (one, other):
        mine = [each for key, each in claims.items() if key[0] == endpoint_id]
        pairs = zip(mine, outcomes[endpoint_id], strict=True)
        late = timedelta(minutes=4, seconds=59)
        write(database, *(attempted(each, outcome, at=SLOT + late) for each, outcome in pairs))

    assert sums(one, Facet.RESPONSE) == {(SLOT, "200"): (1, 0), (SLOT, "404"): (1, 1)}
    assert sums(other, Facet.RESPONSE) == {(SLOT, "timeout"): (1, 1), (SLOT, "404"): (1, 1)}
    assert sums(workspace.id, Facet.RESPONSE) == {
        (SLOT, "200"): (1, 0),
        (SLOT, "404"): (2, 2),
        (SLOT, "timeout"): (1, 1),
    }
    assert sums(one, Facet.EVENT_TYPE) == {(SLOT, "batch-lifecycle"): (2, 1)}
    assert sums(workspace.id, Facet.EVENT_TYPE) == {(SLOT, "batch-lifecycle"): (4, 3)}


def test_attempts_of_one_kind_count_together(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint = workspace.endpoint(URL)
    workspace.send(5)
    outcomes = [DELIVERED, DELIVERED, NOT_FOUND, NOT_FOUND, NOT_FOUND]
    claims = zip(claim(database, 5), outcomes, strict=True)
    write(database, *(attempted(each, outcome, at=SLOT) for each, outcome in claims))
    assert sums(endpoint, Facet.RESPONSE) == {(SLOT, "200"): (2, 0), (SLOT, "404"): (3, 3)}


def test_a_late_success_and_a_stale_failure_count_as_what_is_recorded_of_them(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    first, second = claim_twice(database)
    write(database, attempted(first, DELIVERED, at=SLOT))
    write(database, attempted(second, TIMED_OUT, at=SLOT))

    assert sums(workspace.id, Facet.RESPONSE) == {(SLOT, "200"): (1, 0)}
