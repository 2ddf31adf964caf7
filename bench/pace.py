"""How fast this machine is meanwhile: a virtual one's speed swings by half within seconds, whatever runs on it."""

import statistics
import threading
import time
from typing import Self

ROUNDS = 12_000  # some millisecond
EVERY_SECONDS = 0.1


class Pace:
    """Times one short loop again and again while its block runs, in CPU time: waits for a core do not count."""

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
        """Loops a CPU second between two moments of `time.time()`."""
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
