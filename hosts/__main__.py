"""`python -m hosts`: runs what docs/many-hosts.md describes, or a part; exits with 1 on any violation."""

import argparse
import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from faults.fork_client import ForkClient
from faults.scenario_definition import Options
from faults.scenario_report import Report
from faults.scenario_runner import run
from hosts.cluster import Cluster
from hosts.network import Network
from hosts.scenarios import ALL


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Yield a whole cluster with its files in `folder`, which is stopped when the block ends."""
    with ExitStack() as exits:
        network = exits.enter_context(Network().existing())
        fork_client = ForkClient(folder)
        exits.callback(fork_client.close)
        yield exits.enter_context(Cluster(folder, fork_client, network).running())


def main() -> int:
    arguments = _arguments()
    options = Options(seed=arguments.seed or str(random.randrange(10**6)), kills=0)
    names = arguments.only.split(",") if arguments.only else list(ALL)
    logging.getLogger("webhooks_app").setLevel("ERROR")
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="hosts", ignore_cleanup_errors=True) as name:
        folder = Path(tempfile.mkdtemp(prefix="hosts")) if arguments.keep else Path(name)
        folder.chmod(0o755)
        print("logs in", folder)
        with running(folder) as cluster:
            reports = [_run(cluster, name, options) for name in names]
    failed = [report.name for report in reports if report.violations]
    print(f"\n{len(reports)} scenarios, {len(failed)} failed")
    if failed:
        print(f"reproduce: python -m hosts --only {','.join(failed)} --seed {options.seed}")
    return 1 if failed else 0


def _run(cluster: Cluster, name: str, options: Options) -> Report:
    report = run(cluster, ALL[name], options)
    report.print()
    return report


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hosts")
    parser.add_argument("--seed", help="repeats what another run did; random where it is not given")
    parser.add_argument("--only", help=f"scenarios, separated by commas, of: {', '.join(ALL)}")
    parser.add_argument("--keep", action="store_true", help="do not delete the folder with the logs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
