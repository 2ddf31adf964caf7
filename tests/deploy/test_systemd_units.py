"""The systemd units: valid, confined, and for commands that there are."""

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.deploy.programs import DEPLOY, find, run
from webhooks_app.cli.main import main

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
# Of ten; "the exposure of a service" as `systemd-analyze security` rates it, in tenths.
GREATEST_EXPOSURE = 29


def analyze(*arguments: str | Path) -> str:
    return run(find("systemd-analyze", "systemd"), *arguments).stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_valid_and_confined(unit: Path, tmp_path: Path) -> None:
    program = tmp_path / "avra"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/srv/avra/bin/avra", str(program)))
    analyze("verify", "--man=no", copy)
    analyze("security", "--offline=true", f"--threshold={GREATEST_EXPOSURE}", copy)


def test_all_units_are_confined_alike() -> None:
    """Each says all of it itself: what a drop-in says would be missing where only a unit is installed."""
    blocks = [
        re.findall(r"^CapabilityBoundingSet=\n(?:.+\n)+", unit.read_text(), re.MULTILINE) for unit in UNITS
    ]
    assert all(block == blocks[0] for block in blocks)
    assert len(blocks[0]) == 1


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_the_command_that_it_is_named_after(unit: Path) -> None:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    parser.read(unit)
    [command] = re.findall(r"^/srv/avra/bin/avra (\S+)$", parser["Service"]["ExecStart"])
    assert unit.stem == f"avra-{command}"
    assert command in main.list_commands(None)  # type: ignore[arg-type]  # it needs no context


def test_there_is_a_unit_for_each_process() -> None:
    assert {unit.stem for unit in UNITS} == {"avra-web", "avra-worker", "avra-scheduler", "avra-migrate"}
