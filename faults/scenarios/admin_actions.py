"""Admins who change everything while deliveries are in flight."""

import random
import threading
import time
from datetime import timedelta

from faults.evidence import USUAL_ENDS
from faults.platform_processes import LONG_LEASE, TIMEOUT_MS
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.deliveries.log.filters import Status


@scenario("22: delete, disable, rotate, edit in mid-flight")
def changed_in_flight(system: System, report: Report, options: Options) -> None:
    deleted, disabled, rotated = (
        system.endpoint(f"always/slow-300-200/{name}") for name in ("deleted", "disabled", "rotated")
    )
    edited = system.endpoint("always/slow-100-500/a")
    producer = system.produce(rate=60, seconds=8, seed=options.seed)
    time.sleep(1.5)
    system.note_claims()
    system.remove(deleted)
    system.allowed_ends[deleted] = USUAL_ENDS | {"canceled"}
    system.disable(disabled)
    disabled_at = time.time()
    system.rotate(rotated, overlap=timedelta(0))
    system.edit(edited, f"{system.receiver_url}/ok/edited")
    time.sleep(3)
    system.note_claims()
    system.rotate(rotated, overlap=timedelta(hours=1))
    enabled_at = time.time()
    report.figures["held"] = system.enable(disabled, send_held=True)
    system.fork_client.wait(producer, 30)
    system.fan_out = None
    report.figures["settled after s"] = system.settle()
    for name, endpoint_id in (("disabled", disabled), ("rotated", rotated), ("edited", edited)):
        states = system.states_of(endpoint_id)
        report.require(states.keys() == {"delivered"}, f"of the {name} endpoint: {states}")
    states = system.states_of(deleted)
    report.require(states.keys() <= {"delivered", "canceled"}, f"of the deleted endpoint: {states}")
    report.figures["of the deleted"] = str(states)
    began = [line["at"] for line in system.arrivals() if line["path"].endswith("/disabled")]
    between = [at for at in began if disabled_at + TIMEOUT_MS / 1000 < at < enabled_at]
    report.require(
        min(began) < disabled_at and not between, f"{len(between)} requests to a disabled endpoint"
    )


@scenario("23: replays during live retries")
def replayed(system: System, report: Report, options: Options) -> None:
    system.restart(**LONG_LEASE)
    system.set_switch("replays", "500")
    system.endpoint("switch/replays")
    system.endpoint(f"mix/{options.seed}/replays")
    system.send_many(100, name="replayed")
    deliveries = system.delivery_ids()
    admins = [
        threading.Thread(target=_replay, args=(system, deliveries, f"{options.seed}-{turn}"))
        for turn in range(3)
    ]
    for admin in admins:
        admin.start()
    time.sleep(2)
    system.set_switch("replays", "200")
    for admin in admins:
        admin.join(60)
    report.figures["settled after s"] = system.settle()
    report.figures["replays"] = system.audit_count("delivery.replay")
    report.require(system.outcomes() == {"success": 200}, f"outcomes: {system.outcomes()}")


@scenario("23: a recovery whose workers are killed half-way goes on")
def recovery_killed(system: System, report: Report, options: Options) -> None:
    endpoint_id = system.endpoint("ok/a")
    system.disable(endpoint_id)
    system.send_many(2000, name="held")
    report.figures["discarded"] = system.enable(endpoint_id, send_held=False)
    time.sleep(1.1)  # a recovery covers what was accepted before the second in which it starts
    places = "recovery.half_stepped=0.4,recovery.stepped=0.3"
    system.restart(FAILPOINTS=places, FAILPOINT_SEED=options.seed)
    recovery_id = system.recover(Status.CANCELED)
    over = wait_for(lambda: system.recovery(recovery_id).finished_at, 240, "the end of the recovery")
    died = system.deaths().total()
    recovery = system.recovery(recovery_id)
    report.figures |= {"over after s": over, "workers killed": died, "replayed": recovery.handled}
    report.figures["settled after s"] = system.settle()
    report.require(died > 0, "no worker died of it")
    report.require(recovery.handled == 2000, f"{recovery.handled} of 2000 were replayed")
    report.require(system.outcomes() == {"success": 2000}, f"outcomes: {system.outcomes()}")


def _replay(system: System, deliveries: list[str], seed: str) -> None:
    rng = random.Random(seed)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        system.replay(rng.choice(deliveries))
