"""The order of the tests: random, but for what would cost too much."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, takewhile
from pathlib import Path
from random import Random
from typing import cast

import pytest

from tests.running_order import arrange, is_long


def test_a_browser_serves_all_tests_of_its_folder(request: pytest.FixtureRequest) -> None:
    items = [item for item in request.session.items if not is_long(item)]
    places = defaultdict[Path, list[int]](list)
    for place, item in enumerate(items):
        places[item.path.parent].append(place)
    with_browser = {item.path.parent for item in items if "chromium" in getattr(item, "fixturenames", ())}
    for folder in with_browser:
        assert places[folder][-1] - places[folder][0] + 1 == len(places[folder])


def test_only_what_is_shared_by_all_tests_keeps_something_in_the_folder_of_the_session() -> None:
    """What lasts for a module would find there what it left when the process began that module before."""
    tests = Path(__file__).parent
    others = set(tests.rglob("*.py")) - {tests / "conftest.py", Path(__file__)}
    assert [path for path in others if "session_folder" in path.read_text()] == []


@dataclass(frozen=True)
class Collected:
    """As much of a test as its place depends on."""

    path: Path
    number: int
    is_marked: bool

    def get_closest_marker(self, name: str) -> object:
        return name if self.is_marked else None


@pytest.mark.parametrize("processes", [1, 2, 4, 7])
@pytest.mark.parametrize("others", [0, 3, 300])
def test_each_process_begins_with_its_share_of_the_long_ones(processes: int, others: int) -> None:
    long = [Collected(Path(f"test_{name}.py"), number, True) for name in "abcdefgh" for number in range(5)]
    items = [*long, *(Collected(Path("test_i.py"), number, False) for number in range(others))]
    Random(1).shuffle(items)
    arranged = cast("list[Collected]", arrange(cast("list[pytest.Item]", items), processes))
    assert len(arranged) == len(items)
    assert set(arranged) == set(items)
    if others < 300:
        return
    begun = []
    for number in range(processes):
        share = arranged[: len(arranged) // (processes - number)]
        del arranged[: len(share)]
        begun.append([item.path for item in takewhile(lambda item: item.is_marked, share)])
        assert len(begun[-1]) == len([item for item in share if item.is_marked])
        assert [path for path, _ in groupby(begun[-1])] == list(dict.fromkeys(begun[-1])), "a file's together"
    assert max(map(len, begun)) - min(map(len, begun)) <= 5
