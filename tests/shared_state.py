"""What tests that run in one process share, and none may leave changed for the next."""

import gc
import os
import signal
import sys

from webhooks_app import tasks
from webhooks_app.core import failpoints
from webhooks_app.jobs.process import StopFlag

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
        "whether jobs are to stop": StopFlag.requested,
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
