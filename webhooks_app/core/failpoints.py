"""Places at which the fault suite kills a process. Without `FAILPOINTS` in the environment none is armed.

    FAILPOINTS='worker.claimed=0.02,worker.recording=0.01' FAILPOINT_SEED=7

kills the process (SIGKILL: nothing is cleaned up) with that probability each time it reaches the place. The
random numbers depend on the seed, the kind of process (the part before the dot) and its number among those of
its kind, which is counted in the folder FAILPOINT_COUNTS. FAILPOINTS is read once, when the module is loaded.
"""

import os
import random
import signal
from collections.abc import Callable, Iterable

# A body that contains this kills the process that sends it, when the failpoint `worker.poisoned` is armed.
POISON = b'"poison":true'


def _parse(text: str) -> dict[str, float]:
    pairs = (part.split("=") for part in text.split(",") if part)
    return {name: float(probability) for name, probability in pairs}


_PROBABILITIES = _parse(os.environ.get("FAILPOINTS", ""))
# A search of 256 KiB takes a quarter of a millisecond, which no delivery pays outside the fault suite.
_IS_POISON_ARMED = "worker.poisoned" in _PROBABILITIES
_generators: dict[str, random.Random] = {}


def _do_nothing(name: str, events: Iterable[str]) -> None:
    pass


# Called with the failpoint's name and the events that `hit` was given, just before the process is killed
# there; the fault suite sets it.
before_kill: Callable[[str, Iterable[str]], None] = _do_nothing


def hit(name: str, events: Iterable[str] = ()) -> None:
    """Kill this process with the probability that the failpoint `name` is armed with, if it is.

    `events` are the ids of those that it works on.
    """
    if name in _PROBABILITIES and _generator(name).random() < _PROBABILITIES[name]:
        before_kill(name, events)
        os.kill(os.getpid(), signal.SIGKILL)


def hit_if_poisoned(body: bytes) -> None:
    """Hit `worker.poisoned` if `body` contains POISON; unless that failpoint is armed, `body` is not read."""
    if _IS_POISON_ARMED and POISON in body:
        hit("worker.poisoned")


def _generator(name: str) -> random.Random:
    """Return the generator of the kind, made at first use so that forked processes do not share one."""
    kind = name.partition(".")[0]
    if kind not in _generators:
        seed = f"{os.environ.get('FAILPOINT_SEED', '')}-{kind}-{_process_number(kind)}"
        _generators[kind] = random.Random(seed)
    return _generators[kind]


def _process_number(kind: str) -> int:
    """Return this process's number, from 1, among those of its kind that reached an armed failpoint."""
    folder = os.environ.get("FAILPOINT_COUNTS")
    if folder is None:
        return 1
    count = os.open(os.path.join(folder, kind), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(count, b"x")
    number = os.lseek(count, 0, os.SEEK_CUR)
    os.close(count)
    return number
