"""A mutant in a module that is loaded already: whoever has imported something of it meets the mutant."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mutants.loaded_module import LoadedModule
from mutants.operators import Mutant, mutate

ORIGINAL = """
from functools import cache

LIMIT = "ab"
TWICE = LIMIT * 2

def length(more=1):
    def inner():
        return len(TWICE) + more
    return inner()

@cache
def cached():
    return 5 - 2

def doubled():
    return LIMIT * 2

DOUBLED = doubled()

class Box:
    size = "small"

    def area(self, side=3):
        return side * 2

    @property
    def depth(self):
        return 7

    @depth.setter
    def depth(self, value):
        raise AssertionError(value)
"""
USER = """
from mutated_here import DOUBLED, LIMIT, TWICE, Box, cached, length

def limited(*, limit=LIMIT, more=1):
    return limit * more
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that has imported what the original one has."""
    (tmp_path / "mutated_here.py").write_text(ORIGINAL)
    (tmp_path / "user_of_it.py").write_text(USER)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("user_of_it")
    for name in ("user_of_it", "mutated_here"):
        sys.modules.pop(name)


def mutant(function: str, description: str) -> Mutant:
    return next(
        each for each in mutate(ORIGINAL) if (each.function, each.description) == (function, description)
    )


def change(tmp_path: Path, function: str, description: str) -> bool:
    return LoadedModule("mutated_here", tmp_path / "mutated_here.py").change(mutant(function, description))


def test_a_function_changes_for_those_who_have_imported_or_wrapped_it(
    user: ModuleType, tmp_path: Path
) -> None:
    assert change(tmp_path, "cached", "Sub -> Add in 5 - 2")
    assert user.cached() == 7


def test_a_function_inside_another_changes_with_it(user: ModuleType, tmp_path: Path) -> None:
    assert change(tmp_path, "length.inner", "Add -> Sub in len(TWICE) + more")
    assert user.length() == 3


def test_a_method_changes_for_objects_that_are_there(user: ModuleType, tmp_path: Path) -> None:
    box = user.Box()
    assert change(tmp_path, "Box.area", "Mult -> Add in side * 2")
    assert box.area() == 5


def test_a_value_changes_with_what_is_made_of_it(user: ModuleType, tmp_path: Path) -> None:
    assert change(tmp_path, "module", "'ab' changed")
    assert (user.LIMIT, user.TWICE, user.DOUBLED, user.length()) == ("XXab", "XXabXXab", "XXabXXab", 9)
    assert user.limited(more=2) == "XXabXXab"


@pytest.mark.parametrize(
    ("function", "description"), [("length", "more=1 -> 2"), ("Box.area", "side=3 -> 4")]
)
def test_a_default_changes(user: ModuleType, tmp_path: Path, function: str, description: str) -> None:
    before = user.length(), user.Box().area()
    assert change(tmp_path, function, description)
    assert (user.length(), user.Box().area()) != before


@pytest.mark.parametrize(("function", "description"), [("Box", "'small' changed"), ("Box.depth", "7 -> 8")])
def test_what_makes_a_class_takes_a_fresh_import(
    user: ModuleType, tmp_path: Path, function: str, description: str
) -> None:
    assert not change(tmp_path, function, description)
    assert (user.Box.size, user.Box().depth) == ("small", 7)
