"""When an engine scans for due endpoints, and when it claims from those it knows. The clock is the test's."""

import math
from dataclasses import replace

import pytest
from redis import Redis

from tests.conftest import Workspace
from tests.worker.attempted import URL
from tests.worker.claiming import CAPACITY, LIMITS, Clock, MakeClaimer, claim
from webhooks_app.config import Settings
from webhooks_app.jobs.wake_flag import AWAKE_KEY
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.engine_limits import ConcurrencyLimits


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
