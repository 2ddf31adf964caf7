"""sums of attempts by response and by event type"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None

# No older counts are kept: see `deliveries/traffic_ages.py`.
_KEPT_AGE = timedelta(days=32)
# What was counted before is known by the hour and by outcome only, so the charts by response begin with that.
_FILL = """
    INSERT INTO traffic_counts (scope_id, facet, starts_at, minutes, name, count, failed)
    SELECT {scope}, 'response', r.hour_at, 60, r.outcome, sum(r.count),
        sum(CASE WHEN r.outcome = 'success' THEN 0 ELSE r.count END)
    FROM attempt_rollups r {join} WHERE r.hour_at >= :since GROUP BY {scope}, r.hour_at, r.outcome
"""


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    op.create_table('traffic_counts',
    sa.Column('scope_id', public_id, nullable=False),
    sa.Column('facet', sa.Enum('response', 'event_type', name='facet', native_enum=False, length=20, create_constraint=True), nullable=False),
    sa.Column('starts_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('minutes', sa.SmallInteger(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('failed', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('scope_id', 'facet', 'starts_at', 'minutes', 'name', name=op.f('pk_traffic_counts'))
    )
    op.create_index('ix_traffic_counts_age', 'traffic_counts', ['minutes', 'starts_at'])
    since = sa.bindparam('since', clock.now() - _KEPT_AGE, type_=webhooks_app.db.models.base.UtcDateTime())
    for scope, join in (('r.endpoint_id', ''), ('e.workspace_id', 'JOIN endpoints e ON e.id = r.endpoint_id')):
        op.execute(sa.text(_FILL.format(scope=scope, join=join)).bindparams(since))


def downgrade() -> None:
    op.drop_table('traffic_counts')
