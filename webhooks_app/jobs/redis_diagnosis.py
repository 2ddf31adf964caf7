"""What is the matter with a Redis, in one sentence, from what it or the way to it answered."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
)
from redis.sentinel import MasterNotFoundError

Cause = TypeVar("Cause", bound=BaseException)

# The first that has GETDEL.
OLDEST_REDIS = (6, 2, 0)
COMMANDS_ARE_LISTED = "docs/production.md lists the commands that are needed"


@dataclass(frozen=True, slots=True)
class RedisProblem:
    """`text` is a sentence without its full stop. `is_setting`: it lasts until somebody changes a setting."""

    text: str
    is_setting: bool = False


NO_ANSWER = RedisProblem("Redis does not answer")
CLUSTER = RedisProblem("Redis runs in cluster mode, which is not supported; set REDIS_URL to another", True)
TOO_OLD = RedisProblem(f"Redis is too old: {OLDEST_REDIS[0]}.{OLDEST_REDIS[1]} or newer is needed", True)
NO_TLS_THERE = RedisProblem(
    "What answers at REDIS_URL does not speak TLS: rediss:// is for one that does, redis:// for one without",
    True,
)
TLS_THERE = RedisProblem(
    "What answers at REDIS_URL speaks TLS: write rediss:// instead of redis://", is_setting=True
)
SENTINEL = RedisProblem(
    "What answers at REDIS_URL is a Sentinel and no Redis: write redis+sentinel://host/name/0", True
)
_NO_SENTINEL = RedisProblem(
    "What answers as a Sentinel of REDIS_URL is none; those usually listen on port 26379, Redis on 6379", True
)
_NO_SENTINEL_UP = RedisProblem("No Sentinel of REDIS_URL can be reached")
# Where the version is not known.
_UNKNOWN_COMMAND = RedisProblem(
    f"Redis does not know a command that is needed: it is older than {OLDEST_REDIS[0]}.{OLDEST_REDIS[1]}, "
    f"or its configuration renames or disables it; {COMMANDS_ARE_LISTED}",
    is_setting=True,
)
_LOG_IN = RedisProblem("Redis refuses the user name or password of REDIS_URL", True)
_PERMISSION = RedisProblem(
    f"Redis refuses a command to the user of REDIS_URL; {COMMANDS_ARE_LISTED}", is_setting=True
)
_NO_PRIMARY = RedisProblem("No Sentinel of REDIS_URL knows a primary of that name that is up")
_UNTRUSTED = RedisProblem(
    "The certificate of a Sentinel is not trusted; REDIS_URL can name a CA file in ?ssl_ca_certs=", True
)
_READ_ONLY = RedisProblem("Redis refuses writes: it is a read-only replica")
_DATABASE = RedisProblem("Redis has no database of the number in REDIS_URL", True)

_BY_CLASS: tuple[tuple[type[RedisError], RedisProblem], ...] = (
    (AuthenticationError, _LOG_IN),
    (NoPermissionError, _PERMISSION),
    (ReadOnlyError, _READ_ONLY),
    (OutOfMemoryError, RedisProblem("Redis refuses writes: its memory is full")),
    (BusyLoadingError, RedisProblem("Redis is loading its data")),
    (InvalidResponse, RedisProblem("What answers at REDIS_URL is not a Redis", True)),
    (TimeoutError, NO_ANSWER),
)
# By what the message holds, where redis-py has no class of its own for it.
_BY_TEXT: tuple[tuple[str, RedisProblem], ...] = (
    ("noauth", _LOG_IN),
    ("wrongpass", _LOG_IN),
    ("without any password configured", _LOG_IN),
    ("misconf", RedisProblem("Redis refuses writes: it cannot save to its disk")),
    ("noreplicas", RedisProblem("Redis refuses writes: too few of its replicas are up")),
    ("masterdown", RedisProblem("Redis is a replica that has lost its primary")),
    ("moved", CLUSTER),
    ("crossslot", CLUSTER),
    ("clusterdown", CLUSTER),
    ("hash slot", CLUSTER),
    ("cluster mode", CLUSTER),
    ("unknown command 'sentinel", _NO_SENTINEL),
    ("unknown command `sentinel", _NO_SENTINEL),
    ("unknown command", _UNKNOWN_COMMAND),
    ("db index is out of range", _DATABASE),
    ("invalid database", _DATABASE),
    ("wrongtype", RedisProblem("Redis holds something else under a key that begins with rq: or webhooks:")),
    ("now a slave", _READ_ONLY),
    ("max number of clients", RedisProblem("Redis has too many clients")),
)


def renamed(names: Sequence[str]) -> RedisProblem:
    """Return the problem of a Redis that is new enough but lacks these commands."""
    return RedisProblem(
        f"Redis does not know {', '.join(names)}, which its configuration renames or disables "
        f"(rename-command); {COMMANDS_ARE_LISTED}",
        is_setting=True,
    )


def diagnose(error: RedisError) -> RedisProblem:
    """Return what is the matter, for a person who has to put it right."""
    if isinstance(error, MasterNotFoundError):
        return _diagnose_sentinels(str(error))
    for problem_class, problem in _BY_CLASS:
        if isinstance(error, problem_class):
            return problem
    tls = _find_cause(error, ssl.SSLError)
    if tls is not None:
        return _diagnose_tls(tls)
    text = str(error).casefold()
    for part, problem in _BY_TEXT:
        if part in text:
            return problem
    return _diagnose_unknown(error)


def _diagnose_sentinels(text: str) -> RedisProblem:
    """Tell Sentinels that know no such primary from those that do not answer, which redis-py lists."""
    known, _, unreachable = text.partition(" : ")
    if not unreachable or not known:
        return _NO_PRIMARY
    lowered = unreachable.casefold()
    for part, problem in (("noauth", _LOG_IN), ("wrongpass", _LOG_IN), ("certificate", _UNTRUSTED)):
        if part in lowered:
            return problem
    return _NO_SENTINEL_UP


def _diagnose_tls(error: ssl.SSLError) -> RedisProblem:
    if isinstance(error, ssl.SSLCertVerificationError):
        return RedisProblem(
            f"The certificate of Redis is not trusted: {error.verify_message};"
            " REDIS_URL can name a CA file in ?ssl_ca_certs=",
            True,
        )
    return RedisProblem(f"TLS with Redis fails: {error.reason or type(error).__name__}", True)


def _diagnose_unknown(error: RedisError) -> RedisProblem:
    if isinstance(error, ConnectionError):
        cause = _find_cause(error, OSError)
        reason = cause.strerror if cause is not None and cause.strerror else _first_line(error)
        return RedisProblem(f"Redis cannot be reached: {reason.rstrip('.')}")
    return RedisProblem(f"Redis answers with an error: {_first_line(error).rstrip('.')}")


def _find_cause(error: BaseException, kind: type[Cause]) -> Cause | None:
    """Return the first error of that kind among those that led to this one."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kind):
        found = found.__cause__ or found.__context__
    return found


def _first_line(error: RedisError) -> str:
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return "".join(character for character in line[:200] if character.isprintable())
