"""Which tests run a line: from a coverage run that notes the test behind each executed line."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from coverage import CoverageData

ROOT = Path(__file__).resolve().parent.parent
# Those that need a browser, a compiler or the whole platform take longer than a mutant may.
LEFT_OUT = ("tests/browser", "tests/snippets", "tests/test_snippets.py", "tests/cli", "tests/faults")
# Past so many, another one that runs the line hardly ever sees what these did not.
MOST_TESTS = 60


def measure(data_file: Path) -> None:
    """Run the tests once with coverage, noting which test runs which line."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "logical",
        "--dist",
        "worksteal",
        "-p",
        "no:randomly",
    ]
    command += [f"--ignore={path}" for path in LEFT_OUT]
    command += ["--cov=webhooks_app", "--cov-context=test", "--cov-report=", "--no-cov-on-fail"]
    environment = dict(os.environ) | {"COVERAGE_FILE": str(data_file)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


class Selection:
    """The tests of a module, by line, the nearest first."""

    def __init__(self, data_file: Path) -> None:
        self._data = CoverageData(str(data_file))
        self._data.read()

    def tests_of(self, module: Path, line: int) -> list[str]:
        """Return the tests that run the line or, of what runs at import only, any part of the module.

        A test that only reads a constant runs no line, so at import the module's test files run whole.
        """
        by_line = self._contexts(module)
        if found := by_line.get(line):
            return _nearest(found, module)
        files = [str(path.relative_to(ROOT)) for path in ROOT.glob(f"tests/**/test_{module.stem}.py")]
        others = {test for tests in by_line.values() for test in tests if not _mirrors(test, module)}
        return files + _nearest(others, module)

    def _contexts(self, module: Path) -> dict[int, set[str]]:
        contexts: dict[int, set[str]] = defaultdict(set)
        for line, names in self._data.contexts_by_lineno(str(ROOT / module)).items():
            contexts[line] |= set(_test_ids(names))
        return {line: tests for line, tests in contexts.items() if tests}


def _test_ids(contexts: Iterable[str]) -> Iterable[str]:
    # A context is `tests/core/test_ids.py::test_name[param]|run`, also of its set-up and tear-down.
    return (name.rpartition("|")[0] for name in contexts if name.endswith("|run"))


def _nearest(tests: Iterable[str], module: Path) -> list[str]:
    """Return the tests of the module, then those of its package, then others, as many as are worth it."""
    package = f"tests/{module.parent.name}/"
    by_nearness = sorted(
        tests, key=lambda test: (not _mirrors(test, module), not test.startswith(package), test)
    )
    return by_nearness[:MOST_TESTS]


def _mirrors(test: str, module: Path) -> bool:
    return Path(test.partition("::")[0]).name == f"test_{module.stem}.py"
