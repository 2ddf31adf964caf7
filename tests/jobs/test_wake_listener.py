"""Runs are told of wake-ups; what they are not told, they find by asking."""

import select
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.conftest import wait_for
from webhooks_app.jobs.wake_listener import NEWS_KEY, WakeListener
from webhooks_app.jobs.wake_ups import WakeUps

SECONDS = 30.0


@pytest.fixture
def run(redis_url: str) -> Iterator[WakeUps]:
    """The wake-ups of a worker whose run listens."""
    wake_ups = WakeUps(redis_url)
    wake_ups.start_run()
    wait_for(lambda: wake_ups.listener.is_listening)
    yield wake_ups
    wake_ups.end_run(expects_more=False)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def is_readable(listener: WakeListener, seconds: float) -> bool:
    return bool(select.select([listener], [], [], seconds)[0])


def test_a_wake_up_makes_the_descriptor_of_a_run_readable(run: WakeUps, redis_url: str) -> None:
    for _ in range(3):
        assert not is_readable(run.listener, 0)
        WakeUps(redis_url).wake_worker()
        assert is_readable(run.listener, SECONDS)
        assert run.take_request()


def test_a_wake_up_of_which_no_word_came_is_found(run: WakeUps, redis: Redis) -> None:
    redis.set("webhooks:wake", 1)
    wait_for(run.take_request)


def test_a_run_that_cannot_listen_asks_each_time(redis_url: str) -> None:
    wake_ups = WakeUps(redis_url)
    for _ in range(3):
        wake_ups.wake_worker()
        assert wake_ups.take_request()
        assert not wake_ups.take_request()


def test_what_a_run_hears_after_its_end_is_left_to_another(run: WakeUps, redis: Redis) -> None:
    run.end_run(expects_more=False)
    redis.rpush(NEWS_KEY, 1)
    wait_for(lambda: not run.listener.has_thread)
    assert redis.llen(NEWS_KEY) == 1
    assert not run.listener.take()


def test_the_next_run_listens_again(run: WakeUps, redis_url: str) -> None:
    for is_quick in (True, False):
        run.end_run(expects_more=False)
        if not is_quick:
            wait_for(lambda: not run.listener.has_thread)
        run.start_run()
        wait_for(lambda: run.listener.is_listening)
        WakeUps(redis_url).wake_worker()
        assert is_readable(run.listener, SECONDS)
        assert run.take_request()


def test_news_that_nobody_takes_does_not_pile_up(redis_url: str, redis: Redis) -> None:
    wake_ups = WakeUps(redis_url)
    for _ in range(20):  # as beside workers of a version that reads the flag only
        redis.set("webhooks:awake", 1)
        redis.delete("webhooks:wake")
        wake_ups.wake_worker()
    assert redis.llen(NEWS_KEY) == 5


def test_a_run_that_was_awake_the_last_time_is_told_with_the_flag(run: WakeUps, redis_url: str) -> None:
    waking = WakeUps(redis_url)
    for _ in range(5):
        waking.wake_worker()
        assert is_readable(run.listener, SECONDS)
        assert run.take_request()
        assert not is_readable(run.listener, 0.05)  # told once, not twice


def test_where_the_run_has_ended_a_job_is_enqueued(run: WakeUps, redis_url: str, redis: Redis) -> None:
    waking = WakeUps(redis_url)
    waking.wake_worker()
    wait_for(run.take_request)
    run.end_run(expects_more=False)
    waking.wake_worker()
    assert redis.llen("rq:queue:deliveries") == 1


def test_a_redis_that_is_away_is_no_news_and_no_error() -> None:
    wake_ups = WakeUps("redis://127.0.0.1:1/0")
    wake_ups.start_run()
    assert not wake_ups.take_request()
    assert not wake_ups.listener.is_listening
    wake_ups.end_run(expects_more=False)
    wait_for(lambda: not wake_ups.listener.has_thread)
