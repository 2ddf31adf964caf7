"""The order in which tests run, of which each process that tests side by side begins with an equal share."""

from itertools import groupby, islice
from pathlib import Path

import pytest


def arrange(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests so that each share begins with some of the long ones, whatever the order.

    The shares are those of xdist's `worksteal`: as many tests each, from whose ends those processes take that
    have none left. Long ones at the end of all, or all in one share, would be waited for.
    """
    places = _places(items)
    items = sorted(items, key=places.__getitem__)
    groups = [list(group) for _, group in groupby(filter(is_long, items), key=places.__getitem__)]
    groups.sort(key=len, reverse=True)
    others = (item for item in items if not is_long(item))
    arranged: list[pytest.Item] = []
    for number in range(processes):
        share = (len(items) - len(arranged)) // (processes - number)
        begun = [item for group in groups[number::processes] for item in group]
        arranged += [*begun, *islice(others, max(0, share - len(begun)))]
    return arranged


def is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None


def _places(items: list[pytest.Item]) -> dict[pytest.Item, int]:
    """Return where each stands, or the first of its folder if that has a browser, of its file if it is long.

    The browser is closed where a test of another folder follows: to start one takes two seconds of processor
    time. Long ones of a file share what they begin with.
    """
    with_browser = {item.path.parent for item in items if "chromium" in getattr(item, "fixturenames", ())}
    firsts: dict[Path, int] = {}
    places = {}
    for place, item in enumerate(items):
        folder = item.path.parent
        kept = [folder] if folder in with_browser else [item.path] if is_long(item) else []
        places[item] = firsts.setdefault(kept[0], place) if kept else place
    return places
