"""The scheduler dies, or runs twice."""

import time

from rq_scheduler import Scheduler

from faults.fork_client import ProcessGroup
from faults.platform_processes import DELAYS
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.jobs.task_jobs import SWEEP_ID, task_queue
from webhooks_app.jobs.wake_flag import AWAKE_KEY

HOUR_SECONDS = 3600.0


@scenario("13: the scheduler killed, its lock left behind, dead for an hour: an alarm shows, then it drains")
def scheduler_killed(system: System, report: Report, options: Options) -> None:
    """Move the clock of web and workers by an hour; the scheduler does not read that clock."""
    system.set_switch("away", "500")
    system.endpoint("switch/away")
    system.use_clock_file(WEBHOOKS_RETRY_DELAYS=",".join(["30"] * len(DELAYS)))
    wait_for(lambda: system.health() == (200, []), 60, "the end of what the scenario before has broken")
    [scheduler] = system.schedulers
    scheduler.kill()
    with system.redis.client() as client:
        client.set(Scheduler.scheduler_lock_key, time.time(), ex=11)
    system.send_many(100, name="unscheduled")
    wait_for(lambda: system.attempt_count() >= 100, 20, "the first attempts")
    _wait_until_no_run(system)
    system.set_clock_offset(HOUR_SECONDS)
    _require_alarms(system, report)
    system.set_switch("away", "200")
    scheduler.start()
    report.figures["drained after s"] = system.settle(40)
    report.figures["quiet after s"] = wait_for(
        lambda: system.health() == (200, []), 20, "the end of the alarms"
    )


def _wait_until_no_run(system: System) -> None:
    """Wait until no job runs: one that saw the clock jump would send what is to become overdue."""
    with system.redis.client() as client:
        queue = task_queue(client)
        wait_for(lambda: not queue.count and not client.exists(AWAKE_KEY), 20, "the end of all jobs")
        time.sleep(0.5)  # a worker that has just taken a job has set the flag by then
        wait_for(lambda: not client.exists(AWAKE_KEY), 20, "the end of the last job")


def _require_alarms(system: System, report: Report) -> None:
    status, problems = system.health()
    # That it reports no more shows by the database's clock, which in PostgreSQL is not moved; that nothing
    # was swept shows by the web's.
    for text in ("scheduler", "one has been due for"):
        report.require(
            any(text in each.lower() for each in problems), f"no alarm that says {text!r}: {problems}"
        )
    report.require(status == 503, f"the health page answered {status} with the scheduler dead")


@scenario("14: two schedulers, two sweepers: nothing doubled")
def two_schedulers(system: System, report: Report, options: Options) -> None:
    system.endpoint(f"mix/{options.seed}/two")
    second = system.add_scheduler()
    _produce_beside(system, second, options)
    report.figures["settled after s"] = system.settle()
    with system.redis.client() as client:
        scheduled = client.zrange(Scheduler.scheduled_jobs_key, 0, -1)
    report.require(scheduled.count(SWEEP_ID.encode()) == 1, "the sweep is not scheduled once")


def _produce_beside(system: System, second: ProcessGroup, options: Options) -> None:
    producer = system.produce(rate=60, seconds=4, seed=options.seed)
    system.fork_client.wait(producer, 30)
    second.kill()
    system.schedulers.remove(second)
