"""The list of scenarios is whole."""

import pkgutil
import re

from faults import scenarios
from faults.scenario_definition import Scenario
from faults.scenarios import ALL

# The numbered faults of the suite; docs/faults.md describes them.
NUMBERED = range(1, 36)


def test_every_module_of_scenarios_is_listed() -> None:
    found = {f"faults.scenarios.{module.name}" for module in pkgutil.iter_modules(scenarios.__path__)}
    assert found == {module.__name__ for module in scenarios.MODULES}


def test_every_numbered_fault_has_a_scenario() -> None:
    numbers = {
        int(number) for each in ALL.values() for number in re.findall(r"\d+", each.faults.split(":")[0])
    }
    assert numbers == set(NUMBERED)


def test_no_two_scenarios_share_a_name() -> None:
    assert len(ALL) == sum(
        isinstance(each, Scenario) for module in scenarios.MODULES for each in vars(module).values()
    )
