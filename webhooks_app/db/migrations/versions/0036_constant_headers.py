"""what all requests of an endpoint carry"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import attempt_heads, rolling_upgrades

revision = '0036'
down_revision = '0035'
branch_labels = None
depends_on = None

_BATCH_ROWS = 1000
_MOMENT = webhooks_app.db.models.base.UtcDateTime(timezone=True)
_UPGRADES = sa.table('rolling_upgrades', sa.column('change', sa.String), sa.column('ends_at', _MOMENT))
_ATTEMPTS = sa.table(
    'attempts',
    sa.column('delivery_id', sa.String),
    sa.column('generation', sa.Integer),
    sa.column('started_at', _MOMENT),
    sa.column('request_headers', sa.Text),
    sa.column('response_headers', sa.LargeBinary),
    sa.column('packed_heads', sa.LargeBinary),
    sa.column('headers_digest', sa.Integer),
)
_DELIVERIES = sa.table('deliveries', sa.column('id', sa.String), sa.column('endpoint_id', sa.String))
_CONSTANT = sa.table(
    'constant_headers',
    sa.column('endpoint_id', sa.String),
    sa.column('digest', sa.Integer),
    sa.column('headers', sa.Text),
)

# An event whose columns hold its values as they were sent has an empty list of them, which the code before shows.
_LISTS = {
    'postgresql': 'to_json(array_remove(ARRAY[first_value, second_value, third_value], NULL))',
    'sqlite': """(
        SELECT json_group_array(value) FROM json_each(json_array(first_value, second_value, third_value))
        WHERE value IS NOT NULL
    )""",
}


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    op.create_table('constant_headers',
    sa.Column('endpoint_id', public_id, nullable=False),
    sa.Column('digest', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('headers', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_constant_headers_endpoint_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('endpoint_id', 'digest', name=op.f('pk_constant_headers'))
    )
    op.add_column('attempts', sa.Column('headers_digest', sa.Integer(), nullable=True))
    # The code before would show such attempts without their headers.
    is_new = op.get_context().opts[rolling_upgrades.IS_NEW_DATABASE]
    ends_at = clock.now() + (timedelta(0) if is_new else rolling_upgrades.DURATION)
    op.bulk_insert(_UPGRADES, [{'change': rolling_upgrades.CONSTANT_HEADERS, 'ends_at': ends_at}])


def downgrade() -> None:
    place = ('', 0)
    while rows := _referring_behind(place):
        for row in rows:
            _store_whole(row)
        place = (rows[-1].delivery_id, rows[-1].generation)
    values = _LISTS[op.get_bind().dialect.name]
    is_empty = "CAST(indexed_values AS text) = '[]' AND first_value IS NOT NULL"
    op.execute(f'UPDATE events SET indexed_values = {values} WHERE {is_empty}')
    op.execute(_UPGRADES.delete().where(_UPGRADES.c.change == rolling_upgrades.CONSTANT_HEADERS))
    op.drop_column('attempts', 'headers_digest')
    op.drop_table('constant_headers')


def _referring_behind(place: tuple[str, int]) -> list[Any]:
    attempts, constant = _ATTEMPTS.c, _CONSTANT.c
    key = sa.tuple_(attempts.delivery_id, attempts.generation)
    is_its_own = sa.and_(
        constant.endpoint_id == _DELIVERIES.c.endpoint_id, constant.digest == attempts.headers_digest
    )
    statement = (
        sa.select(
            *(attempts.delivery_id, attempts.generation, attempts.started_at, attempts.packed_heads),
            constant.headers.label('constant_headers'),
        )
        .join_from(_ATTEMPTS, _DELIVERIES, _DELIVERIES.c.id == attempts.delivery_id)
        .outerjoin(_CONSTANT, is_its_own)
        .where(key > sa.tuple_(*place), attempts.headers_digest.is_not(None), attempts.packed_heads.is_not(None))
        .order_by(attempts.delivery_id, attempts.generation)
        .limit(_BATCH_ROWS)
    )
    return list(op.get_bind().execute(statement))


def _store_whole(row: Any) -> None:
    own = row.delivery_id, row.started_at
    heads = attempt_heads.unpack(*own, bytes(row.packed_heads), row.constant_headers)
    op.get_bind().execute(
        sa.update(_ATTEMPTS)
        .where(_ATTEMPTS.c.delivery_id == row.delivery_id, _ATTEMPTS.c.generation == row.generation)
        .values(packed_heads=attempt_heads.pack(*own, heads.request, heads.response))
    )
