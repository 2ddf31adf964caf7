"""Whether a Redis can be used, tried with the commands that web, worker and scheduler send."""

import uuid
from typing import Any

from redis import Redis
from redis.exceptions import (
    ConnectionError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from webhooks_app.jobs import redis_diagnosis, redis_probe
from webhooks_app.jobs.redis_diagnosis import OLDEST_REDIS, RedisProblem

# Those that RQ, rq-scheduler and we ourselves send; docs/production.md has the list, and a test compares it
# with this one and runs the platform as a user who may send nothing else.
COMMANDS = frozenset(
    (
        *("set", "exists", "getdel", "del", "expire", "hset", "hexists", "hmget", "rpush", "llen", "blpop"),
        *("zadd", "zscore", "zrange", "zrangebyscore", "zrem", "sadd", "smembers", "srem", "multi", "exec"),
    )
)
# The errors of a connection of which only one side uses TLS.
_MISMATCH_ERRORS = (ConnectionError, InvalidResponse, TimeoutError)
_NO_EVICTION = "noeviction"
# What is left behind where Redis refuses to delete it.
_EXPIRY_SECONDS = 10


def find_problem(redis: Redis) -> RedisProblem | None:
    """Return what keeps this Redis from being used, in one round trip that leaves nothing behind."""
    commands = _commands(uuid.uuid4().hex)
    try:
        with redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            answers: list[Any] = pipe.execute(raise_on_error=False)
    except RedisError as error:
        mismatch = redis_probe.find_tls_mismatch(redis) if isinstance(error, _MISMATCH_ERRORS) else None
        return mismatch or redis_diagnosis.diagnose(error)
    server, cluster, *others = answers
    if _reads(server, "redis_mode") == "sentinel":
        return redis_diagnosis.SENTINEL
    if _reads(cluster, "cluster_enabled") == 1:
        return redis_diagnosis.CLUSTER
    if _is_too_old(_reads(server, "redis_version")):
        return redis_diagnosis.TOO_OLD
    names = [str(name) for name, *_ in commands[2:]]
    problems = dict(zip(names, others, strict=True))
    missing = [name for name, answer in problems.items() if "unknown command" in str(answer).casefold()]
    if missing and _reads(server, "redis_version"):
        return redis_diagnosis.renamed(missing)
    return _first_problem(problems)


def advice(redis: Redis) -> str | None:
    """Return what an operator should change of a Redis that can be used; None where nothing is known."""
    try:
        memory = redis.info("memory")
    except RedisError:  # which a user of few rights may not ask for
        return None
    policy = str(memory.get("maxmemory_policy", _NO_EVICTION))
    if policy == _NO_EVICTION or not memory.get("maxmemory"):
        return None
    return (
        f"It drops keys when its memory is full (maxmemory-policy {policy}), and deliveries are late then;"
        f" set {_NO_EVICTION}."
    )


def _commands(check: str) -> list[tuple[Any, ...]]:
    """Return each command once, on keys of a check's own that begin as those we use."""
    flag, job, queue, times, names = (f"webhooks:check:{check}", *(f"rq:check:{check}:{n}" for n in range(4)))
    return [
        ("INFO", "server"),
        ("INFO", "cluster"),
        ("SET", flag, 1, "EX", _EXPIRY_SECONDS),
        ("EXISTS", flag),
        ("GETDEL", flag),
        ("HSET", job, "field", 1),
        ("EXPIRE", job, _EXPIRY_SECONDS),
        ("HEXISTS", job, "field"),
        ("HMGET", job, "field"),
        ("RPUSH", queue, "job"),
        ("LLEN", queue),
        ("BLPOP", queue, 0.01),
        ("ZADD", times, 1, "job"),
        ("ZSCORE", times, "job"),
        ("ZRANGE", times, 0, 0),
        ("ZRANGEBYSCORE", times, 0, 1),
        ("ZREM", times, "job"),
        ("SADD", names, "name"),
        ("SMEMBERS", names),
        ("SREM", names, "name"),
        ("DEL", job),
        ("MULTI",),
        ("EXEC",),
    ]


def _first_problem(answers: dict[str, Any]) -> RedisProblem | None:
    errors = {name: answer for name, answer in answers.items() if isinstance(answer, RedisError)}
    # EXEC reports it in an error of its own.
    forbidden = [
        name
        for name, error in errors.items()
        if isinstance(error, NoPermissionError) or "NOPERM" in str(error)
    ]
    if forbidden:
        return _forbidden(forbidden, str(errors[forbidden[0]]))
    return next((redis_diagnosis.diagnose(error) for error in errors.values()), None)


def _forbidden(names: list[str], reason: str) -> RedisProblem:
    if "key" in reason.casefold():
        what = "use keys that begin with rq: and webhooks:"
    else:
        what = f"send {', '.join(names)}"
    return RedisProblem(
        f"The user of REDIS_URL may not {what}; {redis_diagnosis.COMMANDS_ARE_LISTED}", is_setting=True
    )


def _reads(answer: Any, name: str) -> Any:
    """Return a line of INFO, which a user of few rights may not ask for."""
    return None if isinstance(answer, ResponseError) else answer.get(name)


def _is_too_old(version: Any) -> bool:
    parts = str(version).split(".")
    return (
        len(parts) > 1
        and all(part.isdecimal() for part in parts[:2])
        and (tuple(int(part) for part in parts[:2]) < OLDEST_REDIS[:2])
    )
