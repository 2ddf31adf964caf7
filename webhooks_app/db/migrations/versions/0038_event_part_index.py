"""an index of the deliveries of events on PostgreSQL that tells the events of a batch apart"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import index_builds, rolling_upgrades

revision = '0038'
down_revision = '0037'
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
    # As 0037, whose index nobody needs to build any more where that waits to be done.
    if not op.get_context().opts[rolling_upgrades.IS_NEW_DATABASE]:
        ends_at = clock.now() + rolling_upgrades.DURATION
        op.execute(_UPGRADES.delete().where(_UPGRADES.c.change == rolling_upgrades.SMALL_EVENT_INDEX))
        op.bulk_insert(_UPGRADES, [{'change': rolling_upgrades.EVENT_PART_INDEX, 'ends_at': ends_at}])
        return
    for name, definition in index_builds.SMALL_OF_EVENT.items():
        op.execute(f'CREATE INDEX {name} ON {definition}')
    op.execute('DROP INDEX ix_deliveries_by_event')


def downgrade() -> None:
    if op.get_bind().dialect.name != 'postgresql':
        return
    op.execute('CREATE INDEX IF NOT EXISTS ix_deliveries_by_event ON deliveries (substr(event_id, 7, 7))')
    for name in index_builds.SMALL_OF_EVENT:
        op.execute(f'DROP INDEX IF EXISTS {name}')
    op.execute(_UPGRADES.delete().where(_UPGRADES.c.change == rolling_upgrades.EVENT_PART_INDEX))
