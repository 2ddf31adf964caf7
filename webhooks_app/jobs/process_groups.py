"""Stop groups of processes in order; as a program, do so for a supervisor that was killed.

    python -m webhooks_app.jobs.process_groups

The supervisor holds the other end of this program's standard input, onto which each process that it starts
writes a line, `STAGE PID`, before it becomes its command; `- PID` says that one has ended. The end of that
input means that the supervisor is gone. Only the standard library, so that it starts in no time and stays
small.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable

# A worker takes up to four seconds to hand back what it holds, a web process up to eight to answer.
PATIENCE_SECONDS = 10


def stop(
    stages: Iterable[Collection[int]],
    *,
    reap: Callable[[], object] = lambda: None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Ask all groups of a stage to end, kill what has not after `patience_seconds`; then the next stage.

    A group is named by the process id of its leader. `reap` collects the exit statuses of the caller's own
    children, whose groups exist until then.
    """
    for groups in stages:
        deadline = time.monotonic() + patience_seconds
        _signal_all(groups, signal.SIGTERM)
        while _signal_all(groups, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
            reap()
        _signal_all(groups, signal.SIGKILL)


def _signal_all(groups: Iterable[int], number: int) -> bool:
    """Signal all; return whether any of the groups exists."""
    existing = [group for group in groups if _signal(group, number)]
    return bool(existing)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True


def main() -> None:
    stages: dict[int, str] = {}
    for line in sys.stdin:
        stage, pid = line.split()
        stages[int(pid)] = stage
        if stage == "-":
            del stages[int(pid)]
    stop([pid for pid in stages if stages[pid] == stage] for stage in sorted(set(stages.values())))


if __name__ == "__main__":
    main()
