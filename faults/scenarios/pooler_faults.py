"""Everything through a pooler in transaction mode, in whose few sessions all transactions take turns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from faults.fork_client import free_ports
from faults.platform_processes import LONG_LEASE
from faults.pooler import PgBouncer
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.scenarios import storm
from faults.system import System

KILLS = 60


@scenario("28: PgBouncer in transaction mode before PostgreSQL", only="postgresql")
def pooler(system: System, report: Report, options: Options) -> None:
    with _pooled(system):
        system.endpoint(f"mix/{options.seed}/pooled")
        system.restart(**LONG_LEASE)
        producer = system.produce(rate=100, seconds=5, seed=options.seed, threads=8)
        system.fork_client.wait(producer, 60)
        report.figures["settled after s"] = system.settle()
    refused = system.not_accepted_count()
    report.require(refused == 0, f"{refused} events were refused")


@scenario("28: the storm, through PgBouncer in transaction mode", only="postgresql")
def pooler_storm(system: System, report: Report, options: Options) -> None:
    with _pooled(system):
        storm.storm.run(system, report, replace(options, kills=min(KILLS, options.kills)))


@contextmanager
def _pooled(system: System) -> Iterator[None]:
    [port] = free_ports(1)
    with PgBouncer(system.folder, system.database.url, port=port).running() as running:
        system.database_url = running.url
        system.restart()
        yield
