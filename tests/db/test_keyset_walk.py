"""Reading everything by keyset, in batches."""

from sqlalchemy import insert, select

from webhooks_app.core import clock
from webhooks_app.db import keyset_walk
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Heartbeat

NAMES = [f"{number:02d}" for number in range(20)]


def test_a_walk_meets_every_row_once_in_batches_of_the_size_asked_for(
    database: WriteDatabase, databases: Databases
) -> None:
    with database.begin() as connection:
        connection.execute(insert(Heartbeat), [{"name": name, "at": clock.now()} for name in NAMES])
    sizes = iter([1, 5, 50, 50])
    batches = keyset_walk.walk(
        databases.read, select(Heartbeat.name), Heartbeat.name, batch_rows=lambda: next(sizes)
    )

    met = [[row.name for row in batch] for batch in batches]

    assert [len(batch) for batch in met] == [1, 5, 14]
    assert [name for batch in met for name in batch] == NAMES
