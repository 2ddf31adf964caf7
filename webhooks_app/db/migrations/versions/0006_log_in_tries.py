"""a count of log-in tries"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('log_in_tries',
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('resets_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_log_in_tries'))
    )
    op.create_index(op.f('ix_log_in_tries_resets_at'), 'log_in_tries', ['resets_at'])


def downgrade() -> None:
    op.drop_table('log_in_tries')
