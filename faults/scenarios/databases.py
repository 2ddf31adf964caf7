"""The database restarts, is locked, and the clock jumps, while events come in."""

import signal
import time

from faults.databases import Postgresql, Sqlite
from faults.registry import Options, scenario
from faults.reports import Report
from faults.system import Stack

HOUR_SECONDS = 3600.0


@scenario("15: PostgreSQL restarted under load", only="postgresql")
def postgresql_restarted(stack: Stack, report: Report, options: Options) -> None:
    assert isinstance(stack.database, Postgresql)
    stack.endpoint(f"mix/{options.seed}/restart")
    producer = stack.produce(rate=100, seconds=10, seed=options.seed, threads=8)
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT):
        time.sleep(2)
        stack.note_kill()
        stack.database.stop(how)
        if how is signal.SIGQUIT:
            stack.note_database_crash()
        time.sleep(0.5)
        stack.database.start()
    stack.nursery.wait(producer, 60)
    report.figures["settled after s"] = stack.settle()


@scenario("16: SQLite locked for 3 s", only="sqlite")
def sqlite_locked(stack: Stack, report: Report, options: Options) -> None:
    assert isinstance(stack.database, Sqlite)
    stack.endpoint(f"mix/{options.seed}/locked")
    producer = stack.produce(rate=60, seconds=9, seed=options.seed)
    for _ in range(2):
        time.sleep(1)
        with stack.database.locked():
            stack.note_kill()  # leases run out behind the lock, where nothing is claimed any more
            time.sleep(3)
    stack.nursery.wait(producer, 60)
    errors = stack.refusals()
    report.figures |= {"refused": errors, "settled after s": stack.settle()}
    report.require(errors == 0, f"{errors} events were refused although the lock was short")


@scenario("17: the clock moved by an hour")
def clock_moved(stack: Stack, report: Report, options: Options) -> None:
    stack.answer_with("clock", "500")
    stack.endpoint("switch/clock")
    stack.send_many(50, name="before")
    for word, seconds in (("forward", HOUR_SECONDS), ("back", 0.0), ("forward again", HOUR_SECONDS)):
        stack.note_kill()
        stack.clock_moved_seconds = seconds
        stack.restart()
        fresh = stack.endpoint("ok/fresh")
        began = time.monotonic()
        stack.send_many(20, name=word)
        while stack.pending_of(fresh) and time.monotonic() - began < 30:
            time.sleep(0.05)
        report.figures[f"{word}: fresh ones delivered after s"] = time.monotonic() - began
        report.require(not stack.pending_of(fresh), f"nothing moves after the clock went {word}")
    stack.fan_out = None
    stack.answer_with("clock", "200")
    report.figures["old ones settled after s"] = stack.settle()
