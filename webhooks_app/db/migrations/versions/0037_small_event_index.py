"""a small index of the deliveries of events on PostgreSQL"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import rolling_upgrades

revision = '0037'
down_revision = '0036'
branch_labels = None
depends_on = None

_UPGRADES = sa.table(
    'rolling_upgrades',
    sa.column('change', sa.String),
    sa.column('ends_at', webhooks_app.db.models.base.UtcDateTime(timezone=True)),
)


def upgrade() -> None:
    if op.get_bind().dialect.name != 'postgresql':
        return
    # As 0032: built behind this transaction, beside whoever writes.
    if not op.get_context().opts[rolling_upgrades.IS_NEW_DATABASE]:
        ends_at = clock.now() + rolling_upgrades.DURATION
        op.bulk_insert(_UPGRADES, [{'change': rolling_upgrades.SMALL_EVENT_INDEX, 'ends_at': ends_at}])
        return
    op.execute('CREATE INDEX ix_deliveries_by_event ON deliveries (substr(event_id, 7, 7))')
    op.execute('DROP INDEX ix_deliveries_event')


def downgrade() -> None:
    if op.get_bind().dialect.name != 'postgresql':
        return
    op.create_index('ix_deliveries_event', 'deliveries', ['event_id'], if_not_exists=True)
    op.execute('DROP INDEX IF EXISTS ix_deliveries_by_event')
    op.execute(_UPGRADES.delete().where(_UPGRADES.c.change == rolling_upgrades.SMALL_EVENT_INDEX))
