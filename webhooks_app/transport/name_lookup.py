"""Look up one host name by the system's resolver, in a thread, as getaddrinfo(3) blocks."""

import socket
import threading
import time
from collections import deque
from dataclasses import dataclass

from webhooks_app.transport.curl_errors import OWN_SHORTAGES
from webhooks_app.transport.own_shortages import descriptor_shortage


@dataclass(slots=True, frozen=True)
class LookupResult:
    """Hold what a look-up gave: all addresses in the order to try them, or a problem as a sentence.

    `arrived_at`: seconds of the monotonic clock. `is_temporary`: the problem says nothing of the name, so
    that an earlier result still holds. `is_platform_fault`: the problem is one of this platform.
    """

    name: str
    addresses: tuple[str, ...] = ()
    problem: str = ""
    arrived_at: float = 0.0
    is_temporary: bool = False
    is_platform_fault: bool = False


class ResultQueue:
    """Pass results from the threads to the one that reads them, which waits on `fileno`."""

    def __init__(self) -> None:
        self._results: deque[LookupResult] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._lock = threading.Lock()  # against writing to a descriptor that was just closed

    def fileno(self) -> int:
        return self._reader.fileno()

    def put(self, result: LookupResult) -> None:
        self._results.append(result)
        with self._lock:
            try:
                self._writer.send(b"\0")
            except OSError:  # closed, or so full that the reader wakes anyway
                return

    def take_all(self) -> list[LookupResult]:
        try:
            self._reader.recv(4096)
        except BlockingIOError:
            return []
        return [self._results.popleft() for _ in range(len(self._results))]

    def close(self) -> None:
        with self._lock:
            self._reader.close()
            self._writer.close()


def start_lookup(name: str, results: ResultQueue) -> None:
    """Look up `name` in a new daemon thread; its result, or a failure to start it, goes to `results`."""
    thread = threading.Thread(target=_look_up, args=(name, results), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the system's or a container's limit of threads
        problem = f"This platform could not start a thread to look up {name}."
        now = time.monotonic()
        results.put(
            LookupResult(name, problem=problem, arrived_at=now, is_temporary=True, is_platform_fault=True)
        )


def _look_up(name: str, results: ResultQueue) -> None:
    try:
        found = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        result = LookupResult(name, addresses, arrived_at=time.monotonic())
    except (OSError, UnicodeError) as error:
        result = _failure(name, error)
    results.put(result)


def _failure(name: str, error: Exception) -> LookupResult:
    reason, now = getattr(error, "errno", None), time.monotonic()
    # The system's resolver may take a file or a socket that it cannot open for an answer.
    shortage = reason if reason == socket.EAI_MEMORY or reason in OWN_SHORTAGES else descriptor_shortage()
    if shortage:
        problem = f"This platform could not look up {name}: {getattr(error, 'strerror', None) or error}."
        return LookupResult(name, (), problem, now, is_temporary=True, is_platform_fault=True)
    return LookupResult(name, (), _problem(name, error), now, is_temporary=reason == socket.EAI_AGAIN)


def _problem(name: str, error: Exception) -> str:
    reason = getattr(error, "errno", None)
    if reason == socket.EAI_NONAME:
        return f"The name {name} does not exist."
    if reason == getattr(socket, "EAI_NODATA", None):
        return f"The name {name} exists but has no address."
    if reason == socket.EAI_AGAIN:
        return f"The name servers for {name} did not answer, or answered with a failure."
    return f"The name {name} could not be looked up: {getattr(error, 'strerror', None) or error}."
