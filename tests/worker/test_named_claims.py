"""What is claimed by the names in wake-ups, before a scan. The clock is the test's."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from redis import Redis
from sqlalchemy import Connection, event, update

from tests.conftest import Workspace
from tests.worker.attempted import URL
from tests.worker.claiming import CAPACITY, LIMITS, Clock, MakeClaimer, claim
from webhooks_app.config import Settings
from webhooks_app.core.clock import now
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Endpoint, EndpointHealth
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claimer as claimer_module
from webhooks_app.worker.claimer import Claimer
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.engine_limits import ConcurrencyLimits

NAMING = replace(LIMITS, unscanned_endpoints=2)


@pytest.fixture
def named(make_claimer: MakeClaimer, clock: Clock) -> Claimer:
    """A claimer that goes by names, and has scanned when there was nothing."""
    claimer = scanned(make_claimer(NAMING))
    assert clock.scans == 1
    return claimer


def scanned(claimer: Claimer) -> Claimer:
    """It has begun its run, and found nothing."""
    claimer.start_run()
    assert claim(claimer) == 0
    return claimer


def test_what_a_wake_up_names_is_claimed_before_a_scan_confirms_that_it_was_all(
    workspace: Workspace, named: Claimer, clock: Clock
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    assert claim(named) == 1
    assert clock.scans == 1

    assert named.expects_more
    assert claim(named) is None
    assert named.rest_seconds == NAMING.scan_interval_seconds
    clock.now += NAMING.scan_interval_seconds + 1
    assert named.rest_seconds == 0
    assert claim(named) == 0
    assert clock.scans == 2
    assert not named.expects_more


@pytest.mark.parametrize("slots", [1, 2])
def test_a_claim_that_may_have_left_some_is_followed_by_a_scan(
    workspace: Workspace, named: Claimer, clock: Clock, slots: int
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    assert claim(named, slots) == slots
    assert clock.scans == 1
    clock.now += 1
    assert claim(named) == 3 - slots
    assert clock.scans == 2


def test_what_was_named_to_a_run_that_is_full_by_now_is_scanned_for(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock
) -> None:
    claimer = scanned(make_claimer(replace(NAMING, pause_seconds_each=1.0, longest_pause_seconds=5.0)))
    workspace.endpoint(URL)
    workspace.send(2)
    assert claim(claimer) == 2
    workspace.send()
    assert claim(claimer, 1) is None  # it rests
    assert claim(claimer, 0) is None
    clock.now += 2
    assert claim(claimer, 1) == 1
    assert clock.scans == 2


@pytest.mark.parametrize("count", [1, 3], ids=["of a version that names none", "to many endpoints"])
def test_what_no_wake_up_names_is_scanned_for_at_once(
    workspace: Workspace, named: Claimer, clock: Clock, settings: Settings, count: int
) -> None:
    for _ in range(count):
        workspace.endpoint(URL)
    workspace.send()
    if count == 1:
        with Redis.from_url(settings.redis_url) as redis:
            redis.delete("webhooks:named")
    assert claim(named) == count
    assert clock.scans == 2


def test_the_names_of_several_wake_ups_come_together(
    workspace: Workspace, named: Claimer, clock: Clock
) -> None:
    for number in range(2):
        workspace.endpoint(f"{URL}/{number}")
        workspace.send()
    assert claim(named) == 3
    assert clock.scans == 1


def test_while_others_are_known_to_be_due_a_scan_lets_all_have_their_share(
    workspace: Workspace, named: Claimer, clock: Clock, wake_ups: WakeUps
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    wake_ups.wake_worker()
    assert claim(named, 1) == 1  # which leaves two known to be due
    clock.now += 1
    workspace.send()
    assert claim(named) == 3
    assert clock.scans == 3


def test_an_endpoint_with_a_rate_limit_is_claimed_from_by_that(
    workspace: Workspace, named: Claimer, clock: Clock
) -> None:
    workspace.endpoint(URL, rate_per_second=10)
    workspace.send(5)
    assert claim(named) == 0
    assert claim(named) == 1  # after a scan, as many as a tenth of a second allows
    assert clock.scans == 2


def test_an_endpoint_that_has_used_up_its_rate_limit_is_left_alone_until_something_is_back(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.endpoint(URL, rate_per_second=10)
    workspace.send(5)
    moments = [now() + timedelta(seconds=1)]
    monkeypatch.setattr(claimer_module, "clock", SimpleNamespace(now=lambda: moments[-1]))
    claimer = make_claimer()
    claimer.start_run()
    assert claim(claimer) == 1
    assert claim(claimer) is None
    moments.append(moments[-1] + timedelta(seconds=0.1))
    assert claim(claimer) == 1
    assert clock.scans == 1


def test_nothing_is_claimed_of_an_endpoint_that_asked_for_a_pause(
    workspace: Workspace, named: Claimer, databases: Databases
) -> None:
    workspace.endpoint(URL)
    with databases.write.begin() as connection:
        connection.execute(update(EndpointHealth).values(rate_free_at=now() + timedelta(seconds=30)))
    workspace.send()
    assert claim(named) == 0
    assert claim(named) == 0


def test_what_is_named_while_it_rests_is_claimed_after_the_rest(
    workspace: Workspace, make_claimer: MakeClaimer
) -> None:
    claimer = scanned(make_claimer(replace(NAMING, pause_seconds_each=1.0, longest_pause_seconds=5.0)))
    workspace.endpoint(URL)
    workspace.send(3)
    assert claim(claimer) == 3
    workspace.send()
    assert claim(claimer) is None
    assert claimer.rest_seconds == 3


def test_what_is_named_and_has_no_room_costs_no_transaction(
    workspace: Workspace, make_claimer: MakeClaimer
) -> None:
    concurrency = Concurrency(CAPACITY, ConcurrencyLimits(initial=1))
    claimer = scanned(make_claimer(NAMING, concurrency))
    concurrency.start_request(workspace.endpoint(URL))
    workspace.send()
    begun: list[Connection] = []
    note = begun.append
    event.listen(db.engine, "begin", note)
    assert claim(claimer) == 0
    event.remove(db.engine, "begin", note)
    assert begun == []


def test_what_was_named_is_claimed_from_the_end_of_its_pause_on(
    workspace: Workspace,
    named: Claimer,
    databases: Databases,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    moment = now()
    with databases.write.begin() as connection:
        connection.execute(update(EndpointHealth).values(rate_free_at=moment))
    monkeypatch.setattr(claimer_module, "clock", SimpleNamespace(now=lambda: moment))
    assert (claim(named), clock.scans) == (1, 1)


def test_what_a_deleted_listener_leaves_is_claimed_as_that_of_others(
    workspace: Workspace, named: Claimer, databases: Databases, clock: Clock
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    with databases.write.begin() as connection:
        connection.execute(update(Endpoint).values(is_listener=True, deleted_at=now()))
    assert (claim(named), clock.scans) == (1, 1)


def test_nothing_is_claimed_of_a_listener(workspace: Workspace, named: Claimer, databases: Databases) -> None:
    workspace.endpoint(URL)
    with databases.write.begin() as connection:
        connection.execute(update(Endpoint).values(is_listener=True))
    workspace.send()
    assert claim(named) == 0
    assert claim(named) == 0


@pytest.mark.parametrize(
    ("deliveries", "endpoints", "brings_bodies"), [(2, 1, True), (1, 1, False), (2, 2, False)]
)
def test_a_claim_of_few_from_few_endpoints_brings_their_bodies_but_for_sqlite(
    workspace: Workspace,
    make_claimer: MakeClaimer,
    databases: Databases,
    deliveries: int,
    endpoints: int,
    brings_bodies: bool,
) -> None:
    claimer = make_claimer(replace(LIMITS, deliveries_with_bodies=deliveries, endpoints_with_bodies=1))
    for _ in range(endpoints):
        workspace.endpoint(URL)
    workspace.send()
    claimed = claimer.claim(2, is_sending=False) or []
    is_brought = brings_bodies and databases.write.dialect.name == "postgresql"
    assert [each.body is not None for each in claimed] == [is_brought] * endpoints


def test_a_claim_before_a_scan_is_of_few_where_it_brings_their_bodies(
    workspace: Workspace, make_claimer: MakeClaimer, databases: Databases, clock: Clock
) -> None:
    claimer = scanned(make_claimer(replace(NAMING, deliveries_with_bodies=2)))
    workspace.endpoint(URL)
    workspace.send(3)
    brings_bodies = databases.write.dialect.name == "postgresql"
    claimed = claimer.claim(16, is_sending=False) or []
    assert [each.body is not None for each in claimed] == ([True] * 2 if brings_bodies else [False] * 3)
    clock.now += 1
    assert (claim(claimer) or 0) == 3 - len(claimed)
