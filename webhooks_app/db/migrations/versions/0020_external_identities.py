"""accounts at a provider, and memberships that its groups give"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    moment = webhooks_app.db.models.base.UtcDateTime(timezone=True)
    op.create_table('external_identities',
    sa.Column('issuer', sa.String(length=255), nullable=False),
    sa.Column('subject', sa.String(length=255), nullable=False),
    sa.Column('user_id', public_id, nullable=False),
    sa.Column('created_at', moment, nullable=False),
    sa.Column('last_used_at', moment, nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_external_identities_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('issuer', 'subject', name=op.f('pk_external_identities'))
    )
    op.create_index(op.f('ix_external_identities_user_id'), 'external_identities', ['user_id'])
    op.add_column('members', sa.Column('is_from_groups', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column('members', 'is_from_groups')
    op.drop_table('external_identities')
