"""batches that were accepted under an idempotency key"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    op.create_table('accepted_batches',
    sa.Column('id', public_id, nullable=False),
    sa.Column('workspace_id', public_id, nullable=False),
    sa.Column('idempotency_key', sa.String(length=255), nullable=False),
    sa.Column('request_hash', sa.String(length=64), nullable=False),
    sa.Column('events', sa.JSON(), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_accepted_batches_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_accepted_batches'))
    )
    op.create_index('uq_accepted_batches_key', 'accepted_batches', ['workspace_id', 'idempotency_key'], unique=True)
    op.create_index('ix_accepted_batches_workspace_id_id', 'accepted_batches', ['workspace_id', 'id'])


def downgrade() -> None:
    op.drop_table('accepted_batches')
