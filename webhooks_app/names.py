"""Host names looked up beside the delivery loop, so that one that never answers holds up nobody.

We ask the system's resolver ourselves, instead of leaving it to libcurl, because libcurl shows one address
per socket: only the whole answer tells that one of several addresses is forbidden.
"""

import socket
import threading
import time
from collections import deque
from dataclasses import dataclass

# As long as libcurl would keep an answer; getaddrinfo(3) does not tell its time to live.
KEPT_SECONDS = 60.0
# Lookups at once, each in a thread, as getaddrinfo(3) blocks: a dead name server holds one for half a minute.
MOST_AT_ONCE = 128
# Answers remembered at most; a thousand take about 0.3 MB.
MOST_KEPT = 20_000


@dataclass(slots=True, frozen=True)
class Answer:
    """What a lookup gave: all addresses in the order to try them, or a problem as a sentence."""

    name: str
    addresses: tuple[str, ...] = ()
    problem: str = ""
    arrived_at: float = 0.0  # of the monotonic clock


class Lookups:
    """Belongs to one thread, which waits on `fileno` together with its other descriptors."""

    def __init__(self) -> None:
        self._kept: dict[str, Answer] = {}
        self._running: set[str] = set()
        self._queued: deque[str] = deque()
        self._mailbox = _Mailbox()

    def fileno(self) -> int:
        """Readable when an answer came."""
        return self._mailbox.fileno()

    def known(self, name: str) -> Answer | None:
        """The answer, while it is fresh; otherwise the name is asked for, and `collect` brings the answer."""
        answer = self._kept.get(name)
        if answer and time.monotonic() - answer.arrived_at < KEPT_SECONDS:
            return answer
        if name not in self._running and name not in self._queued:
            self._queued.append(name)
            self._run_queued()
        return None

    def collect(self) -> dict[str, Answer]:
        """The answers that came since the last call, by name."""
        arrived = {answer.name: answer for answer in self._mailbox.empty()}
        self._running -= arrived.keys()
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
        for name, answer in arrived.items():
            self._kept.pop(name, None)
            if answer.addresses:
                self._kept[name] = answer
        self._run_queued()
        return arrived

    def close(self) -> None:
        """Waits for no lookup: what is still running ends in its daemon thread, unheard."""
        self._mailbox.close()

    def _run_queued(self) -> None:
        while self._queued and len(self._running) < MOST_AT_ONCE:
            name = self._queued.popleft()
            self._running.add(name)
            threading.Thread(target=_look_up, args=(name, self._mailbox), name=name, daemon=True).start()


class _Mailbox:
    """Where threads leave their answers and wake the one that reads them."""

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._lock = threading.Lock()  # against writing to a descriptor that was just closed

    def fileno(self) -> int:
        return self._reader.fileno()

    def put(self, answer: Answer) -> None:
        self._answers.append(answer)
        with self._lock:
            try:
                self._writer.send(b"\0")
            except OSError:  # closed, or so full that the reader wakes anyway
                return

    def empty(self) -> list[Answer]:
        try:
            self._reader.recv(4096)
        except BlockingIOError:
            return []
        return [self._answers.popleft() for _ in range(len(self._answers))]

    def close(self) -> None:
        with self._lock:
            self._reader.close()
            self._writer.close()


def _look_up(name: str, mailbox: _Mailbox) -> None:
    try:
        found = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        answer = Answer(name, addresses, arrived_at=time.monotonic())
    except (OSError, UnicodeError) as error:
        answer = Answer(name, problem=_problem(name, error))
    mailbox.put(answer)


def _problem(name: str, error: Exception) -> str:
    reason = getattr(error, "errno", None)
    if reason == socket.EAI_NONAME:
        return f"The name {name} does not exist."
    if reason == getattr(socket, "EAI_NODATA", None):
        return f"The name {name} exists but has no address."
    if reason == socket.EAI_AGAIN:
        return f"The name servers for {name} did not answer, or answered with a failure."
    return f"The name {name} could not be looked up: {getattr(error, 'strerror', None) or error}."
