"""What workers connect to moves, or they may open few files."""

import time

from faults.entry_points import RECEIVER
from faults.platform_processes import LONG_LEASE
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.scripted_receiver import ADDRESSES
from faults.system import System

# The answers of the resolver are fresh for a second; the rest is for a busy machine.
LONGEST_DELAY_SECONDS = 4.0
OPEN_FILES, SLOW_ENDPOINTS = 256, 40


@scenario("31: a receiver whose name moves under traffic")
def receiver_moves(system: System, report: Report, options: Options) -> None:
    name = system.folder / "receiver-address"
    name.write_text(ADDRESSES[0])
    system.pool_wrapper = ("with_names_file", str(name))
    system.restart(**LONG_LEASE)
    system.endpoint("ok/moves", url=f"http://{RECEIVER}:{system.receiver_port}/ok/moves")
    producers = system.produce(rate=40.0, seconds=12.0, seed=options.seed)
    time.sleep(4)
    name.write_text(ADDRESSES[1])
    moved_at = time.time()
    system.fork_client.wait(producers, 60)
    report.figures["settled after s"] = system.settle()
    former, present = (
        [line["at"] for line in system.arrivals() if line["address"] == each] for each in ADDRESSES
    )
    report.figures |= {"to the former address": len(former), "to the present one": len(present)}
    report.require(bool(former) and bool(present), "the receiver was not moved under traffic")
    late = sum(at > moved_at + LONGEST_DELAY_SECONDS for at in former)
    report.require(late == 0, f"{late} requests went to the former address after it had moved")


@scenario("32: workers that may open 256 files")
def few_open_files(system: System, report: Report, options: Options) -> None:
    """Have more slow receivers, on connections of their own, than there are files for."""
    system.pool_wrapper = ("with_few_files", OPEN_FILES)
    system.restart(WEBHOOKS_IN_FLIGHT="400", **LONG_LEASE)
    for number in range(SLOW_ENDPOINTS):
        system.endpoint(f"always/slow-300-200/{number}", timeout_ms=30_000)
    system.send_many(100, name="files")
    report.figures["settled after s"] = system.settle()
    deliveries = 100 * SLOW_ENDPOINTS
    report.figures["attempts"] = system.attempt_count()
    report.require(system.attempt_count() == deliveries, f"{system.attempt_count()} attempts of {deliveries}")
    report.require(set(system.outcomes()) == {"success"}, f"outcomes {system.outcomes()}")
    line = f"The limit of open files is {OPEN_FILES}"
    report.require(line in system.fork_client.log("pool").read_text(), "the start says nothing of the limit")
