"""Accept events without an API: the transaction alone, and at once all deliveries beyond it."""

from collections.abc import Sequence
from functools import partial

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.events import accept, fan_out_runs
from webhooks_app.events.fan_out import DEFAULT_LIMITS, FanOutLimits
from webhooks_app.events.submissions import Accepted, NewEvent, Submission
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.stored_formats import StoredFormat


def accept_events(
    database: WriteDatabase,
    wake_ups: WakeUps,
    workspace_id: str,
    events: Sequence[NewEvent],
    *,
    idempotency_key: str | None = None,
    stored_format: StoredFormat = StoredFormat.PLAIN,
    limits: FanOutLimits = DEFAULT_LIMITS,
) -> Sequence[Accepted]:
    """Store one submission with all its deliveries. Raises an outcome that is an exception."""
    submission = Submission(workspace_id, events, idempotency_key)
    handle_rest = partial(fan_out_runs.insert_rest, database, wake_ups, limits=limits)
    [outcome] = accept.commit(
        database, wake_ups, [submission], handle_rest=handle_rest, stored_format=stored_format, limits=limits
    )
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
