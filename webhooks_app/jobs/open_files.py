"""The limit of open files of a process: raised as far as the system allows, and warned of where it is low."""

import resource
import sys

from webhooks_app.config import ConfigError

# A process opens some twenty for itself: its log, the database, Redis, an event loop. With few more it would
# start, and fail again and again.
LEAST = 64
# Twice the most that WEBHOOKS_IN_FLIGHT allows, and below the most that macOS grants (10,240).
_WANTED = 4096
_HOW = "Raise it by `ulimit -n`, LimitNOFILE= of systemd or the container's settings."


def raise_limit() -> int:
    """Raise the limit to a socket per request in flight and per idle connection; return what it then is.

    macOS allows 256 to begin with. Processes that this one starts inherit the limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def require(least: int = LEAST) -> None:
    """Raise the limit, and ConfigError where a process cannot work with what it then is."""
    found = raise_limit()
    if found < least:
        raise ConfigError(f"The limit of open files is {found}, and at least {least} are needed. {_HOW}")


def limit() -> int:
    """Return how many files this process may have open, or `_WANTED` where there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _WANTED if soft == resource.RLIM_INFINITY else soft


def warn(consequence: str) -> None:
    """Print one line that says what follows from the limit."""
    print(
        f"warning: The limit of open files is {limit()}: {consequence} {_HOW}",
        file=sys.stderr,
        flush=True,
    )
