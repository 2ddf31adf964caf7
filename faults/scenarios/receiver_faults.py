"""Receivers that hang, are down for days, or cut the connection."""

import time
from datetime import timedelta
from functools import partial

from faults import journal
from faults.platform_processes import LONG_LEASE
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.core import clock
from webhooks_app.core.retry_schedule import DEFAULT_DELAYS, JITTER

# The p99 must stay under twice its baseline, plus what the noise of a busy small machine adds to it.
LARGEST_RATIO, NOISE_MS = 2.0, 60.0
SECONDS, RATE = 6.0, 30.0


@scenario("18: a hanging receiver with 10,000 behind it beside healthy ones")
def hanging_beside_healthy(system: System, report: Report, options: Options) -> None:
    system.restart(**LONG_LEASE)
    healthy = ["batch-lifecycle"]
    system.endpoint("ok/healthy", all_events=False, event_types=healthy)
    # New processes are slow at first, which would raise the baseline.
    _p99(system, report, options, "warm-up")
    baseline = _p99(system, report, options, "baseline")
    hanging = system.endpoint("always/hang/a", all_events=False, event_types=["batch-interrupt-request"])
    system.send_many(10_000, name="behind", event_type="batch-interrupt-request")
    beside = _p99(system, report, options, "beside")
    system.fan_out = 1
    _remove(system, [hanging])
    _compare(system, report, options, baseline=baseline, beside=beside)


@scenario("20: 6 dead endpoints among 20")
def dead_among_healthy(system: System, report: Report, options: Options) -> None:
    system.restart(**LONG_LEASE)
    healthy = [system.endpoint(f"ok/{number}") for number in range(14)]
    _p99(system, report, options, "warm-up", rate=5)
    baseline = _p99(system, report, options, "baseline", rate=5)
    dead = [system.endpoint("always/hang/a") for _ in range(6)]
    system.fan_out = None
    beside = _p99(system, report, options, "beside", rate=5)
    report.figures |= {"healthy": len(healthy), "dead": len(dead)}
    _remove(system, dead)
    _compare(system, report, options, baseline=baseline, beside=beside, rate=5)


def _remove(system: System, endpoint_ids: list[str]) -> None:
    system.pool.stop()  # with nothing in flight, a deletion leaves nothing unrecorded
    for endpoint_id in endpoint_ids:
        system.remove(endpoint_id)
        system.allowed_ends[endpoint_id] = frozenset({"canceled"})
    system.pool.start()


def _p99(system: System, report: Report, options: Options, phase: str, rate: float = RATE) -> float:
    """Return the p99 of the milliseconds from accepting an event to its arrival at a healthy endpoint."""
    offset = system.receiver_journal.stat().st_size
    seed = f"{options.seed}{phase}"
    system.fork_client.wait(system.produce(rate=rate, seconds=SECONDS, seed=seed), 60)
    time.sleep(1)
    accepted = system.created_at()
    arrivals = [
        line["at"] - accepted[line["id"]].timestamp()
        for line in journal.read(system.receiver_journal, offset)
        if line.get("path", "").startswith("/ok/")
    ]
    p99 = float(sorted(arrivals)[int(len(arrivals) * 0.99)]) * 1000
    report.figures[f"{phase} p99 ms of {len(arrivals)}"] = p99
    return p99


def _compare(
    system: System, report: Report, options: Options, *, baseline: float, beside: float, rate: float = RATE
) -> None:
    """Require that what was measured beside them is hardly slower than without them: before, or now."""
    report.figures["ratio"] = beside / baseline
    if beside >= LARGEST_RATIO * baseline + NOISE_MS:  # or the machine has become busier meanwhile
        _p99(system, report, options, "second warm-up", rate)
        baseline = max(baseline, _p99(system, report, options, "after", rate))
    report.require(
        beside < LARGEST_RATIO * baseline + NOISE_MS,
        f"healthy p99 from {baseline:.0f} to {beside:.0f} ms",
    )


@scenario("19: down for two days of simulated time: the schedule completes, jittered")
def down_for_days(system: System, report: Report, options: Options) -> None:
    """Move the clock of web and workers from one retry to the next."""
    system.endpoint("always/500/a")
    system.restart(WEBHOOKS_RETRY_DELAYS=",".join(map(str, DEFAULT_DELAYS)))
    began = time.monotonic()
    system.send_many(30, name="days")
    spreads: list[int] = []
    for turn, delay in enumerate(DEFAULT_DELAYS, start=1):
        wait_for(partial(_has_attempts, system, 30 * turn), 40, f"attempt {turn}")
        due = system.due_times()
        now = clock.now() + timedelta(seconds=system.clock_offset_seconds)
        shortest, longest = ((moment - now).total_seconds() for moment in (min(due), max(due)))
        # At most so many seconds have passed since the first attempt of this turn was recorded.
        since = time.monotonic() - began
        report.require(
            delay - since <= shortest and longest <= delay * (1 + JITTER),
            f"attempt {turn + 1} waits for {shortest:.0f} to {longest:.0f} s, planned {delay:.0f}",
        )
        spreads.append(len(set(due)))
        system.clock_offset_seconds += longest + 1
        system.pool.stop()
        began = time.monotonic()
        system.pool.start()
    report.figures["settled after s"] = system.settle()
    report.figures["simulated hours"] = system.clock_offset_seconds / 3600
    report.figures["distinct due times"] = min(spreads)
    report.require(min(spreads) >= 25, "retries fall due at the same moment")
    report.require(system.attempt_count() == 300, f"{system.attempt_count()} attempts of 300")
    report.schedule_length = len(DEFAULT_DELAYS)


def _has_attempts(system: System, count: int) -> bool:
    return system.attempt_count() >= count


@scenario("21: the connection cut after the request was written: retried, same id")
def connection_cut(system: System, report: Report, options: Options) -> None:
    system.set_switch("cutter", "cut")
    system.endpoint("switch/cutter")
    system.send_many(100, name="cut")
    wait_for(lambda: system.arrival_count() >= 100, 30, "the first requests")
    time.sleep(1)
    system.set_switch("cutter", "200")
    report.figures["settled after s"] = system.settle()
    report.figures["outcomes"] = str(system.outcomes())
