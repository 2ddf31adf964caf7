"""listeners: endpoints whose deliveries a program fetches"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    moment = webhooks_app.db.models.base.UtcDateTime(timezone=True)
    op.add_column('endpoints', sa.Column('is_listener', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table('listeners',
    sa.Column('endpoint_id', public_id, nullable=False),
    sa.Column('token_id', public_id, nullable=False),
    sa.Column('name', sa.String(length=63), nullable=False),
    sa.Column('forward_to', sa.String(length=2048), nullable=False),
    sa.Column('session_id', public_id, nullable=False),
    sa.Column('started_at', moment, nullable=False),
    sa.Column('ends_at', moment, nullable=False),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_listeners_endpoint_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['token_id'], ['api_tokens.id'], name=op.f('fk_listeners_token_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('endpoint_id', name=op.f('pk_listeners')),
    sa.UniqueConstraint('token_id', 'name', name='uq_listeners_token_id_name')
    )


def downgrade() -> None:
    op.drop_table('listeners')
    # The code before would send to them; of a deleted endpoint it cancels what waits.
    op.execute("UPDATE endpoints SET state = 'disabled', deleted_at = updated_at WHERE is_listener AND deleted_at IS NULL")
    op.drop_column('endpoints', 'is_listener')
