"""The short part of `make hosts`: every host starts, and one web after the other is lost or restarted."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults import scenario_runner
from faults.scenario_definition import Options
from hosts.__main__ import running
from hosts.cluster import Cluster
from hosts.scenarios import ALL, web_killed
from tests.conftest import unavailable


@pytest.fixture(scope="module")
def cluster(scratch: Path) -> Iterator[Cluster]:
    missing = [each for each in ("ip", "nginx", "pgbouncer", "setpriv") if shutil.which(each) is None]
    if sys.platform != "linux" or os.getuid() != 0 or missing:
        unavailable("A host of its own", f"run as root on Linux, with {missing or 'network namespaces'}.")
    folder = scratch / "hosts"
    folder.mkdir()
    folder.chmod(0o755)
    with ExitStack() as exits:
        try:
            made = exits.enter_context(running(folder))
        except subprocess.CalledProcessError as error:
            unavailable("A network of hosts", f"allow it to be made: {error.stderr!r}")
        yield made
    shutil.rmtree(folder)


@pytest.mark.long
def test_a_web_that_is_lost_takes_nothing_with_it(cluster: Cluster) -> None:
    report = scenario_runner.run(cluster, web_killed, Options("7", 0, shares_machine=True))
    report.print()
    assert not report.violations
    assert report.findings
    assert report.findings.events > 20  # an idle machine accepts hundreds


def test_the_documentation_lists_every_scenario() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "many-hosts.md").read_text()
    assert [name for name in ALL if f"`{name}`" not in documented] == []
