"""What differs between two attempts: headers, bodies, timings. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

# Comparing takes time by the square of the lines; a page may take 50 ms.
MOST_LINES = 400
LONGEST_LINE = 2000


class Side(StrEnum):
    BOTH = "both"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line, and which of the two texts has it."""

    side: Side
    text: str


@dataclass(frozen=True, slots=True)
class HeaderPair:
    """The values of one header, in order and joined by commas; None where it is missing."""

    name: str
    left: str | None
    right: str | None

    @property
    def differs(self) -> bool:
        return self.left != self.right


@dataclass(frozen=True, slots=True)
class PhasePair:
    name: str
    left_ms: float | None
    right_ms: float | None


def compare_headers(left: Iterable[tuple[str, str]], right: Iterable[tuple[str, str]]) -> list[HeaderPair]:
    """Return all headers by name, whose case makes no difference (RFC 9110, section 5.1)."""
    ours, theirs = _by_name(left), _by_name(right)
    return [HeaderPair(name, ours.get(name), theirs.get(name)) for name in dict.fromkeys([*ours, *theirs])]


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.strip().lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def compare_phases(left: Iterable[tuple[str, float]], right: Iterable[tuple[str, float]]) -> list[PhasePair]:
    """Return the phases, given as names with milliseconds, that either attempt had."""
    ours, theirs = dict(left), dict(right)
    names = [name for name in ("DNS", "Connect", "TLS", "Wait", "Download") if name in ours or name in theirs]
    return [PhasePair(name, ours.get(name), theirs.get(name)) for name in names]


def compare_texts(left: str, right: str) -> list[DiffLine] | None:
    """Return the lines of both texts, in order; None for texts too long to be compared by lines."""
    ours, theirs = left.splitlines(), right.splitlines()
    lines = [*ours, *theirs]
    if len(lines) > MOST_LINES or any(len(line) > LONGEST_LINE for line in lines):
        return None
    found: list[DiffLine] = []
    for kind, start, end, other_start, other_end in SequenceMatcher(None, ours, theirs, False).get_opcodes():
        if kind == "equal":
            found += [DiffLine(Side.BOTH, line) for line in ours[start:end]]
        else:
            found += [DiffLine(Side.LEFT, line) for line in ours[start:end]]
            found += [DiffLine(Side.RIGHT, line) for line in theirs[other_start:other_end]]
    return found
