"""A host vanishes without a word: that of the database, or a worker's in the middle of a transaction."""

import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import requests

from faults.api_requests import ApiResponse
from faults.databases import Postgresql
from faults.fork_client import ROOT
from faults.network import Namespace
from faults.platform_processes import LONG_LEASE
from faults.pooler import PgBouncer
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for

CUT_SECONDS = 20.0
# Within which there is a 503, and which a probe may take on a machine that is busy with all of this.
PROMISED_MS, PROBE_SECONDS = 5000.0, 2.0
LEASE_SECONDS = 10
HELD = 20
SENDERS = 20
NEEDS_NO_DATABASE = ("/livez", "/static/favicon.svg")


@scenario("26: the database's host vanishes for a while", only="postgresql")
def database_host_lost(system: System, report: Report, options: Options) -> None:
    with ExitStack() as exits:
        host = exits.enter_context(Namespace().existing())
        # To whoever connects, the host is where the pooler runs; it reaches the server by its socket.
        pooler = PgBouncer(
            system.folder, system.database.url, port=6432, address=host.inside, prefix=host.prefix
        )
        system.database_url = exits.enter_context(pooler.running()).url
        system.restart(**LONG_LEASE)
        system.endpoint(f"mix/{options.seed}/lost")
        producer = system.produce(rate=50, seconds=CUT_SECONDS + 10, seed=options.seed, threads=8)
        time.sleep(5)
        system.note_claims()
        host.cut()
        answers, probes = _ask(system)
        host.mend()
        system.fork_client.wait(producer, 60)
        report.figures["settled after s"] = system.settle()
    slowest_ms = max(answer.duration_ms for answer in answers)
    report.figures |= {"answers": len(answers), "slowest ms": slowest_ms, "slowest probe s": max(probes)}
    statuses = {answer.status for answer in answers}
    report.require(statuses == {503}, f"answers without a database: {statuses}")
    report.require(slowest_ms < PROMISED_MS, "a 503 took too long")
    report.require(max(probes) < PROBE_SECONDS, "a probe or a static file waited for the database")


def _ask(system: System) -> tuple[list[ApiResponse], list[float]]:
    """Send events, and ask for what needs no database, until the cut is over."""
    until = time.monotonic() + CUT_SECONDS
    with ThreadPoolExecutor(SENDERS + len(NEEDS_NO_DATABASE)) as threads:
        senders = [threads.submit(_send, system, until) for _ in range(SENDERS)]
        probes = [threads.submit(_probe, system.base_url + path, until) for path in NEEDS_NO_DATABASE]
        answers = [answer for sender in senders for answer in sender.result()]
        return answers, [seconds for probe in probes for seconds in probe.result()]


def _send(system: System, until: float) -> list[ApiResponse]:
    answers = []
    while time.monotonic() < until:
        answers.append(system.send(timeout=15))
        time.sleep(0.2)
    return answers


def _probe(url: str, until: float) -> list[float]:
    """Ask again and again; return how many seconds each answer took."""
    taken = []
    while time.monotonic() < until:
        began = time.monotonic()
        requests.get(url, timeout=15).raise_for_status()
        taken.append(time.monotonic() - began)
        time.sleep(0.2)
    return taken


@scenario("27: a worker's host vanishes inside a transaction", only="postgresql")
def worker_host_lost(system: System, report: Report, options: Options) -> None:
    assert isinstance(system.database, Postgresql)
    system.endpoint("ok/a")
    system.pool.stop()
    system.send_many(HELD, name="held")
    with Namespace().existing() as host, system.database.listening(host.outside) as url:
        worker = _start_holder(system, host, url)
        host.cut()
        system.fork_client.kill(worker)
        freed_seconds = wait_for(lambda: _claimable(system) == HELD, 60, "the rows of the lost worker")
    report.figures["free after s"] = freed_seconds
    report.require(freed_seconds < 1.5 * LEASE_SECONDS, "the rows were held for too long")
    system.ensure_running()
    report.figures["delivered after s"] = system.settle()
    _hold_and_look(system, report)


def _claimable(system: System) -> int:
    """Count the pending deliveries that no transaction holds."""
    with psycopg.connect(system.database.url) as connection:
        rows = connection.execute("SELECT 1 FROM pending_deliveries FOR UPDATE SKIP LOCKED").fetchall()
    return len(rows)


def _start_holder(system: System, host: Namespace, database_url: str) -> int:
    """Have a worker's process on that host claim everything, and stay in the transaction."""
    held = system.folder / "held"
    call = f"from faults.entry_points import hold_claims; hold_claims({str(held)!r})"
    environment = system.environment | {"DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)}
    environment |= {"WEBHOOKS_LEASE_SECONDS": str(LEASE_SECONDS), "PATH": os.environ["PATH"]}
    command = [*host.prefix, sys.executable, "-c", call]
    command[0] = str(shutil.which(command[0]))
    worker = system.fork_client.execute(command, name="holder", env=environment)
    wait_for(lambda: held.exists() and held.read_text() == str(HELD), 30, "the claims")
    return worker


def _hold_and_look(system: System, report: Report) -> None:
    """Hold due rows for longer than any worker's limits allow, and have the alarm find them."""
    system.pool.stop()
    system.send_many(HELD, name="stuck")
    with psycopg.connect(system.database.url) as other:
        other.execute("UPDATE pending_deliveries SET next_attempt_at = next_attempt_at - interval '1 hour'")
        other.commit()
        other.execute("SELECT 1 FROM pending_deliveries FOR UPDATE")
        system.restart()
        system.send_many(HELD, name="flowing")
        wait_for(lambda: system.pending() == HELD, 30, "what is not held to be delivered")
        report.require(_has_alarm(system), "no alarm for what nobody can claim")
    report.figures["settled after s"] = system.settle()
    report.require(not _has_alarm(system), "an alarm for nothing")


def _has_alarm(system: System) -> bool:
    return any("not being sent" in problem for problem in system.health()[1])
