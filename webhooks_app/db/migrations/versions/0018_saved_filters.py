"""filters of the log that a workspace shares"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    op.create_table('saved_filters',
    sa.Column('id', public_id, nullable=False),
    sa.Column('workspace_id', public_id, nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('filter', sa.JSON(), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_saved_filters_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_saved_filters'))
    )
    op.create_index('uq_saved_filters_name', 'saved_filters', ['workspace_id', 'name'], unique=True)


def downgrade() -> None:
    op.drop_table('saved_filters')
