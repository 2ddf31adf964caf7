"""The compiled lists of requirements are whole, also for a pip that is older than the newest."""

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement

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
