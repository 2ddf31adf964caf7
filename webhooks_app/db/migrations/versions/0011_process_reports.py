"""what processes report, and samples of the backlog"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

UtcDateTime = webhooks_app.db.models.base.UtcDateTime


def upgrade() -> None:
    op.create_table('process_reports',
    sa.Column('id', webhooks_app.db.models.base.public_id(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('host', sa.String(length=64), nullable=False),
    sa.Column('pid', sa.Integer(), nullable=False),
    sa.Column('version', sa.String(length=32), nullable=False),
    sa.Column('started_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('reported_at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('clock_ahead_ms', sa.BigInteger(), nullable=False),
    sa.Column('ended_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('state', sa.JSON(), nullable=False),
    sa.Column('counters', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_process_reports'))
    )
    op.create_table('backlog_samples',
    sa.Column('at', UtcDateTime(timezone=True), nullable=False),
    sa.Column('pending', sa.Integer(), nullable=False),
    sa.Column('due', sa.Integer(), nullable=False),
    sa.Column('held', sa.Integer(), nullable=False),
    sa.Column('oldest_due_at', UtcDateTime(timezone=True), nullable=True),
    sa.Column('endpoints', sa.JSON(), nullable=False),
    sa.Column('duration_ms', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('at', name=op.f('pk_backlog_samples'))
    )


def downgrade() -> None:
    op.drop_table('backlog_samples')
    op.drop_table('process_reports')
