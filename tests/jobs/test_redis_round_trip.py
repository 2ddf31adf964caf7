"""Several commands in one round trip: their answers in order, and never one another's."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError
from rq.timeouts import JobTimeoutException

from tests.waiting import wait_for
from webhooks_app.jobs import redis_connections, redis_round_trip
from webhooks_app.jobs.redis_round_trip import Command


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with redis_connections.connect(redis_url, timeout_seconds=30) as client:
        yield client


def test_each_command_has_its_answer_a_refusal_included(redis: Redis) -> None:
    answers = redis_round_trip.ask(
        redis, ("SET", "a", "x"), ("LLEN", "a"), ("GET", b"a"), ("SET", "n", 3), ("INCR", "n")
    )
    assert isinstance(answers.pop(1), ResponseError)
    assert answers == [b"OK", b"x", b"OK", 4]


def ask_until_answered(redis: Redis, *commands: Command) -> list[Any]:
    """Return the answers, which a busy server may not have had in time at first."""
    answers = list[list[Any]]()

    def is_answered() -> bool:
        with suppress(TimeoutError):
            answers.append(redis_round_trip.ask(redis, *commands))
        return bool(answers)

    wait_for(is_answered)
    return answers[0]


def test_what_was_not_answered_in_time_is_no_answer_to_the_next_command(redis_url: str) -> None:
    with redis_connections.connect(redis_url, timeout_seconds=0.25) as impatient:
        ask_until_answered(impatient, ("SET", "a", "x"))
        with pytest.raises(TimeoutError):
            redis_round_trip.ask(impatient, ("BLPOP", "nothing", 600), ("GET", "a"))
        assert ask_until_answered(impatient, ("GET", "a")) == [b"x"]
        assert ask_until_answered(impatient, ("PING",)) == [b"PONG"]


def test_what_a_job_that_is_ended_left_unread_is_no_answer_to_the_next_command(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_job(_: object) -> None:
        raise JobTimeoutException  # as a signal does, at any moment

    redis_round_trip.ask(redis, ("SET", "a", "x"))
    with monkeypatch.context() as patch:
        patch.setattr(redis_round_trip, "_read", end_job)
        with pytest.raises(JobTimeoutException):
            # What has come already would be noticed by redis-py.
            redis_round_trip.ask(redis, ("BLPOP", "nothing", 600))
    assert redis_round_trip.ask(redis, ("GET", "a")) == [b"x"]


def test_a_connection_that_the_server_closed_is_opened_anew(redis: Redis) -> None:
    redis_round_trip.ask(redis, ("PING",))
    redis.client_kill_filter(_type="normal", skipme=False)

    def is_answered() -> bool:
        try:
            return redis_round_trip.ask(redis, ("GET", "a")) == [None]
        except ConnectionError:
            return False

    wait_for(is_answered)


def test_many_threads_get_their_own_answers(redis: Redis) -> None:
    wrong = []

    def ask(name: str) -> None:
        for number in range(100):
            found = redis_round_trip.ask(redis, ("SET", name, number), ("GET", name))
            if found[1] != str(number).encode():
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(f"t{each}",)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_a_redis_that_is_away_is_its_own_error() -> None:
    with pytest.raises(RedisError):
        redis_round_trip.ask(
            redis_connections.connect("redis://127.0.0.1:1/0", timeout_seconds=0.25), ("PING",)
        )


def test_those_that_ask_one_after_the_other_share_a_connection(redis: Redis) -> None:
    own = [redis_round_trip.ask(redis, ("CLIENT", "ID"))[0] for _ in range(3)]
    assert len(set(own)) == 1


def test_only_what_is_of_another_type_is_none() -> None:
    assert redis_round_trip.none_if_wrong_type(b"x") == b"x"
    assert redis_round_trip.none_if_wrong_type(ResponseError("WRONGTYPE Operation against a key")) is None
    with pytest.raises(ResponseError, match="READONLY"):
        redis_round_trip.none_if_wrong_type(ResponseError("READONLY You can't write"))
