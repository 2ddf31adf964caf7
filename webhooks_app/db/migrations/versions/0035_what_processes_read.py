"""what processes can read"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import rolling_upgrades

revision = '0035'
down_revision = '0034'
branch_labels = None
depends_on = None

_UPGRADES = sa.table(
    'rolling_upgrades',
    sa.column('change', sa.String),
    sa.column('ends_at', webhooks_app.db.models.base.UtcDateTime(timezone=True)),
)


def upgrade() -> None:
    # The code before leaves it NULL.
    op.add_column('process_reports', sa.Column('reads_format', sa.SmallInteger(), nullable=True))
    # For a time, 0033 wrote no row where there was no event.
    if rolling_upgrades.read_end_of_old_code(op.get_bind(), rolling_upgrades.PACKED_BODIES) is None:
        ends_at = clock.now() + rolling_upgrades.DURATION
        op.bulk_insert(_UPGRADES, [{'change': rolling_upgrades.PACKED_BODIES, 'ends_at': ends_at}])


def downgrade() -> None:
    op.drop_column('process_reports', 'reads_format')
