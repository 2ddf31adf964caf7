"""headers of attempts, packed"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import attempt_heads, rolling_upgrades

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None

_MOMENT = webhooks_app.db.models.base.UtcDateTime(timezone=True)
_BATCH_ROWS = 1000
_ATTEMPTS = sa.table(
    'attempts',
    sa.column('delivery_id', sa.String),
    sa.column('generation', sa.Integer),
    sa.column('started_at', _MOMENT),
    sa.column('request_headers', sa.Text),
    sa.column('response_headers', sa.LargeBinary),
    sa.column('packed_heads', sa.LargeBinary),
)


def upgrade() -> None:
    op.add_column('attempts', sa.Column('packed_heads', sa.LargeBinary(), nullable=True))
    upgrades = op.create_table('rolling_upgrades',
    sa.Column('change', sa.String(length=64), nullable=False),
    sa.Column('ends_at', _MOMENT, nullable=False),
    sa.PrimaryKeyConstraint('change', name=op.f('pk_rolling_upgrades'))
    )
    # An installation in which something was sent has processes of the code before.
    if op.get_bind().scalar(sa.text('SELECT 1 FROM attempts LIMIT 1')):
        ends_at = clock.now() + rolling_upgrades.DURATION
        op.bulk_insert(upgrades, [{'change': rolling_upgrades.PACKED_HEADS, 'ends_at': ends_at}])


def downgrade() -> None:
    place = ('', 0)
    while rows := _packed_behind(place):
        for row in rows:
            _unpack(row.delivery_id, row.generation, row.started_at, bytes(row.packed_heads))
        place = (rows[-1].delivery_id, rows[-1].generation)
    op.drop_table('rolling_upgrades')
    op.drop_column('attempts', 'packed_heads')


def _packed_behind(place: tuple[str, int]) -> list[Any]:
    columns = _ATTEMPTS.c
    key = sa.tuple_(columns.delivery_id, columns.generation)
    statement = (
        sa.select(columns.delivery_id, columns.generation, columns.started_at, columns.packed_heads)
        .where(key > sa.tuple_(*place), columns.packed_heads.is_not(None))
        .order_by(columns.delivery_id, columns.generation)
        .limit(_BATCH_ROWS)
    )
    return list(op.get_bind().execute(statement))


def _unpack(delivery_id: str, generation: int, started_at: datetime, packed: bytes) -> None:
    heads = attempt_heads.unpack(delivery_id, started_at, packed)
    op.get_bind().execute(
        sa.update(_ATTEMPTS)
        .where(_ATTEMPTS.c.delivery_id == delivery_id, _ATTEMPTS.c.generation == generation)
        .values(request_headers=heads.request, response_headers=heads.response or None)
    )
