"""payloads kept for a time of their own"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0027'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    moment = webhooks_app.db.models.base.UtcDateTime(timezone=True)
    op.add_column('events', sa.Column('payload_erased_at', moment, nullable=True))
    # Unset: payloads stay as long as the log, as they did.
    op.add_column('workspaces', sa.Column('payload_days', sa.Integer(), nullable=True))
    op.add_column('workspaces', sa.Column('payloads_erased_to', public_id, nullable=True))
    op.add_column('recoveries', sa.Column('without_payload', sa.Integer(), server_default='0', nullable=False))
    op.create_table('late_payloads',
    sa.Column('workspace_id', public_id, nullable=False),
    sa.Column('event_id', public_id, nullable=False),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_late_payloads_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('workspace_id', 'event_id', name=op.f('pk_late_payloads'))
    )


def downgrade() -> None:
    op.drop_table('late_payloads')
    op.drop_column('recoveries', 'without_payload')
    op.drop_column('workspaces', 'payloads_erased_to')
    op.drop_column('workspaces', 'payload_days')
    op.drop_column('events', 'payload_erased_at')
