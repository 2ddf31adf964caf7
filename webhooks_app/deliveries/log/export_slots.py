"""How many exports are under way in a process, and which of them makes room for one that is asked for."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """Which reader keeps a slot that somebody else asks for.

    One that has kept the export waiting for less than `patience_seconds` in all; or that takes at least
    `characters_per_second` of what is waited for, and that for no longer than `longest_seconds`.
    """

    patience_seconds: float = 30.0
    characters_per_second: int = 64 * 1024
    longest_seconds: float = 600.0


DEFAULT_LIMITS = SlotLimits()


class ExportSlot:
    """One export's; `is_lost` once another has it, upon which the export is to end."""

    def __init__(self) -> None:
        self.is_lost = False
        self._taken = 0
        self._waited_seconds = 0.0
        self._waits_since: float | None = None

    def hand_out(self, part: str) -> Iterator[str]:
        """Yield the part, and note for how long the reader let it wait."""
        self._taken += len(part)
        self._waits_since = time.monotonic()
        yield part
        self._waited_seconds += time.monotonic() - self._waits_since
        self._waits_since = None

    def waited_seconds(self, now: float) -> float:
        """Return how long the export has waited for its reader in all, until now."""
        since = self._waits_since
        return self._waited_seconds + (0.0 if since is None else now - since)

    def makes_room(self, limits: SlotLimits, now: float) -> bool:
        """Return whether the reader is too slow to keep others out."""
        seconds = self.waited_seconds(now)
        if seconds < limits.patience_seconds:
            return False
        return seconds >= limits.longest_seconds or self._taken < seconds * limits.characters_per_second


class ExportSlots:
    """One per process, for its threads."""

    def __init__(self, count: int, limits: SlotLimits = DEFAULT_LIMITS) -> None:
        self._count = count
        self._limits = limits
        self._lock = threading.Lock()
        self._taken: list[ExportSlot] = []

    def take(self) -> ExportSlot | None:
        """Return a slot, of which the slowest reader's makes room where none is free; None if none does."""
        with self._lock:
            if len(self._taken) >= self._count and not self._make_room():
                return None
            slot = ExportSlot()
            self._taken.append(slot)
            return slot

    def give_back(self, slot: ExportSlot) -> None:
        with self._lock:
            if slot in self._taken:
                self._taken.remove(slot)

    def _make_room(self) -> bool:
        now = time.monotonic()
        slow = [slot for slot in self._taken if slot.makes_room(self._limits, now)]
        if not slow:
            return False
        slowest = max(slow, key=lambda slot: slot.waited_seconds(now))
        slowest.is_lost = True
        self._taken.remove(slowest)
        return True
