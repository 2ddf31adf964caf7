"""Admins who change everything while deliveries are in flight."""

import random
import threading
import time
from datetime import timedelta

from faults.checker import USUAL_ENDS
from faults.harness import wait_for
from faults.processes import PATIENT, TIMEOUT_MS
from faults.registry import Options, scenario
from faults.reports import Report
from faults.system import Stack


@scenario("22: delete, disable, rotate, edit in mid-flight")
def changed_in_flight(stack: Stack, report: Report, options: Options) -> None:
    deleted, disabled, rotated = (
        stack.endpoint(f"always/slow-300-200/{name}") for name in ("deleted", "disabled", "rotated")
    )
    edited = stack.endpoint("always/slow-100-500/a")
    producer = stack.produce(rate=60, seconds=8, seed=options.seed)
    time.sleep(1.5)
    stack.note_kill()
    stack.remove(deleted)
    stack.may_end[deleted] = USUAL_ENDS | {"canceled"}
    stack.disable(disabled)
    disabled_at = time.time()
    stack.rotate(rotated, overlap=timedelta(0))
    stack.edit(edited, f"http://127.0.0.1:{stack.receiver_port}/ok/edited")
    time.sleep(3)
    stack.note_kill()
    stack.rotate(rotated, overlap=timedelta(hours=1))
    enabled_at = time.time()
    report.figures["held"] = stack.enable(disabled, send_held=True)
    stack.nursery.wait(producer, 30)
    stack.fan_out = None
    report.figures["settled after s"] = stack.settle()
    for name, endpoint_id in (("disabled", disabled), ("rotated", rotated), ("edited", edited)):
        states = stack.states_of(endpoint_id)
        report.require(states.keys() == {"delivered"}, f"of the {name} endpoint: {states}")
    states = stack.states_of(deleted)
    report.require(states.keys() <= {"delivered", "canceled"}, f"of the deleted endpoint: {states}")
    report.figures["of the deleted"] = str(states)
    began = [line["at"] for line in stack.arrivals() if line["path"].endswith("/disabled")]
    between = [at for at in began if disabled_at + TIMEOUT_MS / 1000 < at < enabled_at]
    report.require(
        min(began) < disabled_at and not between, f"{len(between)} requests to a disabled endpoint"
    )


@scenario("23: replays during live retries")
def replayed(stack: Stack, report: Report, options: Options) -> None:
    stack.restart(**PATIENT)
    stack.answer_with("replays", "500")
    stack.endpoint("switch/replays")
    stack.endpoint(f"mix/{options.seed}/replays")
    stack.send_many(100, name="replayed")
    deliveries = stack.delivery_ids()
    admins = [
        threading.Thread(target=_replay, args=(stack, deliveries, f"{options.seed}-{turn}"))
        for turn in range(3)
    ]
    for admin in admins:
        admin.start()
    time.sleep(2)
    stack.answer_with("replays", "200")
    for admin in admins:
        admin.join(60)
    report.figures["settled after s"] = stack.settle()
    report.figures["replays"] = stack.audit_count("delivery.replay")
    report.require(stack.outcomes() == {"success": 200}, f"outcomes: {stack.outcomes()}")


@scenario("23: a recovery whose workers are killed half-way goes on")
def recovery_killed(stack: Stack, report: Report, options: Options) -> None:
    endpoint_id = stack.endpoint("ok/a")
    stack.disable(endpoint_id)
    stack.send_many(2000, name="held")
    report.figures["discarded"] = stack.enable(endpoint_id, send_held=False)
    time.sleep(1.1)  # a recovery takes what was made before its start, to the second
    places = "recovery.half_stepped=0.4,recovery.stepped=0.3"
    stack.restart(FAILPOINTS=places, FAILPOINT_SEED=options.seed)
    recovery_id = stack.recover()
    over = wait_for(lambda: stack.recovery(recovery_id).finished_at, 240, "the end of the recovery")
    died = stack.deaths().total()
    recovery = stack.recovery(recovery_id)
    report.figures |= {"over after s": over, "workers killed": died, "replayed": recovery.replayed}
    report.figures["settled after s"] = stack.settle()
    report.require(died > 0, "no worker died of it")
    report.require(recovery.replayed == 2000, f"{recovery.replayed} of 2000 were replayed")
    report.require(stack.outcomes() == {"success": 2000}, f"outcomes: {stack.outcomes()}")


def _replay(stack: Stack, deliveries: list[str], seed: str) -> None:
    dice = random.Random(seed)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        stack.replay(dice.choice(deliveries))
