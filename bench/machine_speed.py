"""Measures how fast the machine itself is meanwhile: a virtual one's speed varies by half within seconds."""

import statistics
import threading
import time
from typing import Self

ROUNDS = 12_000  # about a millisecond
EVERY_SECONDS = 0.1


class MachineSpeed:
    """Times one short loop again and again in its block, in CPU time, which leaves out waits for a core."""

    def __init__(self) -> None:
        self._costs = [(time.time(), _cost())]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._measure)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def speed(self, start: float, end: float) -> float:
        """Return the loops per CPU second between two values of `time.time()`."""
        costs = [cost for at, cost in self._costs if start <= at <= end] or [self._costs[-1][1]]
        return 1 / statistics.median(costs)

    def _measure(self) -> None:
        while not self._is_over.wait(EVERY_SECONDS):
            self._costs.append((time.time(), _cost()))


def _cost() -> float:
    started, total = time.thread_time(), 0
    for number in range(ROUNDS):
        total += number * number
    return time.thread_time() - started
