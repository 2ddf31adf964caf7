"""Messages to the web processes at which programs wait for deliveries to their listeners, through Redis.

Such a process has a queue, a Redis list on which one of its threads blocks, and a member of a sorted set that
says until when it reads. Whoever makes something due at a listener pushes the listener's id to each queue. A
lost message costs a short delay only, as whoever waits also looks into the database (docs/decisions/0037).
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from webhooks_app.jobs import redis_round_trip
from webhooks_app.jobs.redis_round_trip import Command

# The queues, each with the moment, in seconds since 1970, until which its process reads it.
QUEUES_KEY = "webhooks:mailboxes"
# More ids than these are not sent: every listener may have something then.
MOST_NAMED = 64
ANY = "*"


@dataclass(frozen=True, slots=True)
class MessageQueueLimits:
    """How a queue is read, and how much it holds.

    A process registers its queue for `reads_seconds`, and again every `renewed_seconds` and whenever nothing
    came for `wait_seconds`; the clocks of two hosts may differ by what lies between the first two. A thread
    outlives its last use by `wait_seconds` at most; `retry_seconds` is the pause after an error. The queue of
    a process that hangs is deleted once it holds more than `most_messages`: all has to be looked for by then.
    """

    reads_seconds: int = 60
    renewed_seconds: float = 15.0
    wait_seconds: int = 1
    retry_seconds: float = 0.5
    most_messages: int = 1000


DEFAULT_LIMITS = MessageQueueLimits()
CLIENT_SECONDS = DEFAULT_LIMITS.wait_seconds + 1.0  # of a client that is handed to ListenerMessages

# Called in a thread with the ids of listeners, or None where any may have something.
OnMessage = Callable[[frozenset[str] | None], None]

log = logging.getLogger(__name__)


def send(redis: Redis, listener_ids: Collection[str], limits: MessageQueueLimits = DEFAULT_LIMITS) -> None:
    """Send every process at which programs wait the ids of listeners that have something. Raises RedisError.

    Foreign data under our keys is no error: the reader is refused as well, and then polls.
    """
    [queues] = _ask(redis, ("ZRANGEBYSCORE", QUEUES_KEY, str(time.time()), "+inf"))
    if not queues:
        return
    message = ANY if (named := _ids_to_send(listener_ids)) is None else " ".join(named)
    pushes: list[Command] = [("RPUSH", each, message) for each in queues]
    expiries: list[Command] = [("EXPIRE", each, limits.reads_seconds) for each in queues]
    lengths = _ask(redis, *pushes, *expiries)[: len(queues)]
    if full := [
        each for each, length in zip(queues, lengths, strict=True) if (length or 0) > limits.most_messages
    ]:
        redis.delete(*full)


def _ask(redis: Redis, *commands: Command) -> list[Any]:
    """Return the answers, None where others' data is under the key. Raises RedisError."""
    return [redis_round_trip.none_if_wrong_type(each) for each in redis_round_trip.ask(redis, *commands)]


def _ids_to_send(listener_ids: Collection[str]) -> frozenset[str] | None:
    """Return the ids to send; None where there are so many that all listeners may as well be looked for."""
    return frozenset(listener_ids) if len(listener_ids) <= MOST_NAMED else None


class ListenerMessages:
    """The queue of a process, read by one thread while anything waits.

    `is_receiving` is False while no message would arrive: whoever waits then polls.
    """

    def __init__(self, redis: Redis, limits: MessageQueueLimits = DEFAULT_LIMITS) -> None:
        """Take a client whose time-out is longer than `wait_seconds`."""
        self._redis = redis
        self._limits = limits
        self._queue_key = f"webhooks:mailbox:{uuid.uuid4().hex}"
        self._lock = threading.Lock()
        self._wanted_until = 0.0
        self._has_thread = False
        self._on_message: OnMessage = lambda _: None
        self.is_receiving = False

    def listen(self, on_message: OnMessage, seconds: float) -> None:
        """Have `on_message` called with what arrives within the next `seconds`."""
        with self._lock:
            self._on_message = on_message
            self._wanted_until = max(self._wanted_until, time.monotonic() + seconds)
            if self._has_thread:
                return
            self._has_thread = True
        try:
            threading.Thread(target=self._read_all, name="listener_messages", daemon=True).start()
        except RuntimeError:  # none is to be had, so whoever waits looks by itself
            log.exception("listening_failed")
            with self._lock:
                self._has_thread = False

    def send_here(self, listener_ids: Collection[str]) -> None:
        """Notify this process only, which needs no Redis."""
        with self._lock:
            on_message = self._on_message if time.monotonic() < self._wanted_until else None
        if on_message is not None:
            on_message(_ids_to_send(listener_ids))

    def close(self) -> None:
        """Have the thread end, within a second or so."""
        with self._lock:
            self._wanted_until = 0.0

    def _read_all(self) -> None:
        while not self._is_over():
            renew_at = 0.0
            while self._is_wanted():
                try:
                    if time.monotonic() >= renew_at:
                        self._register()
                        renew_at = time.monotonic() + self._limits.renewed_seconds
                    if not self._read():
                        renew_at = 0.0  # a Redis that was emptied has no queues registered, so nothing comes
                except Exception as error:
                    self.is_receiving, renew_at = False, 0.0
                    if not isinstance(error, RedisError):  # which is logged elsewhere
                        log.exception("listening_failed")
                    time.sleep(self._limits.retry_seconds)
            self._leave()

    def _is_wanted(self) -> bool:
        with self._lock:
            return time.monotonic() < self._wanted_until

    def _is_over(self) -> bool:
        """Return whether nobody waits any more; if so, the next that does will start a new thread."""
        with self._lock:
            self._has_thread = time.monotonic() < self._wanted_until
            return not self._has_thread

    def _leave(self) -> None:
        self.is_receiving = False
        with suppress(RedisError):
            self._redis.zrem(QUEUES_KEY, self._queue_key)
        self._redis.connection_pool.disconnect()

    def _register(self) -> None:
        """Register this process's queue, and remove those that have not been registered for long."""
        now = time.time()
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(QUEUES_KEY, {self._queue_key: now + self._limits.reads_seconds})
            pipe.zrangebyscore(QUEUES_KEY, "-inf", now - self._limits.reads_seconds)
            gone = pipe.execute()[1]
        if gone:
            self._redis.zrem(QUEUES_KEY, *gone)
        self.is_receiving = True

    def _read(self) -> bool:
        """Return whether anything came within `wait_seconds`."""
        found: Any = self._redis.blpop([self._queue_key], timeout=self._limits.wait_seconds)
        if found is None:
            return False
        message = found[1].decode(errors="replace")
        self._on_message(None if message == ANY else frozenset(message.split()))
        return True
