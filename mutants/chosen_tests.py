"""Which of the tests that run a line are tried first on its mutants. Pure."""

from collections.abc import Callable, Iterable
from pathlib import Path

# Past so many tests, another one that runs the line rarely sees what these did not. A number and no time, so
# that a machine which is busy with something else chooses no fewer than an idle one.
FIRST_TESTS = 40


def choose(
    module: Path,
    tests: Iterable[str],
    *,
    noticed: Callable[[str], int],
    processor_seconds: Callable[[str], float],
) -> tuple[list[str], list[str]]:
    """Return which tests are tried first, those likely to notice before others, and which are left.

    The first are all tests of the module's own file, and others up to FIRST_TESTS.

    noticed: how many mutants of the same function a test noticed before.
    """

    def order(test: str) -> tuple[int, bool, float]:
        return -noticed(test), not is_own(module, test), processor_seconds(test)

    ordered = sorted(tests, key=order)
    others = [test for test in ordered if not is_own(module, test)]
    # Whoever mends a survivor looks for its test among its own, however many are there already.
    room = FIRST_TESTS - (len(ordered) - len(others))
    left = dict.fromkeys(others[max(room, 0) :])
    return [test for test in ordered if test not in left], [*left]


def is_own(module: Path, test: str) -> bool:
    """Return whether the test is in the file that is named after the module."""
    return f"/test_{module.stem}.py::" in test
