"""The database answers and refuses: read-only after a failover, too many connections, a full disk."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import LiteralString

import psycopg
from psycopg import sql

from faults.databases import Postgresql
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.small_disk import SmallDisk
from faults.system import System
from faults.waiting import wait_for

# What a producer may be answered meanwhile: the event, that it should come again, or that the client gave up.
ALLOWED_ANSWERS = {503, 0}
# What the log grows by in the first second.
_SPARE_BYTES = 24 * 1024 * 1024
_REFUSE = """
    CREATE FUNCTION refuse_all() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'No space left on device';
    END $$;
    CREATE TRIGGER refuse_all BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_all();
    CREATE TRIGGER refuse_all BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION refuse_all();
    CREATE TRIGGER refuse_all BEFORE UPDATE ON pending_deliveries
        FOR EACH ROW EXECUTE FUNCTION refuse_all();
"""
_CUT_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'crowd'
"""


@scenario("29: a primary turned read-only under load", only="postgresql")
def read_only_primary(system: System, report: Report, options: Options) -> None:
    _refuse_under_load(system, report, options, _read_only(system))


@scenario("29: too many connections under load", only="postgresql")
def too_many_connections(system: System, report: Report, options: Options) -> None:
    assert isinstance(system.database, Postgresql)
    _refuse_under_load(system, report, options, _crowded(system))


@scenario("29: what writes need refused by PostgreSQL as by a full disk, under load", only="postgresql")
def postgresql_refuses_writes(system: System, report: Report, options: Options) -> None:
    _refuse_under_load(system, report, options, _full(system))


@scenario("29: PostgreSQL's disk full under load, until it stops", only="postgresql")
def postgresql_disk_full(system: System, report: Report, options: Options) -> None:
    """Fill the disk of its data, then have it need a file of its log, without which it stops."""
    database = system.database
    assert isinstance(database, Postgresql)
    with database.on_small_disk(spare_bytes=_SPARE_BYTES) as disk, database.kept_running():
        system.disconnect()  # from the server that was stopped
        system.ensure_running()
        _refuse_under_load(system, report, options, _really_full(system, report, disk))
        report.require(disk.bytes_left() > 0, "the disk stayed full")
    system.disconnect()
    system.ensure_running()


@scenario("1: killed in the middle of a large batch's fan-out")
def large_batch_killed(system: System, report: Report, options: Options) -> None:
    for number in range(6):
        system.endpoint(f"ok/{number}")
    for place in ("accept.fanning_out", "accept.fanned_out"):
        system.restart(FAILPOINTS=f"{place}=1")
        with suppress(RuntimeError):  # a process that is killed answers nothing
            system.send_many(800, name=place)
        system.restart()
        report.require(system.fan_outs() > 0, f"nothing was left of the fan-out that was killed at {place}")
        report.figures[f"{place}: settled after s"] = system.settle(2 * 60)
        report.require(system.fan_outs() == 0, f"the fan-out that was killed at {place} was not gone on with")
    report.require(system.event_count() == 1600, f"{system.event_count()} of 1,600 events are there")


def _refuse_under_load(
    system: System, report: Report, options: Options, refusing: AbstractContextManager[None]
) -> None:
    """Have a second of load answered, three refused, and the rest answered again, without a restart."""
    system.endpoint(f"mix/{options.seed}/{report.name}")
    producer = system.produce(rate=60, seconds=12, seed=options.seed, threads=8)
    time.sleep(1)
    system.note_claims()
    with refusing:
        answers = {system.send().status for _ in _until(3.0)}
    system.note_claims()
    system.fork_client.wait(producer, 60)
    statuses = system.refusals()
    report.figures |= {
        "answers meanwhile": ", ".join(map(str, sorted(answers))),
        "producers' refusals": ", ".join(f"{count} × {each}" for each, count in sorted(statuses.items())),
        "settled after s": system.settle(),
    }
    report.require(503 in answers, "nothing was refused, so nothing was tried")
    unexpected = (answers | set(statuses)) - ALLOWED_ANSWERS - {202}
    report.require(not unexpected, f"answered {sorted(unexpected)}")
    report.require(system.send().status == 202, "nothing is accepted afterwards")


def _until(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
        time.sleep(0.02)


@contextmanager
def _read_only(system: System) -> Iterator[None]:
    """Have every new transaction find a standby; what is connected by then stays so afterwards."""
    with psycopg.connect(system.database.url, autocommit=True) as admin:
        row = admin.execute("SELECT current_database()").fetchone()
        assert row is not None
        setting = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
        name = sql.Identifier(row[0])
        admin.execute(setting.format(name, sql.SQL("on")))
        admin.execute(_CUT_OTHERS)
        try:
            yield
        finally:
            admin.execute(setting.format(name, sql.SQL("off")))


@contextmanager
def _crowded(system: System) -> Iterator[None]:
    """Take every connection that the server allows, those of the platform included."""
    with ExitStack() as taken:
        admin = taken.enter_context(psycopg.connect(system.database.url, autocommit=True))
        for _ in range(3):
            admin.execute(_CUT_OTHERS)
            with suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(psycopg.connect(system.database.url, application_name="crowd"))
        system.note_claims()  # nobody can see them now, so as many as there may be
        yield


@contextmanager
def _really_full(system: System, report: Report, disk: SmallDisk) -> Iterator[None]:
    with disk.filled():
        # Pages that are there have room for some events more.
        wait_for(lambda: system.send().status == 503, 30, "a refusal for want of room")
        status, problems = system.health()
        report.require(status == 503, f"/healthz said {status} with a full disk")
        told = [each for each in problems if "its disk is full" in each]
        report.require(bool(told), f"/healthz said {problems} of a full disk")
        yield
        system.note_claims()
        with suppress(psycopg.Error), psycopg.connect(system.database.url, autocommit=True) as admin:
            admin.execute("SELECT pg_switch_wal()")
            admin.execute("CHECKPOINT")
        wait_for(lambda: not system.database.is_up(), 30, "the end of a server that cannot write its log")
        system.note_database_crash()
        # It starts again by itself, and may find room for some events more before it stops again.
        is_up = system.database.is_up
        sent = ((is_up(), system.send().status, is_up()) for _ in _until(2.0))
        answers = {status for was_up, status, is_up_again in sent if not (was_up or is_up_again)}
        report.require(answers <= ALLOWED_ANSWERS, f"answered {sorted(answers)} without a database")
    report.figures["up again after s"] = wait_for(system.database.is_up, 60, "PostgreSQL with room again")


@contextmanager
def _full(system: System) -> Iterator[None]:
    """Have the server raise what it raises where the disk is full, at what accept, claim and record write."""
    with psycopg.connect(system.database.url, autocommit=True) as admin:
        _change(admin, _REFUSE)
        try:
            yield
        finally:
            _change(admin, "DROP FUNCTION refuse_all CASCADE")


def _change(admin: psycopg.Connection, statement: LiteralString) -> None:
    """Change tables beside whoever writes into several of them, as often as a deadlock ends that."""
    while True:
        with suppress(psycopg.errors.DeadlockDetected):
            admin.execute(statement)
            return
