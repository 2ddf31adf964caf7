"""How long and how much a client may keep the web busy. Handed in, so that a test can wait for less."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What each connection and the process as a whole may take.

    `head_seconds`, `head_bytes`: for a request's line and headers, from the connection's or the head's first
    byte. `body_seconds`: for its whole body. `answer_seconds`: without any byte of an answer that the client
    takes. `idle_seconds`: between two requests of a connection; more than the 60 of common proxies, which
    otherwise send a request into a connection that is just being closed. `body_bytes`: of one request, the
    largest batch and what multipart forms add. `bodies_bytes`: of all bodies that are being read or worked
    on, past which only small ones are taken. `queue_seconds`: for a thread, while all are at work; 503 past
    it. `connections`: at the same time; for one more, another is closed that asks for nothing, or else it is
    answered 503. `discard_seconds`: for the rest of a refused body, which is read and thrown away, as most
    clients read no answer before they have sent all, and a connection that is closed upon unread bytes is
    reset. `stop_seconds`: for requests under way when the process is asked to end; supervisors kill ten
    seconds after they ask. `leave_seconds`: how long a process that another one replaces waits for its
    clients' next requests, whose answers tell them to connect anew; `end_seconds`: the same for one that
    ends. `accept_seconds`: for those who have connected before either and were not accepted yet; there is no
    end to who connects to a busy web.
    """

    head_seconds: float = 10.0
    head_bytes: int = 64 * 1024
    body_seconds: float = 30.0
    answer_seconds: float = 30.0
    idle_seconds: int = 65
    body_bytes: int = 4 * 1024 * 1024 + 64 * 1024
    bodies_bytes: int = 64 * 1024 * 1024
    queue_seconds: float = 4.5
    connections: int = 2000
    discard_seconds: float = 2.0
    stop_seconds: int = 8
    leave_seconds: float = 3.0
    end_seconds: float = 0.5
    accept_seconds: float = 0.5


DEFAULT_LIMITS = ServerLimits()

# What a web process has open besides connections: databases, Redis, its log, the standard streams; and what a
# thread has: a connection to the database to read, one to write, and the files that SQLite opens with them.
_OTHER_FILES, _FILES_PER_THREAD = 64, 4
# Of these others, what it cannot do without; and the fewest clients that it is worth starting for.
_NEEDED_FILES, _FEWEST_CONNECTIONS = 24, 16


def fit_open_files(threads: int, open_files: int) -> ServerLimits:
    """Return limits with no more connections than a process may have files open for."""
    free = open_files - _OTHER_FILES - _FILES_PER_THREAD * threads
    return replace(
        DEFAULT_LIMITS, connections=min(DEFAULT_LIMITS.connections, max(free, _FEWEST_CONNECTIONS))
    )


def least_open_files(threads: int) -> int:
    """Return the lowest limit of open files with which the limits of `fit_open_files` can be honoured."""
    return _NEEDED_FILES + _FILES_PER_THREAD * threads + _FEWEST_CONNECTIONS
