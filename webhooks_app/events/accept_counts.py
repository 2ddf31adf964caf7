"""What a committed group adds to the process's counters. Pure."""

from collections import Counter
from collections.abc import Sequence

from webhooks_app.events.submissions import Submission, SubmissionResult
from webhooks_app.monitoring.counters import Key, durations


def count(
    submissions: Sequence[Submission], outcomes: Sequence[SubmissionResult], waits_seconds: Sequence[float]
) -> Counter[Key]:
    """Return how many events of each type were accepted or known before, their deliveries, and the waits.

    A submission that was not accepted counts where it is answered.
    """
    counts: Counter[Key] = Counter()
    waits_us: list[int] = []
    for submission, outcome, seconds in zip(submissions, outcomes, waits_seconds, strict=True):
        if isinstance(outcome, Exception):
            continue
        waits_us.append(int(seconds * 1_000_000))
        for event, accepted in zip(submission.events, outcome, strict=True):
            if accepted.is_repeat:
                counts["events", event.type, "repeated"] += 1
            else:
                counts["events", event.type, "accepted"] += 1
                counts["deliveries_created",] += accepted.deliveries
    counts.update(durations("accept_duration", waits_us))
    return counts
