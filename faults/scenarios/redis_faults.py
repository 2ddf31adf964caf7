"""Redis loses its data, is restored from an old snapshot, or holds the same job many times."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rq_scheduler import Scheduler

from faults.platform_processes import DELIVERY_WORKERS, WEB_WORKERS
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.jobs.task_jobs import DELIVER_DUE, QUEUE_NAME, SWEEP_ID, task_queue

BACKLOG = 10_000
# In which a loop without a pause would write thousands of lines.
UNFIT_SECONDS = 8
EVENTS = ("redis_unavailable", "redis_available", "worker_died", "Traceback")
PROCESSES = WEB_WORKERS + DELIVERY_WORKERS + 1  # with the scheduler


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
    system.extra_environ = {"WEBHOOKS_LEASE_SECONDS": "120"}
    for number in range(4):
        system.endpoint(f"ok/{number}", timeout_ms=30_000)  # none is sent again as a machine was slow
    system.pool.stop()
    system.send_many(250, name="once")
    _enqueue(system, 100)
    system.pool.start()
    report.figures["settled after s"] = system.settle()
    report.require(system.arrival_count() == 1000, f"{system.arrival_count()} arrivals of 1000 deliveries")


@scenario("30: Redis read-only, full, without a command, with another password, in cluster mode")
def redis_unfit(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    for name, unfit in UNFIT.items():
        lines = _warnings(system)
        with unfit(system):
            answers = {system.send().status for _ in range(20)}
            time.sleep(UNFIT_SECONDS)
        report.require(answers == {202}, f"answers with Redis {name}: {answers}")
        report.figures[f"settled after {name} in s"] = system.settle()
        written = _warnings(system) - lines
        # One when it begins and one when it ends, for each process.
        report.require(written <= 2 * PROCESSES, f"{written} lines with Redis {name}")


def _warnings(system: System) -> int:
    logs = [system.fork_client.log(name) for name in ("web", "pool", "scheduler")]
    texts = [log.read_text(errors="replace") for log in logs if log.exists()]
    return sum(text.count(event) for text in texts for event in EVENTS)


@contextmanager
def _read_only(system: System) -> Iterator[None]:
    with system.redis.client() as client:
        client.replicaof("127.0.0.1", 1)
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def _full(system: System) -> Iterator[None]:
    with system.redis.client() as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def _without_a_command(system: System) -> Iterator[None]:
    with system.redis.client() as client:
        client.acl_setuser(
            "default", enabled=True, nopass=True, commands=["-blpop", "-set", "-zrangebyscore"]
        )
        yield
        client.acl_setuser("default", enabled=True, nopass=True, commands=["+@all"])


@contextmanager
def _other_password(system: System) -> Iterator[None]:
    with system.redis.client() as client:
        client.config_set("requirepass", "other")
        client.client_kill_filter(_type="normal", skipme=True)
        yield
        client.config_set("requirepass", "")


@contextmanager
def _cluster(system: System) -> Iterator[None]:
    system.redis.kill(delete_file=True)
    system.redis.start("--cluster-enabled", "yes")
    yield
    system.redis.kill(delete_file=True)
    system.redis.start()


UNFIT = {
    "read-only": _read_only,
    "full": _full,
    "without a command": _without_a_command,
    "with another password": _other_password,
    "in cluster mode": _cluster,
}


def _enqueue(system: System, how_many: int) -> None:
    with system.redis.client() as client:
        queue = task_queue(client)
        for _ in range(how_many):
            queue.enqueue_call(DELIVER_DUE, timeout=300, result_ttl=0)
