"""The database restarts, is locked, and the clock jumps, while events come in."""

import signal
import time

from faults.databases import Postgresql, Sqlite
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System

HOUR_SECONDS = 3600.0


@scenario("15: PostgreSQL restarted under load", only="postgresql")
def postgresql_restarted(system: System, report: Report, options: Options) -> None:
    assert isinstance(system.database, Postgresql)
    system.endpoint(f"mix/{options.seed}/restart")
    producer = system.produce(rate=100, seconds=10, seed=options.seed, threads=8)
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT):
        time.sleep(2)
        system.note_claims()
        system.database.stop(how)
        if how is signal.SIGQUIT:
            system.note_database_crash()
        time.sleep(0.5)
        system.database.start()
    system.fork_client.wait(producer, 60)
    report.figures["settled after s"] = system.settle()


@scenario("16: SQLite locked for 3 s", only="sqlite")
def sqlite_locked(system: System, report: Report, options: Options) -> None:
    assert isinstance(system.database, Sqlite)
    system.endpoint(f"mix/{options.seed}/locked")
    producer = system.produce(rate=60, seconds=9, seed=options.seed)
    for _ in range(2):
        time.sleep(1)
        with system.database.locked():
            system.note_claims()  # their leases may expire while the lock keeps them from being recorded
            time.sleep(3)
    system.fork_client.wait(producer, 60)
    errors = system.not_accepted_count()
    report.figures |= {"refused": errors, "settled after s": system.settle()}
    report.require(errors == 0, f"{errors} events were refused although the lock was short")


@scenario("17: the clock moved by an hour")
def clock_moved(system: System, report: Report, options: Options) -> None:
    system.set_switch("clock", "500")
    system.endpoint("switch/clock")
    system.send_many(50, name="before")
    for direction, seconds in (("forward", HOUR_SECONDS), ("back", 0.0), ("forward again", HOUR_SECONDS)):
        system.note_claims()
        system.clock_offset_seconds = seconds
        system.restart()
        fresh = system.endpoint("ok/fresh")
        began = time.monotonic()
        system.send_many(20, name=direction)
        while system.pending_of(fresh) and time.monotonic() - began < 30:
            time.sleep(0.05)
        report.figures[f"{direction}: fresh ones delivered after s"] = time.monotonic() - began
        report.require(not system.pending_of(fresh), f"nothing moves after the clock went {direction}")
    system.fan_out = None
    system.set_switch("clock", "200")
    report.figures["old ones settled after s"] = system.settle()
