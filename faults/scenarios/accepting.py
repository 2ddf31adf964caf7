"""What happens at the door: a 202 is kept, whatever is down, and none is given that cannot be."""

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faults.databases import Postgresql
from faults.driver import Answer
from faults.harness import wait_for
from faults.registry import Options, scenario
from faults.reports import Report
from faults.system import Stack

# How long a producer may wait for its 202 while Redis is away: once per web process and two seconds, the
# patience that `webhooks_app.jobs.wake_ups` has with Redis, and some for a busy machine.
LONGEST_ACCEPT_MS = 1500
# After an error the web leaves Redis alone for two seconds, which would hide the next one.
PAUSE_SECONDS = 2.2
# What the sweep may need to find what nobody was woken for.
SWEEP_BOUND_SECONDS = 35
# A writer waits so long for SQLite's lock before it gives up.
SQLITE_PATIENCE_SECONDS = 5


@scenario("1: killed before the commit, after it, before the wake-up")
def accept_killed(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("ok/a")
    stack.restart(FAILPOINTS="accept.committing=1")
    unanswered = [stack.send().status for _ in range(5)]
    stack.restart(FAILPOINTS="accept.committed=1")
    rows = stack.event_count()
    unanswered += [stack.send().status for _ in range(5)]
    stack.restart()
    report.require(set(unanswered) == {0}, f"a killed process answered: {unanswered}")
    report.require(rows == 0, f"{rows} events were kept of transactions that never committed")
    report.require(stack.event_count() == 5, f"{stack.event_count()} of 5 committed events are there")
    report.figures["unwoken deliveries arrived after s"] = stack.settle(SWEEP_BOUND_SECONDS)


@scenario("2: Redis down, hanging, full at accept")
def redis_gone_at_accept(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("ok/a")
    for word, gone in (("hanging", _hanging), ("down", _down), ("full", _full)):
        time.sleep(PAUSE_SECONDS)
        with gone(stack):
            answers = [stack.send() for _ in range(40)]
        times = [answer.milliseconds for answer in answers]
        report.figures |= {f"{word} p50 ms": statistics.median(times), f"{word} max ms": max(times)}
        report.require(
            {answer.status for answer in answers} == {202}, f"not every event was accepted with Redis {word}"
        )
        report.require(max(times) < LONGEST_ACCEPT_MS, f"{max(times):.0f} ms with Redis {word}")
    report.figures["settled after s"] = stack.settle()


@contextmanager
def _down(stack: Stack) -> Iterator[None]:
    stack.redis.kill(forget=True)
    yield
    stack.redis.start()


@contextmanager
def _hanging(stack: Stack) -> Iterator[None]:
    stack.redis.signal(signal.SIGSTOP)
    yield
    stack.redis.signal(signal.SIGCONT)


@contextmanager
def _full(stack: Stack) -> Iterator[None]:
    with stack.redis.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@scenario("3: the database down or locked at accept: 503, never 202")
def database_gone_at_accept(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("ok/a")
    stack.send()
    stack.settle()
    answers = []
    with stack.database.locked():
        answers += _post_for(1.0, stack.send)
    report.figures["accepts again after s"] = wait_for(lambda: stack.send().status == 202, 10, "the next 202")
    if isinstance(stack.database, Postgresql):
        with _stopped(stack.database):
            answers += _post_for(1.0, stack.send)
    report.figures |= {
        "answers": ", ".join(sorted({str(answer.status) for answer in answers})),
        "longest ms": max(answer.milliseconds for answer in answers),
    }
    report.require({answer.status for answer in answers} == {503}, "not 503 with the database gone")
    wait_for(lambda: stack.send().status == 202, 10, "the next 202")


@contextmanager
def _stopped(database: Postgresql) -> Iterator[None]:
    database.stop()
    yield
    database.start()


def _post_for(seconds: float, post: Callable[[], Answer]) -> list[Answer]:
    until = time.monotonic() + seconds
    answers = [post()]
    while time.monotonic() < until:
        answers.append(post())
    return answers


@scenario("16: disk full", only="sqlite")
def disk_full(stack: Stack, report: Report, options: Options) -> None:
    """Every process may write no file beyond its first page, which SQLite meets as a full disk."""
    stack.endpoint("mix/full/a")
    stack.send_many(200, name="before")
    stack.limit_files(4096)
    during = [stack.send().status for _ in range(10)]
    stack.limit_files(None)
    report.figures["answers"] = ", ".join(map(str, sorted(set(during))))
    report.require(202 not in during, "an event was accepted on a full disk")
    report.require(stack.send().status == 202, "nothing is accepted after the disk has room again")
    report.figures["settled after s"] = stack.settle()
