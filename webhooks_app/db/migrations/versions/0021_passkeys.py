"""passkeys"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    moment = webhooks_app.db.models.base.UtcDateTime(timezone=True)
    op.create_table('passkeys',
    sa.Column('id', public_id, nullable=False),
    sa.Column('user_id', public_id, nullable=False),
    sa.Column('credential_id', sa.String(length=1400), nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False),
    sa.Column('sign_count', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('created_at', moment, nullable=False),
    sa.Column('answered_at', moment, nullable=True),
    sa.Column('last_used_at', moment, nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_passkeys_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_passkeys')),
    sa.UniqueConstraint('credential_id', name=op.f('uq_passkeys_credential_id'))
    )
    op.create_index(op.f('ix_passkeys_user_id'), 'passkeys', ['user_id'])


def downgrade() -> None:
    op.drop_table('passkeys')
