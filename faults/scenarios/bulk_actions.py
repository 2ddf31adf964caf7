"""Workers that die while everything that waits is sent now, or canceled."""

import time
from datetime import datetime

from faults.evidence import USUAL_ENDS
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.db.models import RecoveryAction
from webhooks_app.deliveries.log.filters import Status

COUNT = 600
# So far ahead that only manual attempts are made; and no lease ends because the machine is slow.
FAR = {"WEBHOOKS_RETRY_DELAYS": "7200,7200", "WEBHOOKS_LEASE_SECONDS": "8"}
_STEPS = "recovery.half_stepped=0.5,recovery.stepped=0.5"
_SENDING = "worker.claimed=0.06,worker.answered=0.0005,worker.half_recorded=0.06,worker.recorded=0.06"


@scenario("23: workers killed while all is sent now: each schedule stays as it was")
def all_sent_now(system: System, report: Report, options: Options) -> None:
    before = _let_fail(system, "now")
    system.restart(**FAR, FAILPOINTS=f"{_STEPS},{_SENDING}", FAILPOINT_SEED=options.seed)
    _recover(system, report, RecoveryAction.SEND)
    wait_for(lambda: system.manual_pending() == 0, 600, "the end of the manual attempts")
    wait_for(lambda: system.claimed() == 0, 60, "no claimed delivery")
    after, manual = system.schedules(), system.manual_attempts()
    moved = sum(after[each] != schedule for each, schedule in before.items())
    report.figures["manual attempts"] = manual.total()
    report.require(moved == 0, f"{moved} of {COUNT} schedules moved")
    report.require(len(manual) == COUNT, f"{len(manual)} of {COUNT} have a manual attempt")
    report.require(max(manual.values()) == 1, f"{max(manual.values())} manual attempts of one delivery")
    system.set_switch("now", "200")
    system.restart(**FAR)
    _recover(system, report, RecoveryAction.SEND)
    report.figures["settled after s"] = system.settle()
    report.require(system.outcomes() == {"success": COUNT}, f"outcomes: {system.outcomes()}")


@scenario("23: workers killed while all is canceled: each is canceled once")
def all_canceled(system: System, report: Report, options: Options) -> None:
    _let_fail(system, "never")
    [endpoint_id] = system.keys
    system.allowed_ends[endpoint_id] = USUAL_ENDS | {"canceled"}
    system.restart(**FAR, FAILPOINTS=_STEPS, FAILPOINT_SEED=options.seed)
    _recover(system, report, RecoveryAction.CANCEL)
    states = system.states_of(endpoint_id)
    report.require(states == {"canceled": COUNT}, f"states: {states}")


def _let_fail(system: System, switch: str) -> dict[str, tuple[int, datetime]]:
    """Send events that all wait for their first retry; return the schedule of each delivery."""
    system.restart(**FAR)
    system.set_switch(switch, "404")  # which slows no endpoint down
    system.endpoint(f"switch/{switch}")
    system.send_many(COUNT, name=switch)
    wait_for(lambda: system.attempt_count() == COUNT, 120, "an attempt of each delivery")
    time.sleep(1.1)  # a recovery covers what was accepted before the second in which it starts
    return system.schedules()


def _recover(system: System, report: Report, action: RecoveryAction) -> None:
    recovery_id = system.recover(Status.RETRYING, action)
    wait_for(lambda: system.recovery(recovery_id).finished_at, 240, "the end of the recovery")
    recovery, died = system.recovery(recovery_id), system.deaths().total()
    report.figures |= {"workers killed": died, f"{action.value}, handled": recovery.handled}
    report.require(died > 0, "no worker died of it")
    report.require(recovery.handled == COUNT, f"{recovery.handled} of {COUNT} were dealt with")
