"""Faults while the API accepts events: every 202 is kept, and none is given for what cannot be kept."""

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faults.api_requests import ApiResponse
from faults.databases import Postgresql
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for

# How long a producer may wait for its 202 while Redis is away: as long as `webhooks_app.jobs.wake_ups` waits
# for Redis, which each web process does once in two seconds, and some more for a busy machine.
LONGEST_ACCEPT_MS = 1500
# So many of a state's requests, which come one after the other, may meet a shared machine standing still.
STALLED_REQUESTS = 2
# After an error the web leaves Redis alone for two seconds, which would hide the next one.
PAUSE_SECONDS = 2.2
# The sweep finds within this time what no worker was woken for.
SWEEP_BOUND_SECONDS = 35


@scenario("1: killed before the commit, after it, before the wake-up")
def accept_killed(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    system.restart(FAILPOINTS="accept.committing=1")
    unanswered = [system.send().status for _ in range(5)]
    system.restart(FAILPOINTS="accept.committed=1")
    rows = system.event_count()
    unanswered += [system.send().status for _ in range(5)]
    system.restart()
    report.require(set(unanswered) == {0}, f"a killed process answered: {unanswered}")
    report.require(rows == 0, f"{rows} events are there of transactions that were not committed")
    report.require(system.event_count() == 5, f"{system.event_count()} of 5 committed events are there")
    report.figures["unwoken deliveries arrived after s"] = system.settle(SWEEP_BOUND_SECONDS)


@scenario("2: Redis down, hanging, full at accept")
def redis_gone_at_accept(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    for state, redis_in_state in (("hanging", _hanging), ("down", _down), ("full", _full)):
        time.sleep(PAUSE_SECONDS)
        with redis_in_state(system):
            answers = [system.send() for _ in range(40)]
        times = [answer.duration_ms for answer in answers]
        report.figures |= {f"{state} p50 ms": statistics.median(times), f"{state} max ms": max(times)}
        report.require(
            {answer.status for answer in answers} == {202}, f"not every event was accepted with Redis {state}"
        )
        longest = sorted(times)[-1 - (STALLED_REQUESTS if options.shares_machine else 0)]
        report.require(longest < LONGEST_ACCEPT_MS, f"{longest:.0f} ms with Redis {state}")
    report.figures["settled after s"] = system.settle()


@contextmanager
def _down(system: System) -> Iterator[None]:
    system.redis.kill(delete_file=True)
    yield
    system.redis.start()


@contextmanager
def _hanging(system: System) -> Iterator[None]:
    system.redis.signal(signal.SIGSTOP)
    yield
    system.redis.signal(signal.SIGCONT)


@contextmanager
def _full(system: System) -> Iterator[None]:
    with system.redis.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@scenario("3: the database down or locked at accept: 503, never 202")
def database_gone_at_accept(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    system.send()
    system.settle()
    answers = []
    with system.database.locked():
        answers += _post_for(1.0, system.send)
    report.figures["accepts again after s"] = wait_for(
        lambda: system.send().status == 202, 10, "the next 202"
    )
    if isinstance(system.database, Postgresql):
        with _stopped(system.database):
            answers += _post_for(1.0, system.send)
    report.figures |= {
        "answers": ", ".join(sorted({str(answer.status) for answer in answers})),
        "longest ms": max(answer.duration_ms for answer in answers),
    }
    report.require({answer.status for answer in answers} == {503}, "not 503 with the database gone")
    wait_for(lambda: system.send().status == 202, 10, "the next 202")


@contextmanager
def _stopped(database: Postgresql) -> Iterator[None]:
    database.stop()
    yield
    database.start()


def _post_for(seconds: float, post: Callable[[], ApiResponse]) -> list[ApiResponse]:
    until = time.monotonic() + seconds
    answers = [post()]
    while time.monotonic() < until:
        answers.append(post())
    return answers


@scenario("16, 29: disk full", only="sqlite")
def disk_full(system: System, report: Report, options: Options) -> None:
    """Let no process write a file beyond its first page, which to SQLite is a full disk."""
    system.endpoint("mix/full/a")
    system.send_many(200, name="before")
    system.limit_files(4096)
    during = [system.send().status for _ in range(10)]
    system.limit_files(None)
    report.figures["answers"] = ", ".join(map(str, sorted(set(during))))
    report.require(202 not in during, "an event was accepted on a full disk")
    report.require(system.send().status == 202, "nothing is accepted after the disk has room again")
    report.figures["settled after s"] = system.settle()
