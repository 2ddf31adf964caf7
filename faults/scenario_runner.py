"""Runs scenarios on one system: each in a workspace of its own, judged by the checker when it ends."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faults.checker import check
from faults.collect import collect_facts
from faults.databases import Postgresql, Sqlite
from faults.fork_client import ForkClient
from faults.scenario_definition import Options, Scenario
from faults.scenario_report import Report
from faults.system import System


@contextmanager
def running(kind: str, folder: Path) -> Iterator[System]:
    """Yield a whole platform with its files in `folder`, which is stopped when the block ends."""
    with ExitStack() as exits:
        fork_client = ForkClient(folder)
        exits.callback(fork_client.close)
        database: Sqlite | Postgresql = Sqlite(folder)
        if kind == "postgresql":
            database = Postgresql(folder, fork_client)
            database.prepare()
        system = System(folder, fork_client, database)
        system.start()
        exits.callback(system.stop)
        yield system


def run(system: System, scenario: Scenario, options: Options) -> Report:
    """Run a scenario and report what it and the checker found.

    An exception counts as a violation, in a thread of the scenario's own, too.
    """
    report = Report(scenario.name, system.database.kind, scenario.faults)
    usual_hook = threading.excepthook
    threading.excepthook = lambda caught: report.add_exception(caught.exc_value)
    try:
        system.new_workspace(scenario.name)
        scenario.run(system, report, options)
        system.settle(0 if scenario.may_be_pending else 60)
        report.findings = check(
            collect_facts(
                system, may_be_pending=scenario.may_be_pending, schedule_length=report.schedule_length
            )
        )
    except Exception as error:
        report.add_exception(error)
    finally:
        _reset(system, report)
        threading.excepthook = usual_hook
    return report


def _reset(system: System, report: Report) -> None:
    """Have everything run as usual for the next scenario, with nothing of this one left to be sent."""
    try:
        system.reset()
    except Exception as error:
        report.problems.append(f"afterwards: {type(error).__name__}: {error}")
