"""When an engine scans for due endpoints, and when it claims from those it knows. The clock is the test's."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from redis import Redis
from sqlalchemy import Connection, update

from tests.conftest import Workspace
from tests.worker.attempted import LEASE, URL
from webhooks_app.config import Settings
from webhooks_app.core.clock import now
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Endpoint, EndpointHealth
from webhooks_app.jobs.wake_flag import AWAKE_KEY
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claimer as claimer_module
from webhooks_app.worker import endpoint_scan
from webhooks_app.worker.claimer import Claimer
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.endpoint_scan import DueEndpoint
from webhooks_app.worker.engine_limits import ClaimLimits, ConcurrencyLimits

# Long enough that no scan comes by time alone, unless a test says so; and none is left out.
LIMITS = ClaimLimits(scan_interval_seconds=3600, unscanned_endpoints=0)
CAPACITY = 100

MakeClaimer = Callable[..., Claimer]


class Clock:
    """Stands still; a scan takes `scan_seconds`, and `scanned_after` holds the cursor of each."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.scan_seconds = 0.0
        self.scanned_after: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def scan(self, connection: Connection, *, after: str, count: int) -> list[DueEndpoint]:
        self.scanned_after.append(after)
        self.now += self.scan_seconds
        return endpoint_scan.scan(connection, after=after, count=count)

    @property
    def scans(self) -> int:
        return len(self.scanned_after)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(claimer_module, "time", made)
    monkeypatch.setattr(claimer_module, "endpoint_scan", SimpleNamespace(scan=made.scan))
    return made


@pytest.fixture
def make_claimer(databases: Databases, wake_ups: WakeUps, clock: Clock) -> MakeClaimer:
    def make(limits: ClaimLimits = LIMITS, concurrency: Concurrency | None = None) -> Claimer:
        chosen = concurrency or Concurrency(CAPACITY, ConcurrencyLimits(initial=64))
        return Claimer(databases, wake_ups, chosen, lease=LEASE, limits=limits)

    return make


def claim(claimer: Claimer, free_slots: int = 16, *, is_sending: bool = False) -> int | None:
    """How many deliveries were claimed; None if it was not worth it."""
    claimed = claimer.claim(free_slots, is_sending=is_sending)
    return None if claimed is None else len(claimed)


def test_a_run_begins_with_a_scan_and_needs_no_other(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    claimer = make_claimer()
    assert not claimer.expects_more
    claimer.start_run()
    assert claimer.expects_more

    assert claim(claimer, 2) == 2
    assert claimer.expects_more
    assert claim(claimer, 2) == 1
    assert claimer.claimed == 3
    assert not claimer.expects_more
    assert claim(claimer) is None
    assert clock.scans == 1


def test_a_scan_that_finds_nothing_was_worth_it(make_claimer: MakeClaimer, clock: Clock) -> None:
    claimer = make_claimer()
    claimer.start_run()
    assert claim(claimer) == 0
    assert not claimer.expects_more


def test_a_new_run_scans_from_the_beginning_and_counts_anew(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock
) -> None:
    for number in range(3):
        workspace.endpoint(f"{URL}/{number}")
    workspace.send()
    claimer = make_claimer(replace(LIMITS, endpoints_per_scan=1))
    for _ in range(2):
        claimer.start_run()
        assert claim(claimer) is not None
        assert claimer.claimed <= 1
    assert clock.scanned_after == ["", ""]


@pytest.mark.parametrize(("free_slots", "is_taken"), [(1, True), (0, False), (-1, False)])
def test_a_request_is_taken_by_a_run_that_has_a_free_slot(
    workspace: Workspace,
    make_claimer: MakeClaimer,
    wake_ups: WakeUps,
    clock: Clock,
    free_slots: int,
    is_taken: bool,
) -> None:
    claimer = make_claimer()
    claimer.start_run()
    claim(claimer)
    workspace.endpoint(URL)
    wake_ups.start_run()
    workspace.send()

    assert claim(claimer, free_slots) == (1 if is_taken else None)
    assert (wake_ups.take_request() is None) is is_taken


@pytest.mark.parametrize(("allowed", "claimed"), [(64, 2), (1, 1)])
def test_a_run_that_is_full_calls_another_worker_for_what_it_knows(
    workspace: Workspace, make_claimer: MakeClaimer, settings: Settings, allowed: int, claimed: int
) -> None:
    """Though it were one request that the endpoint may have in flight."""
    workspace.endpoint(URL)
    workspace.send(3)
    claimer = make_claimer(concurrency=Concurrency(CAPACITY, ConcurrencyLimits(initial=allowed)))
    claimer.start_run()
    assert claim(claimer, 2) == claimed
    with Redis.from_url(settings.redis_url) as redis:
        redis.delete("rq:queue:deliveries")
        assert claim(claimer, 0) is None
        assert redis.llen("rq:queue:deliveries") == 1


def test_each_step_keeps_the_run_awake(make_claimer: MakeClaimer, settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        claimer = make_claimer()
        redis.delete(AWAKE_KEY)
        claim(claimer)
        assert redis.exists(AWAKE_KEY)


@pytest.mark.parametrize(("seconds", "scans"), [(0.25, 1), (0.26, 2)])
def test_a_scan_comes_by_time_alone(
    make_claimer: MakeClaimer, clock: Clock, seconds: float, scans: int
) -> None:
    claimer = make_claimer(replace(LIMITS, scan_interval_seconds=0.25))
    claimer.start_run()
    claim(claimer)
    clock.now += seconds
    claim(claimer)
    assert clock.scans == scans


@pytest.mark.parametrize(("rest_seconds", "scans"), [(0, 1), (3.9, 1), (4.0, 1), (4.5, 2)])
def test_while_endpoints_are_known_a_requested_scan_waits_for_four_times_the_last_ones_duration(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock, rest_seconds: float, scans: int
) -> None:
    workspace.endpoint(URL)
    workspace.send(9)
    claimer = make_claimer()
    claimer.start_run()
    clock.scan_seconds = 1
    assert claim(claimer, 2) == 2
    claimer.request_scan()
    clock.now += rest_seconds - 1  # the rest counts from the scan's start
    claim(claimer, 2)
    assert clock.scans == scans


def test_a_requested_scan_comes_at_once_while_no_endpoint_is_known(
    make_claimer: MakeClaimer, clock: Clock
) -> None:
    claimer = make_claimer()
    claimer.start_run()
    clock.scan_seconds = 1
    claim(claimer)
    claimer.request_scan()
    claim(claimer)
    assert clock.scans == 2


def test_a_requested_scan_waits_the_longer_the_more_the_last_claim_found(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    claimer = make_claimer(replace(LIMITS, pause_seconds_each=1.0, longest_pause_seconds=5.0))
    claimer.start_run()
    assert claim(claimer, 64) == 3
    assert claimer.rest_seconds == math.inf  # as nothing is requested

    workspace.send(9)
    claimer.request_scan()
    assert claimer.rest_seconds == 3
    assert claim(claimer, 64) is None
    clock.now += 3
    assert claimer.rest_seconds == 0
    assert claim(claimer, 64) == 9

    workspace.send()
    claimer.request_scan()
    assert claimer.rest_seconds == 5
    claimer.start_run()
    assert claim(claimer, 64) == 1


@pytest.mark.parametrize(
    ("count", "free_slots", "scans"), [(1, 1, 2), (1, 0, 1), (9, 2, 1), (9, 7, 1), (9, 9, 2), (9, 60, 2)]
)
def test_the_next_stretch_is_scanned_once_the_endpoints_known_do_not_fill_the_free_slots(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock, count: int, free_slots: int, scans: int
) -> None:
    """Of the first of two endpoints, at most eight requests may be in flight, whatever is due."""
    for number in range(2):
        workspace.endpoint(f"{URL}/{number}")
    workspace.send(count)
    concurrency = Concurrency(CAPACITY, ConcurrencyLimits(initial=8))
    claimer = make_claimer(replace(LIMITS, endpoints_per_scan=1), concurrency)
    claimer.start_run()
    claim(claimer, 1 if count > 1 else 2)

    claim(claimer, free_slots)

    assert clock.scans == scans


def test_a_scan_as_long_as_a_stretch_may_not_be_the_last(
    workspace: Workspace, make_claimer: MakeClaimer, clock: Clock
) -> None:
    for number in range(2):
        workspace.endpoint(f"{URL}/{number}")
    workspace.send()
    claimer = make_claimer(replace(LIMITS, endpoints_per_scan=2))
    claimer.start_run()
    assert claim(claimer) == 2
    assert claimer.expects_more
    assert claim(claimer) == 0
    assert not claimer.expects_more


@pytest.mark.parametrize(
    ("free_slots", "is_sending", "later_seconds", "is_claimed"),
    [
        (1, False, 0, True),
        (0, False, 0, False),
        (1, True, 0, False),
        (3, True, 0, False),
        (4, True, 0, True),
        (1, True, 0.02, False),
        (1, True, 0.03, True),
    ],
)
def test_a_busy_run_claims_many_or_after_a_while(
    workspace: Workspace,
    make_claimer: MakeClaimer,
    clock: Clock,
    free_slots: int,
    is_sending: bool,
    later_seconds: float,
    is_claimed: bool,
) -> None:
    workspace.endpoint(URL)
    workspace.send(9)
    claimer = make_claimer(replace(LIMITS, worthwhile_count=4, interval_seconds=0.025))
    claimer.start_run()
    assert claim(claimer, 2) == 2

    clock.now += later_seconds

    assert claim(claimer, free_slots, is_sending=is_sending) == (free_slots if is_claimed else None)
    assert clock.scans == 1
    assert claimer.claimed == 2 + (free_slots if is_claimed else 0)


NAMING = replace(LIMITS, unscanned_endpoints=2)


@pytest.fixture
def named(make_claimer: MakeClaimer, clock: Clock) -> Claimer:
    """A claimer that goes by names, and has scanned when there was nothing."""
    claimer = make_claimer(NAMING)
    claimer.start_run()
    assert claim(claimer) == 0
    assert clock.scans == 1
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
    claimer = make_claimer(replace(NAMING, pause_seconds_each=1.0, longest_pause_seconds=5.0))
    claimer.start_run()
    assert claim(claimer) == 0
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
    claimer = make_claimer(replace(NAMING, deliveries_with_bodies=2))
    claimer.start_run()
    assert claim(claimer) == 0
    workspace.endpoint(URL)
    workspace.send(3)
    brings_bodies = databases.write.dialect.name == "postgresql"
    claimed = claimer.claim(16, is_sending=False) or []
    assert [each.body is not None for each in claimed] == ([True] * 2 if brings_bodies else [False] * 3)
    clock.now += 1
    assert (claim(claimer) or 0) == 3 - len(claimed)
