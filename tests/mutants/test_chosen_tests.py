"""Which tests are tried on a mutant, and in which order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mutants.chosen_tests import FIRST_TESTS, choose

CLAIMER = Path("webhooks_app/worker/claimer.py")


def _chosen(
    tests: Sequence[str], *, noticed: Mapping[str, int] | None = None, seconds: float | None = None
) -> tuple[list[str], list[str]]:
    return choose(
        CLAIMER,
        tests,
        noticed=lambda test: (noticed or {}).get(test, 0),
        processor_seconds=lambda test: len(test) if seconds is None else seconds,
    )


def _of(name: str, count: int) -> list[str]:
    return [f"tests/worker/test_{name}.py::test_{number}" for number in range(count)]


def test_all_tests_of_its_own_file_are_tried_even_past_the_bound() -> None:
    own = _of("claimer", FIRST_TESTS + 5)
    first, others = _chosen([*_of("engine", 9), *own])
    assert (sorted(first), others) == (sorted(own), _of("engine", 9))


def test_others_fill_up_what_its_own_file_leaves_of_the_bound() -> None:
    first, others = _chosen([*_of("engine", 50), *_of("claimer", 10)], seconds=1)
    assert sorted([*first, *others]) == sorted([*_of("engine", 50), *_of("claimer", 10)])
    assert Counter(each.partition("::")[0] for each in first) == {
        "tests/worker/test_claimer.py": 10,
        "tests/worker/test_engine.py": FIRST_TESTS - 10,
    }


def test_a_file_whose_name_ends_alike_is_another_one() -> None:
    first, _ = _chosen([*_of("claimer_of_others", 50), *_of("claimer", 1)], seconds=1)
    assert len(first) == FIRST_TESTS and first[0] == "tests/worker/test_claimer.py::test_0"


def test_what_noticed_most_comes_first_then_its_own_then_what_takes_least() -> None:
    slow, quick, own = "tests/worker/test_engine_runs.py::test_it", *_of("engine", 1), *_of("claimer", 1)
    noticing = "tests/worker/test_engine_in_vain.py::test_it"
    chosen = _chosen([slow, quick, own, noticing], noticed={noticing: 2})
    assert chosen == ([noticing, own, quick, slow], [])
