"""Group commit: what producers hand over while a transaction is under way shares the next one.

A transaction that is on disk costs a thousand times what one more event in it does. Nobody waits for others
to come: a submission that finds nothing under way is committed at once, alone.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db import deadlines, transient_errors
from webhooks_app.db.engines import Databases
from webhooks_app.events import accept, accept_counts, accept_spans, subscribers
from webhooks_app.events.fan_out_runs import FanOutThread
from webhooks_app.events.pending_submission import PendingSubmission, WhenDone
from webhooks_app.events.process_allowances import LargerThanBurst, ProcessAllowances, RateLimited
from webhooks_app.events.submissions import Accepted, Submission, SubmissionResult
from webhooks_app.events.subscribers import Subscribers
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.monitoring.stored_formats import StoredFormats
from webhooks_app.monitoring.tracing import Tracer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How long and how much a group waits and holds.

    `events`: how many one transaction takes; a submission with more is committed alone. `late_seconds`: when
    the database cannot serve a group, submissions that have waited longer than this fail with it, as the next
    try may take as long again. `answer_seconds`: for all statements of a group together with the wait of its
    oldest submission. `least_seconds`: for the statements at least, even if that submission is late.
    """

    events: int = 250
    late_seconds: float = 0.5
    answer_seconds: float = 4.5
    least_seconds: float = 0.5


DEFAULT_LIMITS = GroupLimits()


class GroupCommit:
    """One per process: a thread of its own commits, for as long as there is something to commit."""

    def __init__(
        self,
        databases: Databases,
        wake_ups: WakeUps,
        *,
        limits: GroupLimits = DEFAULT_LIMITS,
        counters: ProcessCounters | None = None,
        default_rate: RateLimit | None = None,
    ) -> None:
        """`default_rate` is that of tokens which have none of their own."""
        self._databases = databases
        self._wake_ups = wake_ups
        self._limits = limits
        self._counters = counters or ProcessCounters()
        self.tracer: Tracer | None = None
        self.allowances = ProcessAllowances(databases.write, default_rate)
        self._formats = StoredFormats(databases.read.connect_autocommit)
        self._fan_out_thread = FanOutThread(databases.write, wake_ups)
        self._lock = threading.Lock()
        self._waiting: list[PendingSubmission] = []
        self._is_committing = False
        # Its thread starts with the first work: a process that forks others must have no threads.
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def accept(self, submission: Submission, *, token: LiveToken | None = None) -> Sequence[Accepted]:
        """Return what `submit` has accepted, once it is committed. Raises what stood in its way."""
        done: Future[SubmissionResult] = Future()
        self._add(submission, done.set_result, token=token)
        outcome = done.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def submit(self, submission: Submission, when_done: WhenDone, *, token_hash: str | None = None) -> None:
        """Have the submission committed with whatever waits; `when_done` is called in another thread.

        With a `token_hash`, the workspace is that of the API token, whose rate limit holds; the outcome may
        then be UnknownToken, RateLimited or LargerThanBurst.
        """
        self._add(submission, when_done, token_hash=token_hash)

    def _add(
        self,
        submission: Submission,
        when_done: WhenDone,
        *,
        token_hash: str | None = None,
        token: LiveToken | None = None,
    ) -> None:
        until = time.monotonic() + (deadlines.shorten(self._limits.answer_seconds) or 0.0)
        with self._lock:
            self._waiting.append(PendingSubmission(submission, when_done, until, token_hash, token))
            if self._is_committing:
                return
            self._is_committing = True
        try:
            self._committer.submit(self._commit_all)
        except RuntimeError as error:  # no thread is to be had
            self._fail_all_waiting(error)

    def _fail_all_waiting(self, error: Exception) -> None:
        """Fail all that wait, as no thread can commit them; the next submission tries to start one again."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._is_committing = False
        for each in waiting:
            each.resolve(error)

    def _commit_all(self) -> None:
        while group := self._take():
            try:
                with deadlines.within(self._seconds_for(group)):
                    self._commit(group)
            except Exception as error:  # the next group must be committed, and nobody must wait for ever
                log.exception("group_commit_failed")
                for each in group:
                    each.resolve(error)

    def _take(self) -> list[PendingSubmission]:
        """Return the next group; where nothing waits, note that nothing is committed."""
        with self._lock:
            count = events = 0
            for each in self._waiting:
                events += len(each.submission.events)
                if count and events > self._limits.events:
                    break
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            self._is_committing = bool(group)
            return group

    def _seconds_for(self, group: list[PendingSubmission]) -> float:
        return max(self._limits.least_seconds, min(each.until for each in group) - time.monotonic())

    def _commit(self, group: list[PendingSubmission]) -> None:
        try:
            found = self._find_subscribers(group)
            stored_format = self._formats.newest()
            # Last, as it takes of the tokens' allowances.
            known = self._admit([each for each in group if each.identify(found.tokens)])
        except Exception as error:
            self._fail_lookup(group, error)
            return
        submissions = [each.submission for each in known]
        outcomes = accept.commit(
            self._databases.write,
            self._wake_ups,
            submissions,
            handle_rest=self._fan_out_thread.add,
            found=found,
            stored_format=stored_format,
        )
        for each, outcome in zip(known, outcomes, strict=True):
            each.resolve(outcome)
            if each.token is not None and isinstance(outcome, Exception):
                self.allowances.give_back(each.token, len(each.submission.events))
        if outcomes:
            self._fail_late(outcomes[0])
            waits = [time.monotonic() - each.since for each in known]
            self._counters.add(accept_counts.count(submissions, outcomes, waits))
            if self.tracer is not None:
                ended_ns = time.time_ns()
                self.tracer.accepted(
                    accept_spans.accepted_events(submissions, outcomes, waits, ended_ns=ended_ns)
                )
        for token in found.tokens.values():
            self._record_use(token)
        for each in group:
            if each.token is not None and isinstance(each.refusal, RateLimited):
                self.allowances.record_refusal(each.token)

    def _admit(self, group: list[PendingSubmission]) -> list[PendingSubmission]:
        """Return those whose tokens' rate limits let them through, and tell the others."""
        soon = Counter[str]()
        for each in group:
            if each.token is not None:
                soon[each.token.id] += len(each.submission.events)
        for each in group if soon else ():
            if each.token is None:
                continue
            try:
                self.allowances.admit(each.token, len(each.submission.events), soon=soon[each.token.id])
            except (RateLimited, LargerThanBurst) as refusal:
                each.refuse(refusal)
            except transient_errors.DATABASE_ERRORS as error:
                # Its row is held by a process that hangs, for instance; other tokens have others.
                each.refuse(error)
            soon[each.token.id] -= len(each.submission.events)
        return [each for each in group if each.refusal is None]

    def _find_subscribers(self, group: list[PendingSubmission]) -> Subscribers:
        """Look up the tokens of a group and who subscribes, before the transaction holds anything."""
        senders = [sender for each in group for sender in each.senders()]
        with self._databases.read.connect_autocommit() as connection:
            return subscribers.find(connection, senders)

    def _fail_lookup(self, group: list[PendingSubmission], error: Exception) -> None:
        """Fail the group with the error of its look-up; if one of them may have caused it, try each alone."""
        if len(group) > 1 and transient_errors.cause_of(error) is None:
            for each in group:
                if not each.is_resolved:
                    self._commit([each])
            return
        for each in group:
            each.resolve(error)
        self._fail_late(error)

    def _fail_late(self, outcome: SubmissionResult) -> None:
        """Fail those that have waited long with the error of the group before, if the database caused it."""
        if not isinstance(outcome, Exception) or transient_errors.cause_of(outcome) is None:
            return
        latest = time.monotonic() - self._limits.late_seconds
        with self._lock:
            late = [each for each in self._waiting if each.since <= latest]
            self._waiting = [each for each in self._waiting if each.since > latest]
        for each in late:
            each.resolve(outcome)

    def _record_use(self, token: LiveToken) -> None:
        try:
            api_tokens.record_use(self._databases.write, token)
        except transient_errors.DATABASE_ERRORS as error:
            transient_errors.log_unavailable(log, error)
