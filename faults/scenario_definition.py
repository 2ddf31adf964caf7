"""What a scenario is: a function that injects faults, with its name and the numbered faults it stands for."""

from collections.abc import Callable
from dataclasses import dataclass

from faults.scenario_report import Report
from faults.system import System


@dataclass(frozen=True)
class Options:
    """`seed` decides what is done, `kills` how many kills a storm has.

    Where other work `shares_machine`, it may stand still for seconds, and bounds leave room for that.
    """

    seed: str
    kills: int
    shares_machine: bool = False


@dataclass(frozen=True)
class Scenario:
    name: str
    faults: str  # their numbers and what they are, in words
    only: str | None  # the one kind of database that it runs on
    may_be_pending: bool  # whether deliveries may still be pending at its end
    run: Callable[[System, Report, Options], None]


def scenario(
    faults: str, *, only: str | None = None, may_be_pending: bool = False
) -> Callable[[Callable[[System, Report, Options], None]], Scenario]:
    """Return a decorator that makes a function a Scenario under the function's name."""

    def define(run: Callable[[System, Report, Options], None]) -> Scenario:
        return Scenario(run.__name__.replace("_", "-"), faults, only, may_be_pending, run)

    return define
