"""Group commit: what producers hand over while a transaction is under way shares the next one.

A transaction that is on disk costs a thousand times what one more event in it does. Nobody waits for others
to come: a submission that finds nothing under way is committed at once, alone.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.events import accept
from webhooks_app.events.accept import Accepted, Outcome, Submission
from webhooks_app.jobs.wake_ups import WakeUps

log = logging.getLogger(__name__)

# What takes the outcome of a submission: the accepted events, or the exception that its producer is told.
WhenDone = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """`events` in one transaction; a submission that has more of its own is committed alone."""

    events: int = 250


DEFAULT_LIMITS = GroupLimits()


class GroupCommit:
    """One per process: a thread of its own commits, for as long as there is something to commit."""

    def __init__(
        self, database: WriteDatabase, wake_ups: WakeUps, *, limits: GroupLimits = DEFAULT_LIMITS
    ) -> None:
        self._database = database
        self._wake_ups = wake_ups
        self._limits = limits
        self._lock = threading.Lock()
        self._waiting: list[tuple[Submission, WhenDone]] = []
        self._is_committing = False
        self._committer: ThreadPoolExecutor | None = None

    def accept(self, submission: Submission) -> Sequence[Accepted]:
        """Return what `submit` has accepted, once it is committed. Raises what stood in its way."""
        done: Future[Outcome] = Future()
        self.submit(submission, done.set_result)
        outcome = done.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def submit(self, submission: Submission, when_done: WhenDone) -> None:
        """Have the submission committed with whatever waits; `when_done` is called in another thread."""
        with self._lock:
            self._waiting.append((submission, when_done))
            if self._is_committing:
                return
            self._is_committing = True
            # Not before there is work: a process that forks others must have no threads.
            self._committer = self._committer or ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._committer.submit(self._commit_all)

    def _commit_all(self) -> None:
        while group := self._take():
            self._commit([submission for submission, _ in group], [when_done for _, when_done in group])

    def _take(self) -> list[tuple[Submission, WhenDone]]:
        """Return the next group; where nothing waits, note that nothing is committed."""
        with self._lock:
            count = events = 0
            for submission, _ in self._waiting:
                events += len(submission.events)
                if count and events > self._limits.events:
                    break
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            self._is_committing = bool(group)
            return group

    def _commit(self, submissions: list[Submission], when_done: list[WhenDone]) -> None:
        outcomes = accept.commit(self._database, self._wake_ups, submissions)
        for tell, outcome in zip(when_done, outcomes, strict=True):
            try:
                tell(outcome)
            except Exception:
                log.exception("outcome_not_told")
