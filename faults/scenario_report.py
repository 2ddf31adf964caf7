"""What a scenario found: its figures and violations, and how they are printed."""

import time
import traceback
from dataclasses import dataclass, field
from typing import Any

from faults.checker import VIOLATIONS, Findings

COUNTS = (
    *("events", "deliveries", "arrivals", "crashed", "duplicates"),
    *("unrecorded_claims", "curl_repeats", "in_flight_at_kills"),
)


@dataclass
class Report:
    name: str
    database: str
    faults: str
    figures: dict[str, Any] = field(default_factory=dict)
    findings: Findings | None = None
    problems: list[str] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)  # what the seed decided to do, printed after a failure
    schedule_length: int | None = None  # how many retries a delivery has, where it is not the usual number
    began_at: float = field(default_factory=time.monotonic)

    def require(self, holds: object, otherwise: str) -> None:
        """Report a violation, in the words of `otherwise`, unless `holds`."""
        if not holds:
            self.problems.append(otherwise)

    def add_exception(self, error: BaseException | None) -> None:
        """Report an exception as a violation, with the end of its traceback."""
        self.problems.append(f"{type(error).__name__}: {error}")
        self.problems += "".join(traceback.format_exception(error)).splitlines()[-7:-1]

    @property
    def violations(self) -> list[str]:
        return self.problems + (self.findings.violations() if self.findings else [])

    def print(self) -> None:
        verdict = "FAILED" if self.violations else "ok"
        print(f"\n{verdict:6} {self.name} [{self.faults}] on {self.database}", end="")
        print(f", {time.monotonic() - self.began_at:.0f} s", flush=True)
        if self.findings:
            print("      ", _line(_figures(self.findings)))
        if self.figures:
            print("      ", _line(self.figures))
        if self.violations and self.plan:
            print("       planned:", ", ".join(self.plan))
        for violation in self.violations:
            print("   !! ", violation, flush=True)


def _figures(findings: Findings) -> dict[str, int]:
    counts = {name: getattr(findings, name) for name in COUNTS}
    violations = {name: len(getattr(findings, name)) for name in VIOLATIONS}
    violations["beyond_kills"] = len(findings.beyond_kills)
    return counts | violations | findings.states


def _line(figures: dict[str, Any]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {_figure(value)}" for name, value in figures.items())


def _figure(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
