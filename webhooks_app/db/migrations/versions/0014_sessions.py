"""sessions that can be listed and ended one by one"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    moment = webhooks_app.db.models.base.UtcDateTime(timezone=True)
    op.create_table('sessions',
    sa.Column('id', public_id, nullable=False),
    sa.Column('user_id', public_id, nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('method', sa.String(length=20), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('user_agent', sa.String(length=300), nullable=False),
    sa.Column('created_at', moment, nullable=False),
    sa.Column('last_seen_at', moment, nullable=False),
    sa.Column('ended_at', moment, nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_sessions_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sessions')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_sessions_token_hash'))
    )
    op.create_index('ix_sessions_user_id', 'sessions', ['user_id', 'last_seen_at'])
    op.create_index(op.f('ix_sessions_last_seen_at'), 'sessions', ['last_seen_at'])


def downgrade() -> None:
    op.drop_table('sessions')
