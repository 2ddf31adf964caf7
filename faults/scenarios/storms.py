"""The storm, and the named places at which a process may die."""

import time

from faults.registry import Options, scenario
from faults.reports import Report
from faults.storm import FAILPOINTS, Storm, plan
from faults.system import Stack

RATE = 100.0
ENDPOINTS = 3
# Well over what so many kills take; a storm that needs longer has stopped killing.
SECONDS_PER_KILL = 1.5


@scenario("1, 5, 7, 13, 15: everything killed at random")
def storm(stack: Stack, report: Report, options: Options) -> None:
    for number in range(ENDPOINTS):
        stack.endpoint(f"mix/{options.seed}/{number}")
    seconds = 30 + options.kills * SECONDS_PER_KILL
    stack.restart(FAILPOINTS=",".join(FAILPOINTS), FAILPOINT_SEED=options.seed)
    producer = stack.produce(rate=RATE, seconds=seconds, seed=options.seed, threads=8)
    raging, blows = Storm(stack), plan(options.seed, stack.database.kind, options.kills)
    report.plan = [str(blow) for blow in blows]
    began = time.monotonic()
    fell = raging.rage(blows, seconds=seconds)
    raged_seconds = time.monotonic() - began
    stack.nursery.kill(producer)
    calm(stack, raging, report)
    report.figures |= {"kills": raging.total, "seconds": raged_seconds}
    report.figures |= raging.summary() | dict(raging.others)
    report.require(fell == len(blows), f"only {fell} of {len(blows)} blows fell in {seconds:.0f} s")


def calm(stack: Stack, raging: Storm, report: Report) -> None:
    """Disarms the failpoints and lets everything settle."""
    stack.heal()
    stack.restart()
    report.figures["settled after"] = stack.settle()
