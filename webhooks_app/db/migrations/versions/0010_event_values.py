"""the values by which events are found at once"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from webhooks_app.core import clock, ids

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

# While an upgrade rolls, the code before it still accepts events without their values.
_ROLLING = timedelta(days=1)


_VALUES = ('first_value', 'second_value', 'third_value')


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    folded_text = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.add_column('events', sa.Column('indexed_values', sa.JSON(none_as_null=True), nullable=True))
    for name in _VALUES:
        op.add_column('events', sa.Column(name, folded_text, nullable=True))
    backfills = op.create_table('value_backfills',
    sa.Column('until', public_id, nullable=False),
    sa.Column('position', public_id, nullable=False),
    sa.PrimaryKeyConstraint('until', name=op.f('pk_value_backfills'))
    )
    if op.get_bind().scalar(sa.text('SELECT 1 FROM events LIMIT 1')):
        until = ids.floor('evt', clock.now() + _ROLLING)
        op.bulk_insert(backfills, [{'until': until, 'position': ''}])
    for name in _VALUES:
        has_one = sa.text(f'{name} IS NOT NULL')
        op.create_index(f'ix_events_{name}', 'events', ['workspace_id', name, 'id'], unique=False, postgresql_where=has_one, sqlite_where=has_one)


def downgrade() -> None:
    for name in _VALUES:
        op.drop_index(f'ix_events_{name}', 'events')
    op.drop_table('value_backfills')
    for name in (*_VALUES, 'indexed_values'):
        op.drop_column('events', name)
