"""A submission that waits for its commit, and the callback that gets its outcome."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.events.submissions import Submission, SubmissionResult
from webhooks_app.events.subscribers import EventSource

log = logging.getLogger(__name__)

# What takes the outcome of a submission: the accepted events, or the exception that its producer is told.
WhenDone = Callable[[SubmissionResult], None]


class UnknownToken(Exception):
    """No live API token has this hash, or it may not send events."""


@dataclass(slots=True)
class PendingSubmission:
    """`until` and `since` are as `time.monotonic` has them: when it has to be answered, and came.

    `token_hash` is that of whoever sends it; `token` is known at once, or once it was looked up.
    """

    submission: Submission
    when_done: WhenDone
    until: float
    token_hash: str | None = None
    token: LiveToken | None = None
    refusal: Exception | None = None
    since: float = field(default_factory=time.monotonic)
    is_resolved: bool = False

    def senders(self) -> Iterator[EventSource]:
        workspace_id = self.submission.workspace_id if self.token_hash is None else None
        return (EventSource(self.token_hash, workspace_id, event.type) for event in self.submission.events)

    def identify(self, tokens: Mapping[str, LiveToken]) -> bool:
        """Give the submission its token's workspace; if no token may send it, resolve it and return False."""
        if self.token_hash is None:
            return True
        token = tokens.get(self.token_hash)
        if token is None or TokenScope.EVENTS_SEND not in token.scopes:
            self.resolve(UnknownToken())
            return False
        self.submission = replace(self.submission, workspace_id=token.workspace_id)
        self.token = token
        return True

    def refuse(self, refusal: Exception) -> None:
        self.refusal = refusal
        self.resolve(refusal)

    def resolve(self, outcome: SubmissionResult) -> None:
        """Call `when_done` with the outcome, unless it was called before."""
        if self.is_resolved:
            return
        self.is_resolved = True
        try:
            self.when_done(outcome)
        except Exception:
            log.exception("outcome_callback_failed")
