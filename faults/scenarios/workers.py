"""Workers that die, stop, freeze and time out, one fault at a time."""

import signal
import sys
import time

from faults.harness import ROOT, Group, wait_for
from faults.processes import DELAYS, LEASE_SECONDS
from faults.registry import Options, scenario
from faults.reports import Report
from faults.system import Stack
from webhooks_app.worker.claimed_delivery import EXPIRED_LEASES_TO_GIVE_UP

PLACES = ("dequeued", "claimed", "answered", "half_recorded", "recording", "recorded")
# Supervisors kill five to ten seconds after they ask.
STOP_DEADLINE_SECONDS = 10.0


@scenario("7: kill -9 after dequeue and claim, mid-send, after the 2xx, before, in and after the record")
def worker_killed(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("always/slow-50-200/a")
    for place in PLACES:
        stack.pool.stop()
        stack.send_many(40, name=place)
        _die_once_at(stack, place)
        stack.armed = {}
        time.sleep(LEASE_SECONDS)  # what died is due when the next ones start, and waits for no sweep
        stack.pool.start()
        report.figures[f"{place}, drained after s"] = stack.settle(40)


def _die_once_at(stack: Stack, place: str) -> None:
    """Starts one worker that dies there, and then takes the pool down before it starts another."""
    before = stack.deaths().total()
    stack.armed = {"FAILPOINTS": f"worker.{place}=1", "WEBHOOKS_WORKERS": "1"}
    stack.pool.start()
    wait_for(lambda: stack.deaths().total() > before, 20, f"a death at {place}")
    stack.note_kill()
    stack.pool.kill()


@scenario("8: SIGTERM: what is not finished is handed back within the deadline")
def sigterm(stack: Stack, report: Report, options: Options) -> None:
    stack.answer_with("slow", "hang")
    stack.endpoint("switch/slow", timeout_ms=20_000)
    stack.restart(WEBHOOKS_LEASE_SECONDS="60")
    stack.send_many(10, name="handed-back")
    wait_for(lambda: stack.arrival_count() == 10, 20, "ten requests in flight")
    stack.note_kill()
    taken = stack.pool.stop()
    report.figures |= {"stopped after s": taken, "still claimed": stack.claimed()}
    report.require(taken < STOP_DEADLINE_SECONDS, f"the workers took {taken:.1f} s to stop")
    report.require(stack.claimed() == 0, "deliveries were not handed back")
    stack.answer_with("slow", "200")
    stack.heal()
    settled = stack.settle(40)
    report.figures["delivered after s"] = settled
    report.require(settled < 30, "handed back deliveries waited for their lease")


@scenario("9: SIGSTOP past the lease, then SIGCONT: its stale failure is fenced off")
def frozen(stack: Stack, report: Report, options: Options) -> None:
    """What it held was sent anew meanwhile and waits for a retry, so each thing that it could spoil is there:
    a 500 would put the retry off and count a try, a 410 would end the delivery."""
    probe = stack.endpoint("ok/probe")
    stale = [_slow_endpoint(stack, answer) for answer in ("500", "410")]
    stack.restart(WEBHOOKS_WORKERS="1", WEBHOOKS_RETRY_DELAYS=",".join(["8"] * len(DELAYS)))
    stack.send_many(10, name="frozen")
    wait_for(lambda: stack.arrival_count() == 30, 20, "requests in flight")
    wait_for(lambda: stack.states_of(probe) == {"delivered": 10}, 5, "the record of what is answered")
    [worker] = stack.pool.children()
    stack.note_kill()
    stack.pool.signal_child(worker, signal.SIGSTOP)
    _answer_all(stack, "500")
    _let_others_try(stack, stale)
    before = stack.ledger(stale)
    stack.pool.signal_child(worker, signal.SIGCONT)
    # It writes down what it held before it comes to anything new.
    stack.send("news")
    report.figures["awake after s"] = wait_for(
        lambda: stack.states_of(probe) == {"delivered": 11}, 20, "news"
    )
    after = stack.ledger(stale)
    changed = [each for each in before if after.get(each) != before[each]]
    report.require(not changed, f"a stale failure changed {len(changed)} of {len(before)} deliveries")
    report.require({line.generation for line in before.values()} == {2}, "not all of them were sent anew")
    _answer_all(stack, "200")
    report.figures["settled after s"] = stack.settle()


def _slow_endpoint(stack: Stack, answer: str) -> str:
    stack.answer_with(f"freezer-{answer}", f"slow-1000-{answer}")
    # Its answer is to be read when the worker wakes, not to have timed out.
    return stack.endpoint(f"switch/freezer-{answer}", timeout_ms=30_000)


def _answer_all(stack: Stack, answer: str) -> None:
    for switch in ("freezer-500", "freezer-410"):
        stack.answer_with(switch, answer)


def _let_others_try(stack: Stack, endpoint_ids: list[str]) -> None:
    time.sleep(LEASE_SECONDS + 0.2)
    second = stack.add_pool()
    wait_for(lambda: all(line.tries for line in stack.ledger(endpoint_ids).values()), 20, "the second tries")
    second.stop()


@scenario("10: job time-out")
def job_timeout(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("always/slow-700-200/a")
    stack.patch = {"webhooks_app.jobs.wake_ups.JOB_SECONDS": 2, "webhooks_app.tasks.RUN_SECONDS": 1000}
    stack.pool.stop()
    with stack.redis.client() as client:
        client.flushall()  # a job from before the patch has its own time
    stack.restart(WEBHOOKS_WORKERS="1")  # of two, each may run dry while the other takes a burst
    for burst in range(20):
        stack.send_many(20, name=f"burst-{burst}")
        time.sleep(0.5)
        if _time_outs(stack) >= 2:
            break
    stack.patch = {}
    stack.restart()
    found = _time_outs(stack)
    report.figures |= {"time-outs": found, "settled after s": stack.settle()}
    report.require(found >= 2, "no job timed out")


def _time_outs(stack: Stack) -> int:
    return stack.nursery.log("pool").read_text(errors="replace").count("JobTimeoutException: ")


@scenario("12: a row that kills its worker again and again ends failed, the others flow")
def poison(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("ok/a")
    stack.restart(FAILPOINTS="worker.poisoned=1")
    stack.send("poison", poison=True)
    stack.poisoned = 1
    stack.send_many(100, name="beside")
    report.figures["settled after s"] = stack.settle(240)
    died = stack.deaths().total()
    outcomes = stack.outcomes()
    report.figures |= {"workers it killed": died, "failed crashed": outcomes.get("crashed", 0)}
    report.require(outcomes == {"crashed": 1, "success": 100}, f"outcomes: {outcomes}")
    report.require(died <= EXPIRED_LEASES_TO_GIVE_UP, f"{died} workers died of it")


@scenario("7: worker.py as it is, its killed worker replaced")
def real_pool(stack: Stack, report: Report, options: Options) -> None:
    stack.endpoint("ok/a")
    stack.pool.stop()
    env = stack.environment | {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "WEBHOOKS_WORKERS": "2"}
    real = Group(
        stack.nursery,
        lambda: stack.nursery.execute([sys.executable, str(ROOT / "worker.py")], name="real", env=env),
    )
    real.start()
    log = stack.nursery.log("real")
    wait_for(lambda: log.exists() and log.read_text().count("ready") >= 2, 40, "two workers")
    stack.send_many(100, name="first")
    stack.settle()
    victims = [pid for pid in real.children() if "spawn_main" in _command(pid)]
    real.signal_child(victims[0], signal.SIGKILL)
    report.figures["replaced after s"] = wait_for(
        lambda: log.read_text().count("ready") >= 3, 40, "a new worker"
    )
    stack.send_many(100, name="second")
    report.figures["settled after s"] = stack.settle()
    report.figures["stopped after s"] = real.stop()


def _command(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()
