"""What a recovery does with a batch of deliveries, in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update

from webhooks_app.db.models import FINAL_STATES, Delivery, DeliveryState, RecoveryAction
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries import cancellations, replays
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.log.filters import LogFilter, Status

# The statuses among whose deliveries some wait, to be sent now.
_WITH_WAITING = (None, Status.PENDING, Status.RETRYING, Status.UNDELIVERED)
# Which finished deliveries are replayed, by the status that the filter names: one that was finished otherwise
# since its batch was read is no longer as the filter wants it.
_RESTARTED: dict[Status | None, Sequence[DeliveryState]] = {
    None: FINAL_STATES,
    Status.DELIVERED: [DeliveryState.DELIVERED],
    Status.FAILED: [DeliveryState.FAILED],
    Status.UNDELIVERED: [DeliveryState.FAILED],
    Status.CANCELED: [DeliveryState.CANCELED],
}


@dataclass(slots=True, frozen=True)
class BatchResult:
    """A batch that was dealt with: how many deliveries, and the endpoints that are sent some of them.

    `without_payload` were to be replayed, but their payload was erased.
    """

    handled: int
    endpoint_ids: frozenset[str]
    without_payload: int = 0


NOTHING = BatchResult(0, frozenset())


@dataclass(slots=True, frozen=True)
class RecoveryTask:
    """What a recovery is to do, with deliveries of which filter."""

    recovery_id: str
    workspace_id: str
    action: RecoveryAction
    log_filter: LogFilter


def apply_action(
    connection: WriteConnection, task: RecoveryTask, delivery_ids: Sequence[str], *, now: datetime
) -> BatchResult:
    """Send, replay or cancel those of the deliveries that still are as the filter wants them."""
    if task.action is RecoveryAction.CANCEL:
        canceled = cancellations.cancel_several(connection, task.workspace_id, delivery_ids, now=now)
        _mark(connection, task.recovery_id, canceled)
        return BatchResult(len(canceled), frozenset())
    sent = _send(connection, task, delivery_ids, now)
    _mark(connection, task.recovery_id, list(sent))
    left = [each for each in delivery_ids if each not in sent]
    return BatchResult(len(sent), frozenset(sent.values()), payload_rows.count_erased(connection, left))


def _send(
    connection: WriteConnection, task: RecoveryTask, delivery_ids: Sequence[str], now: datetime
) -> dict[str, str]:
    status, sent = task.log_filter.status, dict[str, str]()
    # In the order in which recording locks them: the queue, then the deliveries.
    if status in _WITH_WAITING:
        sent |= replays.send_now(connection, task.workspace_id, delivery_ids, now=now)
    if task.action is RecoveryAction.REPLAY and (states := _RESTARTED.get(status)):
        finished = [each for each in delivery_ids if each not in sent]
        sent |= replays.restart_schedules(connection, task.workspace_id, finished, states=states, now=now)
    return sent


def _mark(connection: WriteConnection, recovery_id: str, delivery_ids: Sequence[str]) -> None:
    if delivery_ids:
        mine = update(Delivery).where(Delivery.id.in_(delivery_ids))
        connection.execute(mine.values(recovery_id=recovery_id))
