"""The wake flag by itself; what comes of it is tried in `test_wake_ups.py`."""

from functools import partial

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from tests.patience import PATIENT_WAKE_LIMITS
from webhooks_app.jobs import task_jobs, wake_flag
from webhooks_app.jobs.wake_limits import WakeLimits
from webhooks_app.jobs.wake_waiter import NOTIFICATIONS_KEY


def test_whoever_says_nothing_of_a_run_that_is_awake_tells_none(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        for _ in range(2):
            wake_flag.set_flag(task_jobs.task_queue(redis), limits=PATIENT_WAKE_LIMITS)
        assert redis.llen("webhooks:news") == 0
        assert redis.llen("rq:queue:deliveries") == 1


def test_a_run_is_likely_awake_next_time_if_one_was_told(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.set(wake_flag.AWAKE_KEY, 1)
        set_flag = partial(wake_flag.set_flag, task_jobs.task_queue(redis), limits=PATIENT_WAKE_LIMITS)
        assert [set_flag() for _ in range(3)] == [True, False, False]
        wake_flag.take(redis)
        assert set_flag(is_awake_likely=True)
        wake_flag.take(redis)
        redis.delete(wake_flag.AWAKE_KEY)
        assert not set_flag(is_awake_likely=True)


def test_whatever_redis_refuses_is_raised(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.rpush(wake_flag.FLAG_KEY, "another's")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            wake_flag.take(redis)
        redis.set(NOTIFICATIONS_KEY, "another's")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            wake_flag.set_flag(task_jobs.task_queue(redis), limits=PATIENT_WAKE_LIMITS)


def test_a_flag_whose_job_was_lost_expires(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        wake_flag.set_flag(task_jobs.task_queue(redis), limits=WakeLimits(flag_ttl_seconds=300))
        assert 200 < redis.ttl(wake_flag.FLAG_KEY) <= 300


def test_a_worker_that_goes_by_what_a_job_says_keeps_no_result_of_a_wake_up(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        queue = task_jobs.task_queue(redis)
        wake_flag.enqueue_run(queue)
        [job] = queue.jobs
        assert redis.hget(job.key, "result_ttl") == b"0"
