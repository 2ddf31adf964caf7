"""The suite fails on a platform that is broken, in real processes, in each of a dozen ways."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from faults import scenario_runner
from faults.checker import Findings, check
from faults.collect import collect_facts
from faults.databases import Sqlite
from faults.fork_client import ForkClient
from faults.platform_processes import LONG_LEASE
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.scenarios import ALL
from faults.system import System
from tests.faults import breakages
from tests.faults.breakages import BREAKAGES_OF_WEB, BREAKAGES_OF_WORKERS, NONE
from webhooks_app.db.models import Endpoint
from webhooks_app.extensions import db

# What the checker has to find, and the receiver's answers: a mix of successes and failures, or slow ones.
EXPECTED = {
    "forgets a 202": ("lost", "mix/7"),
    "records nothing": ("stuck", "mix/7"),
    "records twice": ("miscounted", "mix/7"),
    "drops an outcome": ("duplicates", "mix/7"),
    "claims without a lease": ("duplicates", "always/slow-300-200"),
    "releases what is in flight": ("duplicates", "always/slow-300-200"),
    "sends another id on a retry": ("altered", "mix/7"),
    "alters the body": ("altered", "mix/7"),
    "signs with another key": ("unsigned", "mix/7"),
    "sends twice": ("unexplained", "mix/7"),
    "gives up at once": ("lost", "mix/7"),
    "forgets a retry": ("stuck", "mix/7"),
    "delivers what failed": ("lost", "mix/7"),
}
# Found by what a scenario looks at, as only it brings the situation about.
SCENARIOS = {"ignores the generation": "frozen"}


class BrokenSystem(System):
    """The system under test, broken in the way that `breakage` names."""

    breakage = NONE

    def break_by(self, name: str) -> None:
        """Start the workers anew, and the web where it was or is to be broken."""
        if {name, self.breakage} & BREAKAGES_OF_WEB.keys():
            self.web.kill()
        self.pool.kill()
        self.breakage = name
        self.ensure_running()

    def _start_web(self) -> int:
        return self._start_broken("web", self.breakage, 2)

    def _start_pool(self) -> int:
        return self._start_broken("pool", self.breakage)

    def _start_broken(self, function: str, *arguments: str | int) -> int:
        return self.fork_client.call(
            f"{breakages.__name__}:{function}", *arguments, name=function, env=self.environment, **self.patch
        )


@pytest.fixture(scope="module")
def system(scratch: Path) -> Iterator[BrokenSystem]:
    if sys.platform != "linux":
        pytest.skip("the fault suite forks and reads /proc; run it on Linux")
    folder = scratch / "breakages"
    folder.mkdir()
    fork_client = ForkClient(folder)
    running = BrokenSystem(folder, fork_client, Sqlite(folder))
    running.start()
    yield running
    running.stop()
    fork_client.close()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def clean(system: BrokenSystem) -> Iterator[None]:
    """Leaves nothing to be sent: each test starts workers of its own."""
    yield
    system.pool.kill()
    system.extra_environ = {}
    with system.app.app_context():
        endpoint_ids = db.session.scalars(select(Endpoint.id).where(Endpoint.deleted_at.is_(None))).all()
    for endpoint_id in endpoint_ids:
        system.remove(endpoint_id)


def run(
    system: BrokenSystem, breakage: str, answers: str, *, settle_seconds: float, expected: str = ""
) -> Findings:
    """What the checker finds of some events that the broken platform accepted.

    Where it does not find what is expected, it is asked again a while later: a busy machine may need more.
    """
    system.new_workspace(breakage)
    system.break_by(breakage)
    system.endpoint(f"{answers}/a")
    for number in range(40):
        system.send(f"event-{number}")
    for _ in range(8):
        system.settle(settle_seconds)
        time.sleep(0.5)  # for what is sent beside that
        findings = check(collect_facts(system))
        if not expected or expected in kinds(findings):
            break
    return findings


def kinds(findings: Findings) -> set[str]:
    return {violation.partition(":")[0] for violation in findings.violations()}


def test_every_breakage_is_tried() -> None:
    assert EXPECTED.keys() | SCENARIOS.keys() == BREAKAGES_OF_WEB.keys() | BREAKAGES_OF_WORKERS.keys()


@pytest.mark.parametrize("answers", ["mix/7", "always/slow-300-200"])
def test_what_is_not_broken_is_found_to_be_well(system: BrokenSystem, answers: str) -> None:
    system.extra_environ = LONG_LEASE
    assert run(system, NONE, answers, settle_seconds=180).violations() == []


@pytest.mark.parametrize("breakage", EXPECTED)
def test_the_checker_finds_that_the_platform(system: BrokenSystem, breakage: str) -> None:
    expected, answers = EXPECTED[breakage]
    findings = run(system, breakage, answers, settle_seconds=8, expected=expected)
    assert expected in kinds(findings), findings.violations()


@pytest.mark.parametrize("breakage", SCENARIOS)
def test_a_scenario_finds_that_the_platform(system: BrokenSystem, breakage: str) -> None:
    system.break_by(breakage)
    report = scenario_runner.run(system, ALL[SCENARIOS[breakage]], Options("7", 1))
    assert any("a stale failure changed" in violation for violation in report.violations), report.violations


def test_an_exception_in_a_thread_of_a_scenario_is_a_violation(system: BrokenSystem) -> None:
    @scenario("")
    def threads(_system: System, _report: Report, _options: Options) -> None:
        thread = threading.Thread(target=int, args=("no number",))
        thread.start()
        thread.join()

    report = scenario_runner.run(system, threads, Options("7", 1))
    assert report.violations[0].startswith("ValueError: invalid literal")


@pytest.mark.parametrize(
    ("place", "holds_something"),
    [("worker.recorded", False), ("worker.half_recorded", True), ("worker.answered", True)],
)
def test_a_process_that_dies_reports_what_it_has_sent_and_not_recorded(
    system: BrokenSystem, place: str, holds_something: bool
) -> None:
    system.new_workspace(place)
    system.break_by(NONE)
    system.endpoint("ok/a")
    system.send("recorded before")
    system.settle()
    system.restart(FAILPOINTS=f"{place}=1", WEBHOOKS_WORKERS="1")
    system.send("the last")
    deadline = time.monotonic() + 120
    while not (reports := list(system._crash_reports())) and time.monotonic() < deadline:
        time.sleep(0.05)
    delivery_id = max(system.delivery_ids())
    assert reports[0]["at"] == place
    assert reports[0]["unrecorded"] == ([[delivery_id, 1]] if holds_something else [])
