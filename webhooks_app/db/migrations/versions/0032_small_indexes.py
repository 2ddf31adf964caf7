"""indexes of hashes and moments on PostgreSQL"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import index_builds, rolling_upgrades

revision = '0032'
down_revision = '0031'
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
    # Beside whoever writes they are built and dropped in no transaction, thus after this one, and the code before
    # asks for the old ones, of which a new database has no processes.
    if not op.get_context().opts[rolling_upgrades.IS_NEW_DATABASE]:
        ends_at = clock.now() + rolling_upgrades.DURATION
        op.bulk_insert(_UPGRADES, [{'change': rolling_upgrades.SMALL_INDEXES, 'ends_at': ends_at}])
        return
    for name, definition in index_builds.SMALL.items():
        op.execute(f'CREATE INDEX {name} ON {definition}')
    for name in index_builds.REPLACED:
        op.execute(f'DROP INDEX {name}')


def downgrade() -> None:
    if op.get_bind().dialect.name != 'postgresql':
        return
    op.create_index('ix_deliveries_workspace', 'deliveries', ['workspace_id', 'id'], if_not_exists=True)
    op.create_index('ix_deliveries_endpoint', 'deliveries', ['endpoint_id', 'id'], if_not_exists=True)
    op.create_index('ix_deliveries_type', 'deliveries', ['workspace_id', 'event_type', 'id'], if_not_exists=True)
    op.create_index('ix_events_workspace_id_id', 'events', ['workspace_id', 'id'], if_not_exists=True)
    for name in ('first_value', 'second_value', 'third_value'):
        has_one = sa.text(f'{name} IS NOT NULL')
        op.create_index(f'ix_events_{name}', 'events', ['workspace_id', name, 'id'], postgresql_where=has_one, if_not_exists=True)
    for name in index_builds.SMALL:
        op.execute(f'DROP INDEX IF EXISTS {name}')
    op.execute(_UPGRADES.delete().where(_UPGRADES.c.change == rolling_upgrades.SMALL_INDEXES))
