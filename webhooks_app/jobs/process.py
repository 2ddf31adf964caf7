"""What every long-lived process needs: its start, its errors, a request to stop. Loads next to nothing."""

import atexit
import gc
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from webhooks_app.config import Settings
from webhooks_app.core.start_errors import StartError

_ORPHAN_CHECK_SECONDS = 0.5
_END_SECONDS = 5.0

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def gc_freeze() -> None:
    """Exclude everything loaded so far from garbage collection; to be called at the end of a process's start.

    A full collection of it takes 60 ms, during which no request is answered and no delivery sent.
    """
    gc.collect()
    gc.freeze()


def print_warnings(settings: Settings) -> None:
    """Print the warnings about the settings for whoever starts this; only the first process is to call it."""
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)


def announce_ready() -> None:
    """Print the line by which the supervisor, or a person, sees that this process works now.

    In one piece, as several processes may share the output.
    """
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def when_orphaned(act: Callable[[], None], parent_id: int) -> None:
    """Call `act`, in a thread, once `parent_id`, the process that started this one, has died."""

    def watch() -> None:
        while os.getppid() == parent_id:
            time.sleep(_ORPHAN_CHECK_SECONDS)
        act()

    threading.Thread(target=watch, daemon=True).start()


def restore_stop_signals() -> None:
    """Restore the default handling of stop signals, which a parent handles, or blocks while it starts one."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def ignore_stop_signals_at_exit() -> None:
    """Have stop signals ignored once this process is exiting.

    Python takes our handlers off before it is over: a second request would then be what ended the process.
    """
    atexit.register(_ignore_stop_signals)


def _ignore_stop_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def exit_on_stop_signals() -> None:
    """Have a request to stop end this process by SystemExit, with status 0.

    Others that follow soon change nothing: a supervisor may ask both a process and its group, and what the
    process still has to do must not be cut short.
    """
    is_ending_until = -math.inf

    def stop(*_: object) -> None:
        nonlocal is_ending_until
        if time.monotonic() > is_ending_until:
            is_ending_until = time.monotonic() + _END_SECONDS
            sys.exit(0)

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


@contextmanager
def exit_on_start_error() -> Iterator[None]:
    """End the process with the one line and the exit code of a StartError."""
    try:
        yield
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
