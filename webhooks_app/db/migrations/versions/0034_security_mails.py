"""e-mails about changes of accounts"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0034'
down_revision = '0033'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    moment = webhooks_app.db.models.base.UtcDateTime(timezone=True)
    op.create_table('security_mails',
    sa.Column('id', public_id, nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('action', sa.String(length=60), nullable=False),
    sa.Column('actor', sa.String(length=254), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('details', sa.Text(), nullable=False),
    sa.Column('created_at', moment, nullable=False),
    sa.Column('due_at', moment, nullable=False),
    sa.Column('tries', sa.SmallInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_security_mails'))
    )


def downgrade() -> None:
    op.drop_table('security_mails')
