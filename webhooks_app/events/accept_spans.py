"""What accepting tells a tracer, where there is one. Pure."""

from collections.abc import Sequence

from webhooks_app.events.submissions import Submission, SubmissionResult
from webhooks_app.monitoring.tracing import AcceptedEvent, Interval


def accepted_events(
    submissions: Sequence[Submission],
    outcomes: Sequence[SubmissionResult],
    waits_seconds: Sequence[float],
    *,
    ended_ns: int,
) -> list[AcceptedEvent]:
    """Return the events that were accepted now, from their arrival to their commit."""
    found: list[AcceptedEvent] = []
    for submission, outcome, seconds in zip(submissions, outcomes, waits_seconds, strict=True):
        if isinstance(outcome, Exception):
            continue
        took = Interval(ended_ns - int(seconds * 1_000_000_000), ended_ns)
        found += [
            AcceptedEvent(accepted.id, event.type, submission.workspace_id, accepted.deliveries, took)
            for event, accepted in zip(submission.events, outcome, strict=True)
            if not accepted.is_repeat
        ]
    return found
