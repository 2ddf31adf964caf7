"""What tests that run in one process share, and none may leave changed for the next."""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from webhooks_app import tasks
from webhooks_app.core import failpoints

_SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGCHLD),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGWINCH),
)
# One says which test runs, the other is set for all connections of a process at the first one.
_CHANGING = {"PYTEST_CURRENT_TEST", "PGDATESTYLE"}


def read() -> dict[str, object]:
    """Return what a test has to leave as it found it, by what one would call it."""
    state: dict[str, object] = {f"what {each.name} does": signal.getsignal(each) for each in _SIGNALS}
    state |= {f"the variable {name}": value for name, value in os.environ.items() if name not in _CHANGING}
    state |= {
        "the signals that are blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "the timer": signal.getitimer(signal.ITIMER_REAL),
        "what jobs work with": tasks._context,
        "what kills at failpoints": failpoints.before_kill,
        "the folder": os.getcwd(),
        "the path of modules": tuple(sys.path),
        "how soon threads take turns": sys.getswitchinterval(),
        "the collector of garbage": (gc.isenabled(), gc.get_threshold()),
        "output and input": (sys.__stdout__, sys.__stderr__, sys.__stdin__),
    }
    return state


def changed(before: dict[str, object], after: dict[str, object]) -> set[str]:
    """Return what the two readings differ in, by the names of `read`."""
    return {name for name in before | after if before.get(name) != after.get(name)}


@contextmanager
def logging_restored() -> Iterator[None]:
    """Put back levels, handlers and the hooks for uncaught errors.

    Without these hooks no later test would fail of an error in a thread.
    """
    loggers = [logging.getLogger(name) for name in ("webhooks_app", "rq_scheduler")]
    hooks, levels = (sys.excepthook, threading.excepthook), [each.level for each in loggers]
    yield
    sys.excepthook, threading.excepthook = hooks
    if levels == [each.level for each in loggers]:
        return
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in [each for each in root.handlers if type(each) is logging.StreamHandler]:
        root.removeHandler(handler)
