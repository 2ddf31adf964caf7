"""second factors, and workspaces that demand one"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    moment = webhooks_app.db.models.base.UtcDateTime(timezone=True)
    op.create_table('totp_secrets',
    sa.Column('user_id', public_id, nullable=False),
    sa.Column('secret_encrypted', sa.Text(), nullable=False),
    sa.Column('created_at', moment, nullable=False),
    sa.Column('confirmed_at', moment, nullable=True),
    sa.Column('last_step', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_totp_secrets_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_totp_secrets'))
    )
    op.create_table('recovery_codes',
    sa.Column('user_id', public_id, nullable=False),
    sa.Column('code_hash', sa.String(length=64), nullable=False),
    sa.Column('used_at', moment, nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_recovery_codes_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'code_hash', name=op.f('pk_recovery_codes'))
    )
    op.add_column('users', sa.Column('second_factor_at', moment, nullable=True))
    op.add_column('workspaces', sa.Column('requires_second_factor', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column('workspaces', 'requires_second_factor')
    op.drop_column('users', 'second_factor_at')
    op.drop_table('recovery_codes')
    op.drop_table('totp_secrets')
