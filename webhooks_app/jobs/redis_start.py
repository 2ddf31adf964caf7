"""The connections to Redis of workers and schedulers, which cannot work without it, and the wait for it."""

import os
import time

from redis import Redis

from webhooks_app.config import ConfigError
from webhooks_app.core.start_errors import StartError
from webhooks_app.jobs import redis_check, redis_connections

# A worker waits a second at a time for its next job.
_TIMEOUT_SECONDS = 3.0
_POLL_SECONDS = 0.2


class NoRedis(StartError):
    """Redis could not be used while a process that cannot work without it was starting."""

    exit_code = os.EX_UNAVAILABLE


def connect(redis_url: str) -> Redis:
    """Return a worker's or scheduler's connection, which waits a few seconds at most for each answer."""
    return redis_connections.connect(redis_url, timeout_seconds=_TIMEOUT_SECONDS)


def wait_until_ready(redis_url: str, seconds: float = 30) -> Redis:
    """Return a connection for a worker or scheduler once Redis does what they need.

    Raises ConfigError for what only another setting mends, and NoRedis for what lasts longer than `seconds`.
    """
    redis = connect(redis_url)
    deadline = time.monotonic() + seconds
    while (problem := redis_check.find_problem(redis)) is not None:
        if problem.is_setting:
            raise ConfigError(f"{problem.text}.")
        if time.monotonic() > deadline:
            raise NoRedis(f"{problem.text}, for {seconds:.0f} seconds; see REDIS_URL.")
        time.sleep(_POLL_SECONDS)
    return redis
