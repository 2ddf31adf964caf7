"""What every long-lived process needs: its start, the wait for Redis, its errors, a request to stop."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis

from webhooks_app.config import ConfigError, Settings
from webhooks_app.db import transient_errors
from webhooks_app.db.schema_version import WrongSchema
from webhooks_app.jobs import redis_check, redis_connections

# A worker waits a second at a time for its next job.
_REDIS_TIMEOUT_SECONDS = 3.0
_REDIS_POLL_SECONDS = 0.2

_ORPHAN_CHECK_SECONDS = 0.5

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def gc_freeze() -> None:
    """Exclude everything loaded so far from garbage collection; to be called at the end of a process's start.

    A full collection of it takes 60 ms, during which no request is answered and no delivery sent.
    """
    gc.collect()
    gc.freeze()


def print_warnings(settings: Settings) -> None:
    """Tell whoever starts this process what it makes of odd settings; once, by the first of its processes."""
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)


def announce_ready() -> None:
    """Print the line by which the supervisor, or a person, sees that this process works now."""
    print("ready", flush=True)


def when_orphaned(act: Callable[[], None], parent_id: int | None = None) -> None:
    """Call `act`, in a thread, once the process that started this one has died.

    `parent_id` is that process; by default the one that started this one through multiprocessing.
    """
    started_by = multiprocessing.parent_process()
    watched = parent_id if parent_id is not None else started_by and started_by.pid

    def watch() -> None:
        while os.getppid() == watched:
            time.sleep(_ORPHAN_CHECK_SECONDS)
        act()

    if watched is not None:
        threading.Thread(target=watch, daemon=True).start()


def listen_to_stop_signals() -> None:
    """Restore the default handling of stop signals, which a parent handles, or blocks while it starts one."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the process with a one-line error and an exit code for errors that a person has to put right.

    These are ConfigError, WrongSchema, NoRedis and a database that cannot serve.
    """
    try:
        yield
    except (ConfigError, WrongSchema) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)
    except NoRedis as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)
    except transient_errors.DATABASE_ERRORS as error:
        transient_errors.raise_unless_transient(error)
        [reason, *_] = str(getattr(error, "orig", None) or error).splitlines() or [""]
        print(f"error: The database does not answer as it should: {reason}", file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)


class StopFlag:
    """Whether this process was asked to end; set by the worker's signal handler."""

    requested: Callable[[], bool] = staticmethod(lambda: False)


class NoRedis(Exception):
    """Redis could not be used while a process that cannot work without it was starting."""


def redis_connection(redis_url: str) -> Redis:
    """Return a worker's or scheduler's connection, which waits a few seconds at most for each answer."""
    return redis_connections.connect(redis_url, timeout_seconds=_REDIS_TIMEOUT_SECONDS)


def wait_until_ready(redis_url: str, seconds: float = 30) -> Redis:
    """Return a connection for a worker or scheduler once Redis does what they need.

    Raises ConfigError for what only another setting mends, and NoRedis for what lasts longer than `seconds`.
    """
    redis = redis_connection(redis_url)
    deadline = time.monotonic() + seconds
    while (problem := redis_check.find_problem(redis)) is not None:
        if problem.is_setting:
            raise ConfigError(f"{problem.text}.")
        if time.monotonic() > deadline:
            raise NoRedis(f"{problem.text}, for {seconds:.0f} seconds; see REDIS_URL.")
        time.sleep(_REDIS_POLL_SECONDS)
    return redis
