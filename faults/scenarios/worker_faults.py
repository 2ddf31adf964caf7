"""Workers that die, stop, freeze and time out, one fault at a time."""

import signal
import sys
import time

from faults.fork_client import ROOT, ProcessGroup
from faults.platform_processes import DELAYS, LEASE_SECONDS
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.worker.claimed_delivery import EXPIRED_LEASES_TO_GIVE_UP

PLACES = ("dequeued", "claimed", "answered", "half_recorded", "recording", "recorded")
# Supervisors kill five to ten seconds after they ask.
STOP_DEADLINE_SECONDS = 10.0


@scenario("7: kill -9 after dequeue and claim, mid-send, after the 2xx, before, in and after the record")
def worker_killed(system: System, report: Report, options: Options) -> None:
    system.endpoint("always/slow-50-200/a")
    for place in PLACES:
        system.pool.stop()
        system.send_many(40, name=place)
        _die_once_at(system, place)
        system.extra_environ = {}
        # What the dead worker held is due when the next pool starts, and need not wait for a sweep.
        time.sleep(LEASE_SECONDS)
        system.pool.start()
        report.figures[f"{place}, drained after s"] = system.settle(40)


def _die_once_at(system: System, place: str) -> None:
    """Start one worker that dies at the failpoint, and kill the pool before it starts another."""
    before = system.deaths().total()
    system.extra_environ = {"FAILPOINTS": f"worker.{place}=1", "WEBHOOKS_WORKERS": "1"}
    system.pool.start()
    wait_for(lambda: system.deaths().total() > before, 20, f"a death at {place}")
    system.note_claims()
    system.pool.kill()


@scenario("8: SIGTERM: what is not finished is handed back within the deadline")
def sigterm(system: System, report: Report, options: Options) -> None:
    system.set_switch("slow", "hang")
    system.endpoint("switch/slow", timeout_ms=20_000)
    system.restart(WEBHOOKS_LEASE_SECONDS="60")
    system.send_many(10, name="handed-back")
    wait_for(lambda: system.arrival_count() == 10, 20, "ten requests in flight")
    system.note_claims()
    taken = system.pool.stop()
    report.figures |= {"stopped after s": taken, "still claimed": system.claimed()}
    report.require(taken < STOP_DEADLINE_SECONDS, f"the workers took {taken:.1f} s to stop")
    report.require(system.claimed() == 0, "deliveries were not handed back")
    system.set_switch("slow", "200")
    system.ensure_running()
    settled = system.settle(40)
    report.figures["delivered after s"] = settled
    report.require(settled < 30, "handed back deliveries waited for their lease")


@scenario("9: SIGSTOP past the lease, then SIGCONT: its stale failure is fenced off")
def frozen(system: System, report: Report, options: Options) -> None:
    """Wake a worker whose deliveries were sent again by another one and now wait for their retries.

    If they were not fenced off, its stale 500 would postpone a retry and count as an attempt, and its stale
    410 would end a delivery.
    """
    probe = system.endpoint("ok/probe")
    stale = [_slow_endpoint(system, answer) for answer in ("500", "410")]
    system.restart(WEBHOOKS_WORKERS="1", WEBHOOKS_RETRY_DELAYS=",".join(["8"] * len(DELAYS)))
    system.send_many(10, name="frozen")
    wait_for(lambda: system.arrival_count() == 30, 20, "requests in flight")
    wait_for(lambda: system.states_of(probe) == {"delivered": 10}, 60, "the record of the answered ones")
    [worker] = system.pool.children()
    system.note_claims()
    system.pool.signal_child(worker, signal.SIGSTOP)
    _answer_all(system, "500")
    _let_another_worker_send(system, stale)
    before = system.pending_rows(stale)
    system.pool.signal_child(worker, signal.SIGCONT)
    # It records what it held before it claims anything new.
    system.send("news")
    report.figures["awake after s"] = wait_for(
        lambda: system.states_of(probe) == {"delivered": 11}, 20, "the new delivery"
    )
    after = system.pending_rows(stale)
    changed = [each for each in before if after.get(each) != before[each]]
    report.require(not changed, f"a stale failure changed {len(changed)} of {len(before)} deliveries")
    report.require({line.generation for line in before.values()} == {2}, "not all of them were sent anew")
    report.require(system.leases_ended() == {(each, 1) for each in before}, "stale ones are not told of")
    _answer_all(system, "200")
    report.figures["settled after s"] = system.settle()


def _slow_endpoint(system: System, answer: str) -> str:
    system.set_switch(f"freezer-{answer}", f"held-{answer}")
    # So long that the answer can still be read when the worker wakes.
    return system.endpoint(f"switch/freezer-{answer}", timeout_ms=30_000)


def _answer_all(system: System, answer: str) -> None:
    for switch in ("freezer-500", "freezer-410"):
        system.set_switch(switch, answer)


def _let_another_worker_send(system: System, endpoint_ids: list[str]) -> None:
    time.sleep(LEASE_SECONDS + 0.2)
    second = system.add_pool()
    wait_for(
        lambda: all(line.attempts_in_schedule for line in system.pending_rows(endpoint_ids).values()),
        20,
        "the second attempts",
    )
    second.stop()


@scenario("10: job time-out")
def job_timeout(system: System, report: Report, options: Options) -> None:
    system.endpoint("always/slow-700-200/a")
    system.patch = {
        "webhooks_app.jobs.task_jobs.JOB_TIMEOUT_SECONDS": 2,
        "webhooks_app.tasks.RUN_SECONDS": 1000,
    }
    system.pool.stop()
    with system.redis.client() as client:
        client.flushall()  # a job that was enqueued before the patch has the usual time-out
    system.restart(WEBHOOKS_WORKERS="1")  # of two, one could end its job while the other takes a burst
    for burst in range(20):
        system.send_many(20, name=f"burst-{burst}")
        time.sleep(0.5)
        if _time_outs(system) >= 2:
            break
    system.patch = {}
    system.restart()
    found = _time_outs(system)
    report.figures |= {"time-outs": found, "settled after s": system.settle()}
    report.require(found >= 2, "no job timed out")


def _time_outs(system: System) -> int:
    return system.fork_client.log("pool").read_text(errors="replace").count("JobTimeoutException: ")


@scenario("12: a row that kills its worker again and again ends failed, the others flow")
def poison(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    system.restart(FAILPOINTS="worker.poisoned=1")
    system.send("poison", poison=True)
    system.poisoned = 1
    system.send_many(100, name="beside")
    report.figures["settled after s"] = system.settle(240)
    died = system.deaths().total()
    outcomes = system.outcomes()
    report.figures |= {"workers killed": died, "failed crashed": outcomes.get("crashed", 0)}
    report.require(outcomes == {"crashed": 1, "success": 100}, f"outcomes: {outcomes}")
    report.require(died <= EXPIRED_LEASES_TO_GIVE_UP, f"{died} workers died of it")


@scenario("7: worker.py as it is, its killed worker replaced")
def real_pool(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    system.pool.stop()
    env = system.environment | {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "WEBHOOKS_WORKERS": "2"}
    real = ProcessGroup(
        system.fork_client,
        lambda: system.fork_client.execute([sys.executable, str(ROOT / "worker.py")], name="real", env=env),
    )
    real.start()
    log = system.fork_client.log("real")
    wait_for(lambda: log.exists() and log.read_text().count("ready") >= 2, 40, "two workers")
    system.send_many(100, name="first")
    system.settle()
    real.signal_child(real.children()[0], signal.SIGKILL)
    report.figures["replaced after s"] = wait_for(
        lambda: log.read_text().count("ready") >= 3, 40, "a new worker"
    )
    system.send_many(100, name="second")
    report.figures["settled after s"] = system.settle()
    report.figures["stopped after s"] = real.stop()
