"""The flag in Redis that stands for all wake-ups since a worker last took it.

Whoever sets the flag while it is clear enqueues the one job, and the job clears the flag before its first
claim. So a commit is either seen by that claim or finds the flag clear and enqueues a job of its own. A run
that keeps itself marked as awake is notified through a list that it blocks on, so that a wake-up which comes
meanwhile needs no job at all (docs/decisions/0003).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue

from webhooks_app.core import ids
from webhooks_app.jobs import redis_round_trip, task_jobs
from webhooks_app.jobs.redis_round_trip import Command
from webhooks_app.jobs.task_jobs import DELIVER_DUE
from webhooks_app.jobs.wake_limits import DEFAULT_LIMITS, WakeLimits
from webhooks_app.jobs.wake_waiter import NOTIFICATIONS_KEY

FLAG_KEY = "webhooks:wake"

# The ids of endpoints that have something new, for whoever takes the flag. It is a hint: a version that does
# not know this key adds nothing to it, and a scan finds what that version woke a worker for.
_NAMED_KEY = "webhooks:named"
_ANY = "*"
# More endpoints than these are not named, as a scan then finds them sooner.
MOST_NAMED = 4

# Set while a run reads the wake flag. Without it, steady traffic would leave a job behind for each time that
# a run finds the flag set.
AWAKE_KEY = "webhooks:awake"
# Nobody reads the list where every run that is awake is of a version from before the list existed.
_MOST_NOTIFICATIONS = 5


@dataclass(frozen=True, slots=True)
class WakeRequest:
    """What a wake-up is about: these endpoints have something due, or any may, where none is named."""

    endpoint_ids: frozenset[str] = frozenset()


def set_flag(
    queue: Queue,
    endpoint_ids: Collection[str] = (),
    *,
    is_awake_likely: bool = False,
    limits: WakeLimits = DEFAULT_LIMITS,
) -> bool:
    """Set the wake flag; if it was clear, tell the run that is awake or enqueue one. Raises RedisError.

    With `is_awake_likely` a run is notified in the same round trip, before it is known whether one is awake;
    a needless notification only makes a run look at the flag. Return whether one is likely awake next time.
    """
    redis = queue.connection
    names = endpoint_ids if 0 < len(endpoint_ids) <= MOST_NAMED else (_ANY,)
    commands: list[Command] = [
        ("SADD", _NAMED_KEY, *names),
        ("SET", FLAG_KEY, 1, "NX", "EX", limits.flag_ttl_seconds),
        ("EXISTS", AWAKE_KEY),
        ("LLEN", NOTIFICATIONS_KEY),
    ]
    if is_awake_likely:
        commands.append(("RPUSH", NOTIFICATIONS_KEY, 1))
    named, is_first, is_awake, notification_count, *_ = _ask(redis, commands, about_names=0)
    if named is None:
        redis.delete(_NAMED_KEY)
    has_room = notification_count + is_awake_likely < _MOST_NOTIFICATIONS
    if is_first and not is_awake:
        enqueue_run(queue)
    elif is_first and has_room and not is_awake_likely:
        redis.rpush(NOTIFICATIONS_KEY, 1)
    return bool(is_first and is_awake and has_room)


def take(redis: Redis) -> WakeRequest | None:
    """Clear the wake flag; if it was set, return where there may be new deliveries. Raises RedisError."""
    # Whoever sets the flag names endpoints before: what is named in between comes with the next flag.
    commands: list[Command] = [("GETDEL", FLAG_KEY), ("SMEMBERS", _NAMED_KEY), ("DEL", _NAMED_KEY)]
    flag, named, _ = _ask(redis, commands, about_names=1)
    if flag is None:
        return None
    names = frozenset(each.decode(errors="replace") for each in named or (b"",))
    is_usable = len(names) <= MOST_NAMED and all(ids.is_id("ep", each) for each in names)
    return WakeRequest(names) if is_usable else WakeRequest()


def enqueue_run(queue: Queue) -> None:
    """Enqueue a job that delivers what is due."""
    queue.enqueue_call(DELIVER_DUE, timeout=task_jobs.timeout_seconds(DELIVER_DUE), result_ttl=0)


def _ask(redis: Redis, commands: list[Command], *, about_names: int) -> list[Any]:
    """Return what Redis answers to each command; None at this position if others' data is under our key.

    Nothing of the rest may be lost by that, as the names are a hint. Raises RedisError.
    """
    answers = redis_round_trip.ask(redis, *commands)
    answers[about_names] = redis_round_trip.none_if_wrong_type(answers[about_names])
    for each in answers:
        if isinstance(each, RedisError):
            raise each
    return answers
