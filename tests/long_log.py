"""A log that is too long to be searched within one request."""

from datetime import timedelta

from sqlalchemy import insert

from tests.conftest import Workspace
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Event

# A request searches 5,000 at most.
ROWS = 16_000
# A statement with all of them would not be answered in time on a busy machine.
BATCH = 1_000


def fill(database: WriteDatabase, workspace: Workspace, *notes: str) -> str:
    """A month of delivered deliveries to one endpoint, whose id is returned; `notes` are in the oldest."""
    endpoint_id = workspace.endpoint("https://hooks.example.com/")
    start, step = clock.now() - timedelta(days=30), timedelta(days=30) / ROWS
    events, deliveries = [], []
    for position in range(ROWS):
        at = start + step * position
        name = ids.floor("x", at)[2:]
        note = notes[position] if position < len(notes) else "nothing"
        body = f'{{"id":"evt_{name}","data":{{"batch_id":"b{position}","note":"{note}"}}}}'.encode()
        shared = {"workspace_id": workspace.id, "created_at": at}
        events.append(shared | {"id": f"evt_{name}", "type": "batch-lifecycle", "body": body})
        deliveries.append(
            shared
            | {"id": f"dlv_{name}", "event_id": f"evt_{name}", "endpoint_id": endpoint_id}
            | {"event_type": "batch-lifecycle", "state": DeliveryState.DELIVERED}
        )
    for first in range(0, ROWS, BATCH):
        with database.begin() as connection:
            connection.execute(insert(Event), events[first : first + BATCH])
            connection.execute(insert(Delivery), deliveries[first : first + BATCH])
    return endpoint_id
