"""What all requests of an endpoint carry is stored once, and each attempt still shows all that was sent."""

import json

import pytest
from sqlalchemy import Connection, delete, event, insert, select, update
from sqlalchemy.exc import OperationalError

from tests.conftest import Workspace
from tests.failing import failing
from tests.receivers import Receiver
from tests.worker.attempted import URL, attempts, claim
from webhooks_app.core import clock, ids
from webhooks_app.core.text_display import MASK
from webhooks_app.db import engines
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ConstantHeaders, Endpoint, ProcessReport
from webhooks_app.extensions import db
from webhooks_app.monitoring.own_report import WEB
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.constant_headers import StoredHeaders
from webhooks_app.worker.engine import DeliveryEngine


def stored() -> list[tuple[str, str]]:
    db.session.rollback()
    rows = db.session.execute(select(ConstantHeaders.endpoint_id, ConstantHeaders.headers))
    return [(row.endpoint_id, row.headers) for row in rows]


def claimed_with(database: WriteDatabase, *headers: str) -> list[ClaimedDelivery]:
    some = claim(database, len(headers))
    for each, constant in zip(some, headers, strict=True):
        each.constant_headers = constant
    return some


def test_attempts_refer_to_one_row_until_the_endpoint_is_changed(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url, headers=[("X-Tenant", "s3cret")])
    workspace.send()
    engine.run(seconds=60)
    workspace.send()
    engine.run(seconds=60)
    with database.begin() as connection:
        changed = update(Endpoint).where(Endpoint.id == endpoint_id)
        connection.execute(changed.values(url=receiver.url + "/two", updated_at=clock.now()))
    workspace.send()
    engine.run(seconds=60)

    assert [owner for owner, _ in stored()] == [endpoint_id] * 2
    sent = [json.loads(each.request_headers) for each in attempts()]
    assert [dict(each)[":path"] for each in sent] == ["/hooks", "/hooks", "/hooks/two"]
    for logged, request in zip(sent, receiver.received, strict=True):
        own = {name: value for name, value in logged if name.startswith("webhook-")}
        assert own == {name: request.headers[name] for name in own}
        assert dict(logged)["X-Tenant"] == MASK
    digests = [each.headers_digest for each in attempts()]
    assert digests[0] == digests[1] != digests[2]
    assert all(each.packed_heads and each.packed_heads[0] == 3 for each in attempts())


def test_nothing_refers_while_a_process_runs_that_could_not_read_it(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    now = clock.now()
    row = {"id": ids.new("prc"), "kind": WEB, "host": "one", "pid": 1, "version": "0", "started_at": now}
    row |= {"reported_at": now, "clock_ahead_ms": 0, "state": {}, "counters": {}, "reads_format": 1}
    with database.begin() as connection:
        connection.execute(insert(ProcessReport).values(row))
    workspace.endpoint(receiver.url)
    workspace.send()
    engine.run(seconds=60)

    assert stored() == []
    [attempt] = attempts()
    assert attempt.packed_heads is not None
    assert attempt.headers_digest is None
    assert dict(json.loads(attempt.request_headers))[":path"] == "/hooks"


def test_two_workers_store_the_same_once(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    some = claimed_with(database, ',["a","b"]')
    first, second = (StoredHeaders(database).digests(some) for _ in range(2))
    assert first == second
    assert first[endpoint_id, ',["a","b"]'] is not None
    assert stored() == [(endpoint_id, ',["a","b"]')]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_is_referred_to_is_on_disk_though_outcomes_do_not_wait_for_it(
    workspace: Workspace, database_url: str
) -> None:
    engine = engines.open_engine(database_url, waits_for_disk=False)
    hurried = engines.databases_of(engine).write
    ends: list[str] = []

    def note(connection: Connection) -> None:
        ends.append(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())

    workspace.endpoint(URL)
    workspace.send()
    some = claimed_with(hurried, ',["a","b"]')
    event.listen(engine, "commit", note)
    StoredHeaders(hurried).digests(some)
    with hurried.begin():
        pass
    engine.dispose()
    assert ends == ["on", "off"]


def test_what_a_database_lost_that_came_back_is_stored_again(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    some, key = claimed_with(database, ',["a","b"]'), (endpoint_id, ',["a","b"]')
    known = StoredHeaders(database)
    before = dict(known.digests(some))
    with database.begin() as connection:
        connection.execute(delete(ConstantHeaders))
    db.session.rollback()
    db.engine.dispose()

    with database.begin():  # as whoever notices first
        pass
    assert known.digests(some) == before
    assert stored() == [key]


def test_headers_of_one_digest_are_told_apart(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    some = claimed_with(database, ',["a","b"]')
    StoredHeaders(database).digests(some)
    with database.begin() as connection:
        connection.execute(update(ConstantHeaders).values(headers=',["of","the same digest"]'))
    assert StoredHeaders(database).digests(some)[endpoint_id, ',["a","b"]'] is None


def test_an_endpoint_that_changes_often_has_few_rows(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    workspace.send()
    known = StoredHeaders(database, most_each=1)
    first, second = claimed_with(database, ',["a","1"]', ',["a","2"]')
    known.digests([first])
    assert known.digests([second])[endpoint_id, ',["a","2"]'] is None
    assert stored() == [(endpoint_id, ',["a","1"]')]


def test_past_so_many_that_are_known_all_are_looked_up_anew(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(URL)
    for _ in range(3):
        workspace.send()
    known = StoredHeaders(database, remembered=1)
    one, two, three = claimed_with(database, *(f',["a","{number}"]' for number in range(3)))
    known.digests([one, two])
    found = known.digests([two, three])
    assert set(found) == {(endpoint_id, each.constant_headers) for each in (two, three)}
    assert None not in found.values()


def test_while_the_database_does_not_answer_none_counts_as_known(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    some, known = claimed_with(database, ',["a","b"]'), StoredHeaders(database)
    with failing(database, "INSERT INTO constant_headers"), pytest.raises(OperationalError):
        known.digests(some)
    assert known.digests(some)[endpoint_id, ',["a","b"]'] is not None


def test_without_its_endpoint_nothing_is_stored_and_no_outcome_lost(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    [claimed] = claimed_with(database, ',["a","b"]')
    claimed.endpoint_id = "ep_00000000000000000000000000"
    assert set(StoredHeaders(database).digests([claimed]).values()) == {None}


@pytest.mark.parametrize("others", [0, 1, 2])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_the_database_refuses_stays_in_the_attempt_and_keeps_no_other_from_sharing(
    workspace: Workspace, database: WriteDatabase, caplog: pytest.LogCaptureFixture, others: int
) -> None:
    endpoint_id = workspace.endpoint(URL)
    for _ in range(1 + others):
        workspace.send()
    refused, *taken = ',["a","\0"]', *(f',["a","{number}"]' for number in range(others))
    digests = StoredHeaders(database).digests(claimed_with(database, refused, *taken))

    assert digests[endpoint_id, refused] is None
    assert all(digests[endpoint_id, each] is not None for each in taken)
    assert sorted(stored()) == [(endpoint_id, each) for each in taken]
    told = [each for each in caplog.records if each.message == "headers_not_shared"]
    assert [each.__dict__["endpoint_id"] for each in told] == [endpoint_id]
