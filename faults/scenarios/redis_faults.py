"""Redis loses its data, is restored from an old snapshot, or holds the same job many times."""

import shutil
import time

from rq_scheduler import Scheduler

from faults.platform_processes import LONG_LEASE
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.jobs.task_jobs import DELIVER_DUE, QUEUE_NAME, SWEEP_ID, task_queue

BACKLOG = 10_000


@scenario("4: FLUSHALL with 10,000 queued")
def flushall(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    system.pool.stop()
    system.send_many(BACKLOG, name="queued")
    system.pool.start()
    wait_for(lambda: system.pending() < BACKLOG * 0.9, 60, "the first tenth of the backlog")
    with system.redis.client() as client:
        client.flushall()
        report.figures["pending at the FLUSHALL"] = system.pending()
        report.figures["drained after s"] = system.settle(90)
        report.figures["sweep scheduled again after s"] = wait_for(
            lambda: client.zscore(Scheduler.scheduled_jobs_key, SWEEP_ID), 20, "the sweep's scheduling"
        )


@scenario("4: FLUSHALL while retries wait and nobody sends")
def flushall_in_silence(system: System, report: Report, options: Options) -> None:
    system.set_switch("silence", "500")
    system.restart(WEBHOOKS_RETRY_DELAYS="4,4,4,4,4,4")
    system.endpoint("switch/silence")
    system.send_many(50, name="silent")
    wait_for(lambda: system.attempt_count() >= 50, 20, "the first attempts")
    system.set_switch("silence", "200")
    with system.redis.client() as client:
        client.flushall()
    report.figures["drained after s"] = system.settle(45)


@scenario("5: Redis restarted with and without its file")
def redis_restarted(system: System, report: Report, options: Options) -> None:
    system.endpoint(f"mix/{options.seed}/restart")
    for delete_file in (False, True):
        system.send_many(500, name=f"restart-{delete_file}")
        system.redis.kill(delete_file=delete_file)
        time.sleep(0.5)
        system.redis.start()
        preposition = "without" if delete_file else "with"
        report.figures[f"drained {preposition} file after s"] = system.settle(60)


@scenario("6: Redis restored from an old snapshot: stale jobs are no-ops")
def old_snapshot(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    system.pool.stop()
    system.send_many(300, name="old")
    _enqueue(system, 20)
    system.redis.stop()
    snapshot = system.folder / "snapshot"
    shutil.rmtree(snapshot, ignore_errors=True)
    shutil.copytree(system.redis.folder, snapshot, ignore=shutil.ignore_patterns("*.sock"))
    system.ensure_running()
    system.settle()
    arrived = system.arrival_count()
    system.redis.kill(delete_file=True)
    for path in snapshot.iterdir():
        shutil.copy(path, system.redis.folder / path.name)
    system.redis.start()
    with system.redis.client() as client:
        report.figures["stale jobs"] = client.llen(f"rq:queue:{QUEUE_NAME}")
        wait_for(lambda: client.llen(f"rq:queue:{QUEUE_NAME}") == 0, 30, "the end of the stale jobs")
    time.sleep(0.5)
    report.require(system.arrival_count() == arrived == 300, "a stale job sent something")


@scenario("11: the same job a hundred times: one send each")
def hundred_jobs(system: System, report: Report, options: Options) -> None:
    system.extra_environ = LONG_LEASE
    for number in range(4):
        system.endpoint(f"ok/{number}")
    system.pool.stop()
    system.send_many(250, name="once")
    _enqueue(system, 100)
    system.pool.start()
    report.figures["settled after s"] = system.settle()
    report.require(system.arrival_count() == 1000, f"{system.arrival_count()} arrivals of 1000 deliveries")


def _enqueue(system: System, how_many: int) -> None:
    with system.redis.client() as client:
        queue = task_queue(client)
        for _ in range(how_many):
            queue.enqueue_call(DELIVER_DUE, timeout=300, result_ttl=0)
