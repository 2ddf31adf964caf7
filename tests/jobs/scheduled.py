"""What rq-scheduler has in Redis, for tests of what is to be scheduled."""

from datetime import UTC, datetime
from typing import Any

from redis import Redis
from rq_scheduler import Scheduler


def scheduled_jobs(redis_url: str) -> list[tuple[str, datetime]]:
    """Return the ids of all scheduled jobs with their times, soonest first."""
    with Redis.from_url(redis_url) as redis:
        rows: Any = redis.zrange(Scheduler.scheduled_jobs_key, 0, -1, withscores=True)
    return [(name.decode(), datetime.fromtimestamp(score, UTC)) for name, score in rows]
