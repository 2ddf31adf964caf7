"""Host names looked up beside the delivery loop, so that one that never answers holds up nobody.

We ask the system's resolver ourselves, instead of leaving it to libcurl, because libcurl shows one address
per socket: only the whole answer tells that one of several addresses is forbidden.
"""

import math
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass

from webhooks_app.core.outcomes import OutcomeClass

# As long as libcurl would keep an answer; getaddrinfo(3) does not tell its time to live.
KEPT_SECONDS = 60.0
# An aged answer helps over name servers that fail for minutes; a site rarely moves just then.
USABLE_SECONDS = 300.0
# How long a request waits for a newer answer until an aged one has to do.
REFRESH_SECONDS = 0.25
# Ordinary look-ups end within this; for dead name servers the system's resolver waits five seconds and more.
PATIENCE_SECONDS = 1.0
# Look-ups at once, each in a thread, as getaddrinfo(3) blocks.
MOST_AT_ONCE = 128
# Of names that were slow the last time, so that they take nothing from the others.
MOST_SLOW = 16
# With those that turned out to be slow just now; a thread takes about 0.05 MB.
MOST_THREADS = 512
# Answers remembered at most; a thousand take about 0.3 MB.
MOST_KEPT = 20_000


@dataclass(slots=True, frozen=True)
class LookupResult:
    """What a look-up gave: all addresses in the order to try them, or a problem as a sentence.

    `may_pass`: the problem says nothing of the name, so that an earlier answer still holds. `is_ours`: it is
    one of this platform.
    """

    name: str
    addresses: tuple[str, ...] = ()
    problem: str = ""
    arrived_at: float = 0.0  # of the monotonic clock
    may_pass: bool = False
    is_ours: bool = False


class Resolver:
    """Belongs to one thread, which waits on `fileno` together with its other descriptors.

    There is no queue: who still wants a name asks for it again.
    """

    def __init__(self) -> None:
        self._kept: dict[str, LookupResult] = {}
        self._running: dict[str, float] = {}  # since when, the oldest first
        self._lagging: dict[str, float] = {}  # the same, of names that are slow
        self._slow: set[str] = set()
        self._mailbox = _Mailbox()

    def fileno(self) -> int:
        """Readable when an answer came."""
        return self._mailbox.fileno()

    def known(self, name: str, *, waited: float = 0.0) -> LookupResult | None:
        """The answer while it is fresh; an aged one where a newer one keeps us waiting.

        Otherwise the name is looked up as soon as a thread is free: ask again after `collect`, or after
        REFRESH_SECONDS. `waited` is what that took so far.
        """
        answer, now = self._kept.get(name), time.monotonic()
        age = now - answer.arrived_at if answer else math.inf
        if age < KEPT_SECONDS:
            return answer
        is_running = self._look_up(name, now)
        is_late = waited >= REFRESH_SECONDS or not is_running or name in self._slow
        return answer if is_late and age < USABLE_SECONDS else None

    def why_missing(self, name: str, *, since: float, patience: float) -> tuple[OutcomeClass, str]:
        """What a request waited for from `since` on; the servers are to blame if they had half of it."""
        started_at = self._running.get(name) or self._lagging.get(name) or math.inf
        if started_at - since < patience / 2:
            return OutcomeClass.TIMEOUT, f"the name servers of {name} did not answer"
        if name in self._slow:
            stage = f"the name servers of {name} were slow before, so it waits its turn among such names"
            return OutcomeClass.TIMEOUT, stage
        stage = f"{name} was not looked up in time, as other names kept this platform waiting"
        return OutcomeClass.PLATFORM, stage

    def collect(self) -> dict[str, LookupResult]:
        """The answers that came since the last call, by name."""
        arrived = {answer.name: self._settle(answer) for answer in self._mailbox.empty()}
        for kept in (self._kept, self._slow):
            if len(kept) > MOST_KEPT:
                kept.clear()
        return arrived

    def close(self) -> None:
        """Waits for no look-up: what is still running ends in its daemon thread, unheard."""
        self._mailbox.close()

    def _settle(self, answer: LookupResult) -> LookupResult:
        started_at = self._running.pop(answer.name, 0.0) or self._lagging.pop(answer.name)
        if answer.arrived_at - started_at >= PATIENCE_SECONDS:
            self._slow.add(answer.name)
        elif not answer.may_pass:
            self._slow.discard(answer.name)
        earlier = self._kept.get(answer.name)
        if earlier and answer.may_pass and answer.arrived_at - earlier.arrived_at < USABLE_SECONDS:
            return earlier
        self._kept.pop(answer.name, None)
        if answer.addresses:
            self._kept[answer.name] = answer
        return answer

    def _look_up(self, name: str, now: float) -> bool:
        """Whether it is under way; not where all threads are taken."""
        self._note_slow(now)
        if name in self._running or name in self._lagging:
            return True
        if not self._has_room(name):
            return False
        pool = self._lagging if name in self._slow else self._running
        pool[name] = now
        self._start(name, now)
        return True

    def _start(self, name: str, now: float) -> None:
        thread = threading.Thread(target=_look_up, args=(name, self._mailbox), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system's or a container's limit of threads
            problem = f"This platform could not start a thread to look up {name}."
            self._mailbox.put(
                LookupResult(name, problem=problem, arrived_at=now, may_pass=True, is_ours=True)
            )

    def _note_slow(self, now: float) -> None:
        """Gives the place of each look-up that outlasts our patience to another name."""
        while self._running:
            name, started_at = next(iter(self._running.items()))
            if now - started_at < PATIENCE_SECONDS:
                return
            self._lagging[name] = self._running.pop(name)
            self._slow.add(name)

    def _has_room(self, name: str) -> bool:
        if name in self._slow:
            return len(self._lagging) < MOST_SLOW
        return len(self._running) < MOST_AT_ONCE and len(self._running) + len(self._lagging) < MOST_THREADS


class _Mailbox:
    """Where threads leave their answers and wake the one that reads them."""

    def __init__(self) -> None:
        self._answers: deque[LookupResult] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._lock = threading.Lock()  # against writing to a descriptor that was just closed

    def fileno(self) -> int:
        return self._reader.fileno()

    def put(self, answer: LookupResult) -> None:
        self._answers.append(answer)
        with self._lock:
            try:
                self._writer.send(b"\0")
            except OSError:  # closed, or so full that the reader wakes anyway
                return

    def empty(self) -> list[LookupResult]:
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
        answer = LookupResult(name, addresses, arrived_at=time.monotonic())
    except (OSError, UnicodeError) as error:
        may_pass = getattr(error, "errno", None) == socket.EAI_AGAIN
        answer = LookupResult(
            name, problem=_problem(name, error), arrived_at=time.monotonic(), may_pass=may_pass
        )
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
