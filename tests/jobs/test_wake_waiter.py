"""Runs are told of wake-ups; what they are not told, they find by asking."""

import gc
import os
import select
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from tests.patience import PATIENT_WAKE_LIMITS
from tests.waiting import wait_for
from webhooks_app.jobs import wake_waiter
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.jobs.wake_waiter import WakeWaiter

SECONDS = 30.0
NEWS_KEY = "webhooks:news"  # as processes of another version have it


@pytest.fixture
def run(redis_url: str) -> Iterator[WakeUps]:
    """The wake-ups of a worker whose run listens, to a Redis that may take long to answer."""
    wake_ups = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS)
    wake_ups.start_run()
    wait_for(lambda: wake_ups.waiter.is_listening)
    yield wake_ups
    wake_ups.end_run(expects_more=False)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def is_readable(waiter: WakeWaiter, seconds: float) -> bool:
    return bool(select.select([waiter], [], [], seconds)[0])


def test_a_wake_up_makes_the_descriptor_of_a_run_readable(run: WakeUps, redis_url: str) -> None:
    for _ in range(3):
        assert not is_readable(run.waiter, 0)
        WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS).wake_worker()
        assert is_readable(run.waiter, SECONDS)
        assert run.take_request()


def test_a_wake_up_of_which_no_word_came_is_found(run: WakeUps, redis: Redis) -> None:
    redis.set("webhooks:wake", 1)
    wait_for(run.take_request)


def test_a_run_that_cannot_listen_asks_each_time(redis_url: str) -> None:
    wake_ups = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS)
    for _ in range(3):
        wake_ups.wake_worker()
        assert wake_ups.take_request()
        assert not wake_ups.take_request()


def test_what_a_run_hears_after_its_end_is_left_to_another(run: WakeUps, redis: Redis) -> None:
    run.end_run(expects_more=False)
    redis.rpush(NEWS_KEY, 1)
    wait_for(lambda: not run.waiter.has_thread)
    assert redis.llen(NEWS_KEY) == 1
    assert not run.waiter.take()


def test_the_next_run_listens_again(run: WakeUps, redis_url: str) -> None:
    for is_quick in (True, False):
        run.end_run(expects_more=False)
        if not is_quick:
            wait_for(lambda: not run.waiter.has_thread)
        run.start_run()
        wait_for(lambda: run.waiter.is_listening)
        WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS).wake_worker()
        assert is_readable(run.waiter, SECONDS)
        assert run.take_request()


def test_news_that_nobody_takes_does_not_pile_up(redis_url: str, redis: Redis) -> None:
    wake_ups = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS)
    for _ in range(20):  # as beside workers of a version that reads the flag only
        redis.set("webhooks:awake", 1)
        redis.delete("webhooks:wake")
        wake_ups.wake_worker()
    assert redis.llen(NEWS_KEY) == 5


def test_a_run_that_was_awake_the_last_time_is_told_with_the_flag(run: WakeUps, redis_url: str) -> None:
    waking = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS)
    for _ in range(5):
        waking.wake_worker()
        assert is_readable(run.waiter, SECONDS)
        assert run.take_request()
        assert not is_readable(run.waiter, 0.05)  # told once, not twice


def test_where_the_run_has_ended_a_job_is_enqueued(run: WakeUps, redis_url: str, redis: Redis) -> None:
    waking = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS)
    waking.wake_worker()
    wait_for(run.take_request)
    run.end_run(expects_more=False)
    waking.wake_worker()
    assert redis.llen("rq:queue:deliveries") == 1


def test_a_redis_that_is_away_is_no_news_and_no_error() -> None:
    wake_ups = WakeUps("redis://127.0.0.1:1/0")
    wake_ups.start_run()
    assert not wake_ups.take_request()
    assert not wake_ups.waiter.is_listening
    wake_ups.end_run(expects_more=False)
    wait_for(lambda: not wake_ups.waiter.has_thread)


class CountedRedis(Redis):
    """A client that notes its commands, and may fail in a way of its own."""

    def __init__(self, url: str, error: Exception | None = None) -> None:
        super().__init__(connection_pool=Redis.from_url(url).connection_pool)
        self.asked: list[str] = []
        self._error = error

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.asked.append(args[0])
        if self._error is not None:
            raise self._error
        asked: Callable[..., Any] = super().execute_command
        return asked(*args, **options)


@pytest.mark.parametrize("error", [None, ValueError("an answer that nobody can read")])
def test_while_redis_does_not_answer_nobody_relies_on_it_and_it_is_left_alone_for_a_while(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = CountedRedis("redis://127.0.0.1:1/0", error)
    waiter = WakeWaiter(redis)
    pauses: list[tuple[float, bool]] = []

    def sleep(seconds: float) -> None:
        pauses.append((seconds, waiter.is_listening))
        waiter.end_run()

    monkeypatch.setattr(wake_waiter, "time", SimpleNamespace(sleep=sleep))
    waiter.start_run()
    wait_for(lambda: not waiter.has_thread)
    assert pauses == [(0.5, False)]
    assert redis.asked == ["EXISTS"]  # no wait that somebody could have relied on


def test_a_process_that_ends_waits_for_no_news(redis_url: str) -> None:
    before = set(threading.enumerate())
    wake_ups = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS)
    wake_ups.start_run()
    begun = set(threading.enumerate()) - before
    assert begun and all(each.daemon for each in begun)
    wake_ups.end_run(expects_more=False)


def test_one_that_never_ran_has_no_news_and_leaves_no_descriptor_open(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        waiter = WakeWaiter(redis)
        assert not waiter.take()
        reader = waiter.fileno()
        del waiter
        gc.collect()
        with pytest.raises(OSError):
            os.fstat(reader)


def test_where_no_thread_is_to_be_had_a_run_asks_and_the_next_one_listens(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake_ups = WakeUps(redis_url, limits=PATIENT_WAKE_LIMITS)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        wake_ups.start_run()
    assert not wake_ups.waiter.is_listening
    wake_ups.end_run(expects_more=False)
    wake_ups.start_run()
    wait_for(lambda: wake_ups.waiter.is_listening)
    wake_ups.end_run(expects_more=False)
    wait_for(lambda: not wake_ups.waiter.has_thread)
