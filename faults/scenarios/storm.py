"""The storm: everything is killed at random while producers send and endpoints fail."""

import time

from faults.platform_processes import IN_FLIGHT
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.storm_actions import FAILPOINTS, Storm, plan
from faults.system import System

RATE = 100.0
ENDPOINTS = 3
# Well over what so many kills take; a storm that needs longer has stopped killing.
SECONDS_PER_KILL = 1.5


@scenario("1, 5, 7, 13, 15: everything killed at random")
def storm(system: System, report: Report, options: Options) -> None:
    for number in range(ENDPOINTS):
        system.endpoint(f"mix/{options.seed}/{number}")
    system.excuses_ended_leases = True
    seconds = 30 + options.kills * SECONDS_PER_KILL
    system.restart(FAILPOINTS=",".join(FAILPOINTS), FAILPOINT_SEED=options.seed)
    producer = system.produce(rate=RATE, seconds=seconds, seed=options.seed, threads=8)
    running, actions = Storm(system), plan(options.seed, system.database.kind, options.kills)
    report.plan = [str(action) for action in actions]
    began = time.monotonic()
    performed = running.run(actions, seconds=seconds)
    lasted_seconds = time.monotonic() - began
    system.fork_client.kill(producer)
    system.ensure_running()
    system.restart()  # without failpoints
    report.figures["settled after s"] = system.settle()
    report.figures |= {"kills": running.total, "seconds": lasted_seconds}
    report.figures |= running.summary() | dict(running.disturbances)
    # A slow machine has a few; an engine that lets leases end would have many.
    late = len(system.leases_ended() - system.claims_at_kills)
    report.figures["after their leases"] = late
    bound = system.arrival_count() / 1000
    if options.shares_machine:
        bound = max(bound, 2 * IN_FLIGHT)  # what two workers hold while it stands still
    report.require(late <= bound, f"{late} outcomes came after their leases")
    report.require(
        performed == len(actions), f"only {performed} of {len(actions)} actions within {seconds:.0f} s"
    )
