"""A Redis that fails is left alone for a while, and the log says so once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.redis_servers import client, redis_server
from tests.waiting import wait_for
from webhooks_app.jobs import redis_connections
from webhooks_app.jobs.redis_backoff import RedisBackoff, RedisBackoffLimits

QUICK = RedisBackoffLimits(first_seconds=0.01, longest_seconds=0.02)
SLOW = RedisBackoffLimits(first_seconds=300, longest_seconds=300)


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path) as (port, _), client(port) as redis:
        yield redis


def connection(admin: Redis) -> Redis:
    port = admin.connection_pool.connection_kwargs["port"]
    return redis_connections.connect(f"redis://127.0.0.1:{port}", timeout_seconds=30)


def fill(redis: Redis) -> None:
    redis.config_set("maxmemory", "1")


def empty(redis: Redis) -> None:
    redis.config_set("maxmemory", "0")


def test_one_line_says_when_it_begins_and_one_when_it_ends(
    admin: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis = connection(admin)
    backoff = RedisBackoff(redis, QUICK)
    assert backoff.run(lambda: redis.set("any", 1))
    fill(admin)
    for _ in range(50):
        assert not backoff.run(lambda: redis.set("any", 1))
        time.sleep(backoff.seconds_left)
    empty(admin)
    wait_for(lambda: backoff.run(lambda: redis.set("any", 1)))

    begun, ended = caplog.records
    assert (begun.message, ended.message) == ("redis_unavailable", "redis_available")
    assert vars(begun)["problem"] == "Redis refuses writes: its memory is full"
    assert vars(ended)["after_seconds"] >= 0


def test_what_still_works_is_no_sign_that_all_is_well_again(
    admin: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """A full Redis gives and deletes what it has; each of these would end what the next write begins."""
    redis = connection(admin)
    backoff = RedisBackoff(redis, QUICK)
    fill(admin)
    assert not backoff.run(lambda: redis.set("any", 1))
    for _ in range(20):
        time.sleep(backoff.seconds_left)
        assert not backoff.run(lambda: redis.getdel("any"))
    assert [record.message for record in caplog.records] == ["redis_unavailable"]


def test_nothing_is_asked_during_a_pause(admin: Redis) -> None:
    redis = connection(admin)
    backoff = RedisBackoff(redis, SLOW)
    fill(admin)
    assert not backoff.run(lambda: redis.set("any", 1))
    empty(admin)
    before = admin.info("stats")["total_commands_processed"]
    for _ in range(10):
        assert not backoff.run(lambda: redis.set("any", 1))
        assert backoff.find_problem() is not None
    assert admin.info("stats")["total_commands_processed"] - before == 1
    assert backoff.seconds_left > 100


def test_what_fails_though_all_commands_work_does_not_fill_the_log(
    admin: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis = connection(admin)
    backoff = RedisBackoff(redis, QUICK)
    redis.set("webhooks:text", "text")
    for _ in range(100):
        backoff.run(lambda: redis.rpush("webhooks:text", 1))
        time.sleep(backoff.seconds_left)
    assert [record.message for record in caplog.records] == ["redis_unavailable", "redis_available"]
    assert backoff._pause_seconds == QUICK.longest_seconds


def test_without_a_problem_nothing_is_sent_beside_what_is_called(admin: Redis) -> None:
    redis = connection(admin)
    backoff = RedisBackoff(redis, QUICK)
    redis.ping()
    before = admin.info("stats")["total_commands_processed"]
    for _ in range(10):
        assert backoff.run(lambda: redis.set("any", 1))
    assert admin.info("stats")["total_commands_processed"] - before == 11


def test_an_error_that_is_not_of_redis_is_not_held_back(admin: Redis) -> None:
    backoff = RedisBackoff(connection(admin), QUICK)

    def fail() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        backoff.run(fail)
    assert not backoff.is_failing


def test_an_answer_of_a_class_of_its_own_is_shown_shortly() -> None:
    from webhooks_app.jobs.redis_diagnosis import diagnose

    text = diagnose(ResponseError("ERR \x1b[31mstrange\nforged=1" + "x" * 1000)).text
    assert text.startswith("Redis answers with an error: ERR [31mstrange")
    assert "\n" not in text
    assert len(text) < 300
