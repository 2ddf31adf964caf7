"""What a scenario found, in one line and its violations."""

import time
from dataclasses import dataclass, field
from typing import Any

from faults.checker import Findings


@dataclass
class Report:
    name: str
    database: str
    faults: str
    figures: dict[str, Any] = field(default_factory=dict)
    findings: Findings | None = None
    problems: list[str] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)  # what was to be done to it, decided by the seed
    schedule_length: int | None = None  # where it is not the usual one
    began_at: float = field(default_factory=time.monotonic)

    def require(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)

    @property
    def violations(self) -> list[str]:
        return self.problems + (self.findings.violations() if self.findings else [])

    def print(self) -> None:
        found = self.findings
        word = "FAILED" if self.violations else "ok"
        print(f"\n{word:6} {self.name} [{self.faults}] on {self.database}", end="")
        print(f", {time.monotonic() - self.began_at:.0f} s", flush=True)
        if found:
            counts = (
                "events",
                "deliveries",
                "arrivals",
                "crashed",
                "duplicates",
                "lapsed_claims",
                "curl_repeats",
                "in_flight_at_kills",
            )
            figures = {name: getattr(found, name) for name in counts}
            named = ("lost", "stuck", "altered", "unsigned", "doubled", "unexplained")
            figures |= {name: len(getattr(found, name)) for name in named}
            print("      ", _line(figures | found.states))
        if self.figures:
            print("      ", _line(self.figures))
        if self.violations and self.plan:
            print("       planned:", ", ".join(self.plan))
        for violation in self.violations:
            print("   !! ", violation, flush=True)


def _line(figures: dict[str, Any]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {_figure(value)}" for name, value in figures.items())


def _figure(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
