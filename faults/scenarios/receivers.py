"""Receivers that hang, are down for days, or cut the connection."""

import time
from datetime import timedelta
from functools import partial

from faults import journal
from faults.harness import wait_for
from faults.processes import PATIENT
from faults.registry import Options, scenario
from faults.reports import Report
from faults.system import Stack
from webhooks_app.core import clock
from webhooks_app.core.retry_schedule import DEFAULT_DELAYS, JITTER

# Under twice its baseline; the rest is what the noise of a busy small machine adds to a p99.
LARGEST_RATIO, NOISE_MS = 2.0, 60.0
SECONDS, RATE = 6.0, 30.0


@scenario("18: a hanging receiver with 10,000 behind it beside healthy ones")
def hanging_beside_healthy(stack: Stack, report: Report, options: Options) -> None:
    stack.restart(**PATIENT)
    healthy = ["batch-lifecycle"]
    stack.endpoint("ok/healthy", all_events=False, event_types=healthy)
    _p99(stack, report, options, "warm-up")  # new processes are slow at first, and would flatter the ratio
    baseline = _p99(stack, report, options, "baseline")
    hanging = stack.endpoint("always/hang/a", all_events=False, event_types=["batch-interrupt-request"])
    stack.send_many(10_000, name="behind", event_type="batch-interrupt-request")
    _compare(report, baseline, _p99(stack, report, options, "beside"))
    stack.fan_out = 1
    stack.pool.stop()  # with nothing in flight, a deletion leaves nothing unrecorded
    stack.remove(hanging)
    stack.may_end[hanging] = frozenset({"canceled"})


@scenario("20: 6 dead endpoints among 20")
def dead_among_healthy(stack: Stack, report: Report, options: Options) -> None:
    stack.restart(**PATIENT)
    healthy = [stack.endpoint(f"ok/{number}") for number in range(14)]
    _p99(stack, report, options, "warm-up", rate=5)
    baseline = _p99(stack, report, options, "baseline", rate=5)
    dead = [stack.endpoint("always/hang/a") for _ in range(6)]
    stack.fan_out = None
    _compare(report, baseline, _p99(stack, report, options, "beside", rate=5))
    report.figures |= {"healthy": len(healthy), "dead": len(dead)}
    stack.pool.stop()
    for endpoint_id in dead:
        stack.remove(endpoint_id)
        stack.may_end[endpoint_id] = frozenset({"canceled"})


def _p99(stack: Stack, report: Report, options: Options, word: str, rate: float = RATE) -> float:
    """Milliseconds from the 202 to the arrival at healthy endpoints, with all of them arrived."""
    offset = stack.receiver_journal.stat().st_size
    seed = f"{options.seed}{word}"
    stack.nursery.wait(stack.produce(rate=rate, seconds=SECONDS, seed=seed), 60)
    time.sleep(1)
    accepted = stack.created_at()
    arrivals = [
        line["at"] - accepted[line["id"]].timestamp()
        for line in journal.read(stack.receiver_journal, offset)
        if line.get("path", "").startswith("/ok/")
    ]
    p99 = float(sorted(arrivals)[int(len(arrivals) * 0.99)]) * 1000
    report.figures[f"{word} p99 ms of {len(arrivals)}"] = p99
    return p99


def _compare(report: Report, baseline: float, beside: float) -> None:
    report.figures["ratio"] = beside / baseline
    report.require(
        beside < LARGEST_RATIO * baseline + NOISE_MS,
        f"healthy p99 from {baseline:.0f} to {beside:.0f} ms",
    )


@scenario("19: down for two days of simulated time: the schedule completes, jittered")
def down_for_days(stack: Stack, report: Report, options: Options) -> None:
    """The clock of web and workers jumps from one retry to the next."""
    stack.endpoint("always/500/a")
    stack.restart(WEBHOOKS_RETRY_DELAYS=",".join(map(str, DEFAULT_DELAYS)))
    began = time.monotonic()
    stack.send_many(30, name="days")
    spreads: list[int] = []
    for turn, delay in enumerate(DEFAULT_DELAYS, start=1):
        wait_for(partial(_has_attempts, stack, 30 * turn), 40, f"attempt {turn}")
        due = stack.due_times()
        now = clock.now() + timedelta(seconds=stack.clock_moved_seconds)
        shortest, longest = ((moment - now).total_seconds() for moment in (min(due), max(due)))
        # Since the first was recorded, so much time has passed at most.
        since = time.monotonic() - began
        report.require(
            delay - since <= shortest and longest <= delay * (1 + JITTER),
            f"attempt {turn + 1} waits for {shortest:.0f} to {longest:.0f} s, planned {delay:.0f}",
        )
        spreads.append(len(set(due)))
        stack.clock_moved_seconds += longest + 1
        stack.pool.stop()
        began = time.monotonic()
        stack.pool.start()
    report.figures["settled after s"] = stack.settle()
    report.figures["simulated hours"] = stack.clock_moved_seconds / 3600
    report.figures["distinct due times"] = min(spreads)
    report.require(min(spreads) >= 25, "retries fall due at the same moment")
    report.require(stack.attempt_count() == 300, f"{stack.attempt_count()} attempts of 300")
    report.schedule_length = len(DEFAULT_DELAYS)


def _has_attempts(stack: Stack, count: int) -> bool:
    return stack.attempt_count() >= count


@scenario("21: the connection cut after the request was written: retried, same id")
def connection_cut(stack: Stack, report: Report, options: Options) -> None:
    stack.answer_with("cutter", "cut")
    stack.endpoint("switch/cutter")
    stack.send_many(100, name="cut")
    wait_for(lambda: stack.arrival_count() >= 100, 30, "the first requests")
    time.sleep(1)
    stack.answer_with("cutter", "200")
    report.figures["settled after s"] = stack.settle()
    report.figures["outcomes"] = str(stack.outcomes())
