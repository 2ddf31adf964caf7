"""The order of the tests: random, but for what would cost too much."""

from collections import defaultdict
from pathlib import Path

import pytest


def test_a_browser_serves_all_tests_of_its_folder(request: pytest.FixtureRequest) -> None:
    items = [item for item in request.session.items if item.get_closest_marker("long") is None]
    places = defaultdict[Path, list[int]](list)
    for place, item in enumerate(items):
        places[item.path.parent].append(place)
    with_browser = {item.path.parent for item in items if "chromium" in getattr(item, "fixturenames", ())}
    for folder in with_browser:
        assert places[folder][-1] - places[folder][0] + 1 == len(places[folder])
