"""The list of scenarios, each under its name and with the numbers of the faults that it stands for."""

from collections.abc import Callable
from dataclasses import dataclass

from faults.reports import Report
from faults.system import Stack


@dataclass(frozen=True)
class Options:
    seed: str
    kills: int


@dataclass(frozen=True)
class Scenario:
    name: str
    faults: str
    only: str | None  # the one database that it is about
    may_wait: bool
    run: Callable[[Stack, Report, Options], None]


ALL: dict[str, Scenario] = {}


def scenario(
    faults: str, *, only: str | None = None, may_wait: bool = False
) -> Callable[[Callable[[Stack, Report, Options], None]], Callable[[Stack, Report, Options], None]]:
    """Registers a scenario under its function's name."""

    def register(
        run: Callable[[Stack, Report, Options], None],
    ) -> Callable[[Stack, Report, Options], None]:
        name = run.__name__.replace("_", "-")
        ALL[name] = Scenario(name, faults, only, may_wait, run)
        return run

    return register
