"""Places at which the fault suite lets a process die. Without `FAILPOINTS` in the environment, none does.

    FAILPOINTS='worker.claimed=0.02,worker.recording=0.01' FAILPOINT_SEED=7

kills the process (SIGKILL: nothing is cleaned up) with that probability each time it comes by. The dice are
thrown by the seed, the kind of process (what stands before the dot) and its number among those of its kind,
which is counted in the folder FAILPOINT_COUNTS.
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
_dice: dict[str, random.Random] = {}
# Called with the place by a process that dies there; the fault suite has it write down what it held.
last_words: Callable[[str], None] = lambda place: None  # noqa: E731


def hit(name: str) -> None:
    if name in _PROBABILITIES and _die(name).random() < _PROBABILITIES[name]:
        last_words(name)
        os.kill(os.getpid(), signal.SIGKILL)


def swallow(body: bytes) -> None:
    if POISON in body:
        hit("worker.poisoned")


def _die(name: str) -> random.Random:
    """Made at the first throw, so that forked processes do not all throw alike."""
    kind = name.partition(".")[0]
    if kind not in _dice:
        _dice[kind] = random.Random(f"{os.environ.get('FAILPOINT_SEED', '')}-{kind}-{_number(kind)}")
    return _dice[kind]


def _number(kind: str) -> int:
    folder = os.environ.get("FAILPOINT_COUNTS")
    if folder is None:
        return 1
    count = os.open(os.path.join(folder, kind), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(count, b"x")
    number = os.lseek(count, 0, os.SEEK_CUR)
    os.close(count)
    return number
