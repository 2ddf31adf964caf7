"""Redis loses what it knows, and the scheduler dies: nothing of the truth was theirs."""

import shutil
import time

from rq_scheduler import Scheduler

from faults.harness import Group, wait_for
from faults.processes import DELAYS, PATIENT
from faults.registry import Options, scenario
from faults.reports import Report
from faults.system import Stack
from webhooks_app.jobs.scheduler import SWEEP_ID
from webhooks_app.jobs.wake_ups import AWAKE, DELIVER_DUE, QUEUE_NAME, delivery_queue

BACKLOG = 10_000
HOUR_SECONDS = 3600.0


@scenario("4: FLUSHALL with 10,000 queued")
def flushall(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("ok/a")
    stack.pool.stop()
    stack.send_many(BACKLOG, name="queued")
    stack.pool.start()
    wait_for(lambda: stack.pending() < BACKLOG * 0.9, 60, "the backlog on its way")
    with stack.redis.client() as client:
        client.flushall()
        report.figures["pending at the FLUSHALL"] = stack.pending()
        report.figures["drained after s"] = stack.settle(90)
        report.figures["sweep scheduled again after s"] = wait_for(
            lambda: client.zscore(Scheduler.scheduled_jobs_key, SWEEP_ID), 20, "the sweep's return"
        )


@scenario("4: FLUSHALL while retries wait and nobody sends")
def flushall_in_silence(stack: Stack, report: Report, options: Options) -> None:
    stack.answer_with("silence", "500")
    stack.restart(WEBHOOKS_RETRY_DELAYS="4,4,4,4,4,4")
    stack.endpoint("switch/silence")
    stack.send_many(50, name="silent")
    wait_for(lambda: stack.attempt_count() >= 50, 20, "the first attempts")
    stack.answer_with("silence", "200")
    with stack.redis.client() as client:
        client.flushall()
    report.figures["drained after s"] = stack.settle(45)


@scenario("5: Redis restarted with and without its file")
def redis_restarted(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint(f"mix/{options.seed}/restart")
    for forget in (False, True):
        stack.send_many(500, name=f"restart-{forget}")
        stack.redis.kill(forget=forget)
        time.sleep(0.5)
        stack.redis.start()
        word = "without" if forget else "with"
        report.figures[f"drained {word} file after s"] = stack.settle(60)


@scenario("6: Redis restored from an old snapshot: stale jobs are no-ops")
def old_snapshot(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("ok/a")
    stack.pool.stop()
    stack.send_many(300, name="old")
    _enqueue(stack, 20)
    stack.redis.stop()
    snapshot = stack.folder / "snapshot"
    shutil.rmtree(snapshot, ignore_errors=True)
    shutil.copytree(stack.redis.folder, snapshot, ignore=shutil.ignore_patterns("*.sock"))
    stack.heal()
    stack.settle()
    arrived = stack.arrival_count()
    stack.redis.kill(forget=True)
    for path in snapshot.iterdir():
        shutil.copy(path, stack.redis.folder / path.name)
    stack.redis.start()
    with stack.redis.client() as client:
        report.figures["stale jobs"] = client.llen(f"rq:queue:{QUEUE_NAME}")
        wait_for(lambda: client.llen(f"rq:queue:{QUEUE_NAME}") == 0, 30, "the stale jobs' run")
    time.sleep(0.5)
    report.require(stack.arrival_count() == arrived == 300, "a stale job sent something")


@scenario("11: the same job a hundred times: one send each")
def hundred_jobs(stack: Stack, report: Report, options: Options) -> None:
    stack.armed = PATIENT
    for number in range(4):
        stack.endpoint(f"ok/{number}")
    stack.pool.stop()
    stack.send_many(250, name="once")
    _enqueue(stack, 100)
    stack.pool.start()
    report.figures["settled after s"] = stack.settle()
    report.require(stack.arrival_count() == 1000, f"{stack.arrival_count()} arrivals of 1000 deliveries")


@scenario("13: the scheduler killed, its lock left behind, dead for an hour: an alarm shows, then it drains")
def scheduler_killed(stack: Stack, report: Report, options: Options) -> None:
    """The hour is one of web's and workers' clock, which the scheduler does not read."""
    stack.answer_with("away", "500")
    stack.endpoint("switch/away")
    stack.follow_clock(WEBHOOKS_RETRY_DELAYS=",".join(["30"] * len(DELAYS)))
    report.require(stack.health() == (200, []), f"before: {stack.health()}")
    [scheduler] = stack.schedulers
    scheduler.kill()
    with stack.redis.client() as client:
        client.set(Scheduler.scheduler_lock_key, time.time(), ex=11)
    stack.send_many(100, name="unscheduled")
    wait_for(lambda: stack.attempt_count() >= 100, 20, "the first attempts")
    _wait_for_rest(stack)
    stack.move_clock(HOUR_SECONDS)
    _require_alarms(stack, report)
    stack.answer_with("away", "200")
    scheduler.start()
    report.figures["drained after s"] = stack.settle(40)
    report.figures["quiet after s"] = wait_for(lambda: stack.health() == (200, []), 20, "the alarms' end")


def _wait_for_rest(stack: Stack) -> None:
    """Until no run is awake any more, which would see the clock jump and leave nothing overdue."""
    with stack.redis.client() as client:
        queue = delivery_queue(client)
        wait_for(lambda: not queue.count and not client.exists(AWAKE), 20, "the runs' end")
        time.sleep(0.5)  # one that has just taken its job is awake by then
        wait_for(lambda: not client.exists(AWAKE), 20, "the last run's end")


def _require_alarms(stack: Stack, report: Report) -> None:
    status, problems = stack.health()
    for words in ("The scheduler has been silent for 60 min", "one has been due for"):
        report.require(any(words in each for each in problems), f"no alarm that says {words!r}: {problems}")
    report.require(status == 503, f"{status} for whoever watches, with the scheduler dead")


@scenario("14: two schedulers, two sweepers: nothing doubled")
def two_schedulers(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint(f"mix/{options.seed}/two")
    second = stack.add_scheduler()
    _run_for(stack, second, options)
    report.figures["settled after s"] = stack.settle()
    with stack.redis.client() as client:
        scheduled = client.zrange(Scheduler.scheduled_jobs_key, 0, -1)
    report.require(scheduled.count(SWEEP_ID.encode()) == 1, "the sweep is not scheduled once")


def _run_for(stack: Stack, second: Group, options: Options) -> None:
    producer = stack.produce(rate=60, seconds=4, seed=options.seed)
    stack.nursery.wait(producer, 30)
    second.kill()
    stack.schedulers.remove(second)


def _enqueue(stack: Stack, how_many: int) -> None:
    with stack.redis.client() as client:
        queue = delivery_queue(client)
        for _ in range(how_many):
            queue.enqueue_call(DELIVER_DUE, timeout=300, result_ttl=0)
