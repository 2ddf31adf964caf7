"""Places at which the fault suite lets a process die. Without `FAILPOINTS` in the environment, none does.

    FAILPOINTS='worker.claimed=0.02,worker.recording=0.01' FAILPOINT_SEED=7

kills the process (SIGKILL: nothing is cleaned up) with that probability each time it comes by.
"""

import os
import random
import signal
from collections.abc import Callable

# A body that carries this kills whoever sends it, when the failpoint `worker.poisoned` is armed.
POISON = b'"poison":true'


def _armed(text: str) -> dict[str, float]:
    pairs = (part.split("=") for part in text.split(",") if part)
    return {name: float(probability) for name, probability in pairs}


_PROBABILITIES = _armed(os.environ.get("FAILPOINTS", ""))
_dice: random.Random | None = None
# Called with the place by a process that dies there; the fault suite has it write down what it held.
last_words: Callable[[str], None] = lambda place: None  # noqa: E731


def hit(name: str) -> None:
    if name in _PROBABILITIES and _die().random() < _PROBABILITIES[name]:
        last_words(name)
        os.kill(os.getpid(), signal.SIGKILL)


def swallow(body: bytes) -> None:
    if POISON in body:
        hit("worker.poisoned")


def _die() -> random.Random:
    """Made at the first throw, so that forked processes do not all throw alike."""
    global _dice
    if _dice is None:
        _dice = random.Random(f"{os.environ.get('FAILPOINT_SEED', '')}-{os.getpid()}")
    return _dice
