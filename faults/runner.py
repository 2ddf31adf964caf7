"""Runs scenarios on one database: a fresh workspace for each, everything healthy before and judged after."""

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faults.checker import check
from faults.collect import gather
from faults.databases import Postgresql, Sqlite
from faults.harness import Nursery
from faults.registry import Options, Scenario
from faults.reports import Report
from faults.system import Stack


@contextmanager
def running(kind: str, folder: Path) -> Iterator[Stack]:
    """A whole platform in `folder`, gone when this ends."""
    with ExitStack() as stack:
        nursery = Nursery(folder)
        stack.callback(nursery.close)
        database: Sqlite | Postgresql = Sqlite(folder)
        if kind == "postgresql":
            database = Postgresql(folder, nursery)
            database.prepare()
        platform = Stack(folder, nursery, database)
        platform.start()
        stack.callback(platform.stop)
        yield platform


def run(stack: Stack, scenario: Scenario, options: Options) -> Report:
    report = Report(scenario.name, stack.database.kind, scenario.faults)
    try:
        stack.new_workspace(scenario.name)
        scenario.run(stack, report, options)
        stack.settle(0 if scenario.may_wait else 60)
        report.findings = check(
            gather(stack, may_wait=scenario.may_wait, schedule_length=report.schedule_length)
        )
    except Exception as error:
        report.problems.append(f"{type(error).__name__}: {error}")
        report.problems += traceback.format_exc().splitlines()[-7:-1]
    finally:
        _tidy(stack, report)
    return report


def _tidy(stack: Stack, report: Report) -> None:
    """For the next one: everything runs as usual, and nothing of this one is left to be sent."""
    try:
        stack.reset()
    except Exception as error:
        report.problems.append(f"afterwards: {type(error).__name__}: {error}")
