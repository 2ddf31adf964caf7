"""The short, seeded part of the fault suite, with real processes; `make faults` runs all of it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import scenario_runner
from faults.databases import SharedPostgresql, Sqlite
from faults.fork_client import ForkClient
from faults.scenario_definition import Options
from faults.scenarios import ALL
from faults.system import System

SEED, KILLS = "7", 8
CHEAP = ["redis-gone-at-accept", "hundred-jobs", "outbox"]


@pytest.fixture(scope="module")
def fork_client(scratch: Path) -> Iterator[ForkClient]:
    if sys.platform != "linux":
        pytest.skip("the fault suite forks and reads /proc; run it on Linux")
    folder = scratch / "faults"
    folder.mkdir()
    running = ForkClient(folder)
    yield running
    running.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def system(request: pytest.FixtureRequest, fork_client: ForkClient, scratch: Path) -> Iterator[System]:
    folder = scratch / "faults" / request.param
    folder.mkdir()
    database: Sqlite | SharedPostgresql = Sqlite(folder)
    if request.param == "postgresql":
        database = SharedPostgresql(request.getfixturevalue("postgresql_url"))
    running = System(folder, fork_client, database)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(folder)


@pytest.mark.long
def test_a_short_storm_and_the_cheap_faults_lose_nothing(system: System) -> None:
    options = Options(SEED, KILLS, shares_machine=True)
    for name in ["storm", *CHEAP]:
        report = scenario_runner.run(system, ALL[name], options)
        report.print()
        assert report.violations == [], f"python -m faults --only {name} --seed {SEED} --kills {KILLS}"
