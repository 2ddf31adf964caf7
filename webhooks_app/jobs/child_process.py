"""Children that this process forks of itself. Nothing that has threads or open connections may be forked."""

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from webhooks_app.jobs.process import restore_stop_signals, when_orphaned

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


def fork(act: Callable[[], object]) -> int:
    """Return the id of a child that calls `act`, with stop signals as a process has them by default.

    The child exits with 0 after `act`, with the status of a SystemExit that `act` raises, otherwise with 1.
    """
    sys.stdout.flush()  # what is buffered would be printed by both
    child = os.fork()
    if child == 0:
        _be_child(act)
    return child


def do_in_child(act: Callable[[], str | None]) -> str:
    """Run in a child what takes memory that this process does not need afterwards; return its result.

    Exits this process with the child's status if that is not 0. A child that is killed is replaced.
    """
    while True:
        status, text = _ask_child(act)
        if status == 0:
            return text
        if status > 0:
            sys.exit(status)
        log.warning("child_died", extra={"status": status})
        time.sleep(_RETRY_SECONDS)


def _ask_child(act: Callable[[], str | None]) -> tuple[int, str]:
    """Return the status of a child, negative for the signal that killed it, and what `act` returned."""
    parent, (reading, writing) = os.getpid(), os.pipe()

    def act_as_child() -> None:
        when_orphaned(lambda: os._exit(1), parent)
        with os.fdopen(writing, "w") as answer:
            answer.write(act() or "")

    child = fork(act_as_child)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), text


def _be_child(act: Callable[[], object]) -> NoReturn:
    status = 1
    try:
        restore_stop_signals()
        act()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        log.exception("process_failed")
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)
