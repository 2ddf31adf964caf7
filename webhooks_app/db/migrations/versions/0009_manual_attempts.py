"""manual attempts, tests, and what recoveries do with which deliveries"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

_PUBLIC_ID = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
_MOMENT = webhooks_app.db.models.base.UtcDateTime(timezone=True)
_RUNNING = sa.text("state = 'running'")
_IS_TEST = sa.text('is_test')
_HAS_RECOVERY = sa.text('recovery_id IS NOT NULL')


def upgrade() -> None:
    op.add_column('attempts', sa.Column('is_manual', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('pending_deliveries', sa.Column('scheduled_at', _MOMENT, nullable=True))
    op.add_column('pending_deliveries', sa.Column('is_test', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('deliveries', sa.Column('is_test', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('deliveries', sa.Column('recovery_id', _PUBLIC_ID, nullable=True))
    op.create_index('ix_deliveries_test', 'deliveries', ['workspace_id', 'id'], sqlite_where=_IS_TEST, postgresql_where=_IS_TEST)
    op.create_index('ix_deliveries_recovery', 'deliveries', ['recovery_id', 'trouble', 'id'], sqlite_where=_HAS_RECOVERY, postgresql_where=_HAS_RECOVERY)

    op.add_column('recoveries', sa.Column('action', sa.String(length=20), server_default='replay', nullable=False))
    op.add_column('recoveries', sa.Column('scope', _PUBLIC_ID, server_default='', nullable=False))
    op.add_column('recoveries', sa.Column('rate_per_second', sa.Integer(), nullable=True))
    op.add_column('recoveries', sa.Column('next_batch_at', _MOMENT, nullable=True))
    op.drop_index('uq_recoveries_running', 'recoveries')
    op.create_index('uq_recoveries_running', 'recoveries', ['workspace_id', 'scope'], unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING)


def downgrade() -> None:
    # The code before knows of one at a time in a workspace.
    op.execute("UPDATE recoveries SET state = 'canceled' WHERE state = 'running'")
    op.drop_index('uq_recoveries_running', 'recoveries')
    op.create_index('uq_recoveries_running', 'recoveries', ['workspace_id'], unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING)
    for name in ('next_batch_at', 'rate_per_second', 'scope', 'action'):
        op.drop_column('recoveries', name)
    op.drop_index('ix_deliveries_recovery', 'deliveries')
    op.drop_index('ix_deliveries_test', 'deliveries')
    op.drop_column('deliveries', 'recovery_id')
    op.drop_column('deliveries', 'is_test')
    op.drop_column('pending_deliveries', 'is_test')
    op.drop_column('pending_deliveries', 'scheduled_at')
    op.drop_column('attempts', 'is_manual')
