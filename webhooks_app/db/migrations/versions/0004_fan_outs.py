"""what is accepted and not yet fanned out"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('fan_outs',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('plan', sa.JSON(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('taken_until', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_fan_outs'))
    )


def downgrade() -> None:
    op.drop_table('fan_outs')
