"""payloads are erased once the upgrade is over"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import rolling_upgrades

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None

_UPGRADES = sa.table(
    'rolling_upgrades',
    sa.column('change', sa.String),
    sa.column('ends_at', webhooks_app.db.models.base.UtcDateTime(timezone=True)),
)


def upgrade() -> None:
    # The code before would replay an event that was erased, with an empty body.
    if not op.get_context().opts[rolling_upgrades.IS_NEW_DATABASE]:
        ends_at = clock.now() + rolling_upgrades.DURATION
        op.bulk_insert(_UPGRADES, [{'change': rolling_upgrades.PAYLOADS_APART, 'ends_at': ends_at}])


def downgrade() -> None:
    op.execute(_UPGRADES.delete().where(_UPGRADES.c.change == rolling_upgrades.PAYLOADS_APART))
