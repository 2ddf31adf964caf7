"""Web processes are told of what comes to listeners; what they are not told costs them a look."""

import threading
import time
from collections.abc import Iterator
from typing import Self

import pytest
from redis import Redis

from tests.patience import PATIENT_WAKE_LIMITS
from tests.waiting import wait_for
from webhooks_app.core import ids
from webhooks_app.jobs import listener_messages, redis_connections
from webhooks_app.jobs.listener_messages import (
    DEFAULT_LIMITS,
    QUEUES_KEY,
    ListenerMessages,
    MessageQueueLimits,
)
from webhooks_app.jobs.wake_ups import WakeUps

LISTENER, OTHER, LAST = ids.several("ep", 3)
SECONDS = 600.0
ANSWER_SECONDS = 30.0  # longer than each wait for news


class Ear:
    """A process that waits, for a while: what it heard, and its news."""

    def __init__(self, redis_url: str, limits: MessageQueueLimits = DEFAULT_LIMITS) -> None:
        self.heard: list[frozenset[str] | None] = []
        redis = redis_connections.connect(redis_url, timeout_seconds=ANSWER_SECONDS)
        self.news = ListenerMessages(redis, limits)

    def listen(self) -> None:
        self.news.listen(self.heard.append, SECONDS)
        wait_for(lambda: self.news.is_receiving)

    @property
    def has_thread(self) -> bool:
        return self.news._has_thread

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.news.close()
        wait_for(lambda: not self.has_thread)


@pytest.fixture
def ears(redis_url: str) -> Iterator[tuple[Ear, Ear]]:
    with Ear(redis_url) as one, Ear(redis_url) as other:
        yield one, other


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def test_each_process_hears_which_listeners_have_something(ears: tuple[Ear, Ear], redis_url: str) -> None:
    WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS).wake_worker([LISTENER, OTHER], listener_ids=[LISTENER])
    wait_for(lambda: [each.heard for each in ears] == [[frozenset({LISTENER})]] * 2)


def test_of_what_is_due_elsewhere_nobody_hears(ears: tuple[Ear, Ear], redis_url: str) -> None:
    WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS).wake_worker([OTHER])
    WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS).wake_worker(listener_ids=[LISTENER])
    wait_for(lambda: ears[0].heard == [frozenset({LISTENER})])


def test_of_many_listeners_any_may_have_something(ears: tuple[Ear, Ear], redis_url: str) -> None:
    WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS).wake_worker(
        listener_ids=ids.several("ep", listener_messages.MOST_NAMED + 1)
    )
    wait_for(lambda: ears[0].heard == [None])


def test_one_that_no_longer_waits_is_told_nothing_and_leaves_nothing(
    ears: tuple[Ear, Ear], redis: Redis
) -> None:
    ears[0].news.close()
    wait_for(lambda: not ears[0].has_thread)
    wait_for(lambda: redis.zcard(QUEUES_KEY) == 1)
    assert not ears[0].news.is_receiving
    listener_messages.send(redis, [LISTENER])
    wait_for(lambda: ears[1].heard == [frozenset({LISTENER})])
    assert not ears[0].heard
    ears[0].listen()
    listener_messages.send(redis, [OTHER])
    wait_for(lambda: ears[0].heard == [frozenset({OTHER})])


def test_a_redis_that_was_emptied_is_told_again_who_waits(redis: Redis, redis_url: str) -> None:
    with Ear(redis_url, MessageQueueLimits(renewed_seconds=600)):  # by itself, it would not say so again
        redis.flushall()
        wait_for(lambda: redis.zcard(QUEUES_KEY) == 1)


def test_others_data_under_its_key_keeps_it_from_being_told(ears: tuple[Ear, Ear], redis: Redis) -> None:
    news = ears[0].news
    redis.set(news._queue_key, "no list")
    wait_for(lambda: not news.is_receiving)
    redis.delete(news._queue_key)
    wait_for(lambda: news.is_receiving)


def test_others_data_under_one_queue_keeps_no_other_from_being_told(
    ears: tuple[Ear, Ear], redis: Redis
) -> None:
    redis.set("foreign", "no list")
    redis.zadd(QUEUES_KEY, {"foreign": time.time() + 60})
    listener_messages.send(redis, [LISTENER])
    wait_for(lambda: [each.heard for each in ears] == 2 * [[frozenset({LISTENER})]])


def test_what_died_is_told_for_a_minute_and_then_forgotten(redis: Redis, redis_url: str) -> None:
    redis.zadd(QUEUES_KEY, {"webhooks:mailbox:dead": 1.0, "webhooks:mailbox:hangs": 2e10})
    listener_messages.send(redis, [LISTENER])
    assert not redis.exists("webhooks:mailbox:dead")
    assert redis.ttl("webhooks:mailbox:hangs") > 0
    with Ear(redis_url):
        assert redis.zscore(QUEUES_KEY, "webhooks:mailbox:dead") is None


def test_the_queue_of_one_that_hangs_does_not_grow(redis: Redis) -> None:
    redis.zadd(QUEUES_KEY, {"webhooks:mailbox:hangs": 2e10})
    for _ in range(4):
        listener_messages.send(redis, [LISTENER], MessageQueueLimits(most_messages=3))
    assert not redis.exists("webhooks:mailbox:hangs")


def test_a_redis_that_is_away_ends_no_reading() -> None:
    gone = Ear("redis://127.0.0.1:1/0", MessageQueueLimits(retry_seconds=0.01))
    gone.news.listen(gone.heard.append, SECONDS)
    assert gone.has_thread
    assert not gone.news.is_receiving
    gone.news.close()
    wait_for(lambda: not gone.has_thread)


def test_many_waits_share_one_thread(ears: tuple[Ear, Ear]) -> None:
    before = set(threading.enumerate())
    for _ in range(50):
        ears[0].news.listen(ears[0].heard.append, SECONDS)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("told", "heard"),
    [([LISTENER], frozenset({LISTENER})), (ids.several("ep", 65), None)],
    ids=["one", "many"],
)
def test_where_redis_passes_nothing_on_the_own_process_hears_it(
    told: list[str], heard: frozenset[str] | None
) -> None:
    wake_ups, ear = WakeUps("unix:///nowhere"), list[frozenset[str] | None]()
    wake_ups.notify_listeners(told)
    assert "listener_messages" not in vars(wake_ups), "nobody waits in this process"
    wake_ups.listener_messages.listen(ear.append, SECONDS)
    assert not wake_ups.notify_listeners(told)
    assert not wake_ups.wake_worker(told, listener_ids=told)
    wake_ups.wake_worker([OTHER])
    assert ear == [heard, heard]
    wake_ups.listener_messages.close()
    wake_ups.notify_listeners(told)
    assert ear == [heard, heard], "nobody waits any more"
    wait_for(lambda: not wake_ups.listener_messages._has_thread)


def test_what_redis_passes_on_the_own_process_hears_once(redis_url: str) -> None:
    wake_ups, heard = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS), list[frozenset[str] | None]()
    wake_ups.listener_messages.listen(heard.append, SECONDS)
    wait_for(lambda: wake_ups.listener_messages.is_receiving)
    assert wake_ups.notify_listeners([LISTENER])
    wait_for(lambda: heard)
    assert wake_ups.notify_listeners([OTHER])
    wait_for(lambda: frozenset({OTHER}) in heard)
    # From another process, and so behind whatever Redis has to pass on of these two.
    assert WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS).notify_listeners([LAST])
    wait_for(lambda: frozenset({LAST}) in heard)
    assert heard == [frozenset({name}) for name in (LISTENER, OTHER, LAST)]
    wake_ups.listener_messages.close()
    wait_for(lambda: not wake_ups.listener_messages._has_thread)


def test_where_no_thread_is_to_be_had_the_next_who_waits_gets_one(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear(redis_url)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        ear.news.listen(ear.heard.append, SECONDS)
    assert not ear.news.is_receiving
    with ear:
        assert ear.news.is_receiving
