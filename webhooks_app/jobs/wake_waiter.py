"""Waiting for a wake-up in Redis while a run is awake, so that it need not ask every few milliseconds."""

import logging
import os
import threading
import time
import weakref
from contextlib import suppress

from redis import Redis
from redis.exceptions import RedisError

# What is pushed here says no more than that the wake flag was set; the flag itself decides.
NOTIFICATIONS_KEY = "webhooks:news"
# A run that has ended waits for no longer than this, and gives back what it is told meanwhile.
WAIT_SECONDS = 1
_RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


class WakeWaiter:
    """A thread that blocks in Redis during a run, and a descriptor that becomes readable when there is news.

    `is_listening` is False while Redis does not answer: whoever waits then asks by itself. `has_thread` stays
    True for up to WAIT_SECONDS after a run.
    """

    def __init__(self, redis: Redis) -> None:
        """Take a client whose time-out is longer than WAIT_SECONDS."""
        self._redis = redis
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        weakref.finalize(self, _close, self._reader, self._writer)
        self._lock = threading.Lock()
        self._is_awake = self._is_notified = False
        self.has_thread = self.is_listening = False

    def fileno(self) -> int:
        """Return the descriptor; `note` is to be called once it is readable."""
        return self._reader

    def start_run(self) -> None:
        """Listen, until `end_run`."""
        with self._lock:
            self._is_awake = True
            if self.has_thread:  # of the last run, which has not noticed its end
                return
            self.has_thread = True
        try:
            threading.Thread(target=self._listen, name="wake_waiter", daemon=True).start()
        except RuntimeError:  # none is to be had, so the run asks by itself
            log.exception("wake_wait_failed")
            with self._lock:
                self.has_thread = False

    def end_run(self) -> None:
        with self._lock:
            self._is_awake = self.is_listening = False

    def note(self) -> None:
        """Take what made the descriptor readable."""
        with suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                self._is_notified = True

    def take(self) -> bool:
        """Return whether a wake-up was notified since the last call."""
        self.note()
        has_news, self._is_notified = self._is_notified, False
        return has_news

    def _listen(self) -> None:
        while self._goes_on():
            try:
                self._wait_once()
            except RedisError:
                self._pause()
            except Exception:
                log.exception("wake_wait_failed")
                self._pause()

    def _goes_on(self) -> bool:
        with self._lock:
            self.has_thread = self._is_awake
            return self.has_thread

    def _wait_once(self) -> None:
        if not self.is_listening:
            self._redis.exists(NOTIFICATIONS_KEY)  # a connection that is there, before anybody relies on it
        with self._lock:
            self.is_listening = self._is_awake
        if self._redis.blpop([NOTIFICATIONS_KEY], timeout=WAIT_SECONDS) is None:
            return
        with self._lock:
            if self._is_awake:
                with suppress(BlockingIOError):
                    os.write(self._writer, b"1")
                return
        self._redis.rpush(NOTIFICATIONS_KEY, 1)  # for the run of another worker

    def _pause(self) -> None:
        self.is_listening = False
        time.sleep(_RETRY_SECONDS)


def _close(*descriptors: int) -> None:
    for each in descriptors:
        os.close(each)
