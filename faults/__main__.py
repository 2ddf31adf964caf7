"""`python -m faults`: runs the suite of docs/faults.md, whole or in part; exits with 1 on any violation."""

import argparse
import logging
import random
import sys
import tempfile
from pathlib import Path

from faults.scenario_definition import Options
from faults.scenario_report import Report
from faults.scenario_runner import run, running
from faults.scenarios import ALL


def main() -> int:
    arguments = _arguments()
    options = Options(seed=arguments.seed or str(random.randrange(10**6)), kills=arguments.kills)
    kinds = ["sqlite", "postgresql"] if arguments.database == "both" else [arguments.database]
    names = arguments.only.split(",") if arguments.only else list(ALL)
    logging.getLogger("webhooks_app").setLevel("ERROR")
    print(f"seed {options.seed}")
    reports: list[Report] = []
    for kind in kinds:
        reports += _run_on(kind, names, options, keep=arguments.keep)
    return _print_summary(reports, options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument(
        "--kills",
        type=int,
        default=500,
        help="kills of the storm on each database, beside those at failpoints",
    )
    parser.add_argument("--seed", help="repeats what another run did; random where it is not given")
    parser.add_argument("--only", help=f"scenarios, separated by commas, of: {', '.join(ALL)}")
    parser.add_argument("--keep", action="store_true", help="do not delete the folder with the logs")
    arguments = parser.parse_args()
    if unknown := [name for name in (arguments.only or "").split(",") if name and name not in ALL]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    return arguments


def _run_on(kind: str, names: list[str], options: Options, *, keep: bool) -> list[Report]:
    reports = []
    with tempfile.TemporaryDirectory(prefix="faults", ignore_cleanup_errors=True) as name:
        folder = Path(tempfile.mkdtemp(prefix="faults")) if keep else Path(name)
        folder.chmod(0o755)
        if keep:
            print("logs in", folder)
        with running(kind, folder) as system:
            for each in (ALL[name] for name in names if ALL[name].only in (None, kind)):
                report = run(system, each, options)
                report.print()
                reports.append(report)
    return reports


def _print_summary(reports: list[Report], options: Options) -> int:
    failed = [report for report in reports if report.violations]
    print(f"\n{len(reports)} scenarios, {len(failed)} failed")
    for report in failed:
        print(
            f"reproduce: python -m faults --database {report.database} --only {report.name}"
            f" --kills {options.kills} --seed {options.seed}"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
