"""bodies of events, packed"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base
from webhooks_app.core import clock
from webhooks_app.db import event_bodies, rolling_upgrades

revision = '0033'
down_revision = '0032'
branch_labels = None
depends_on = None

_BATCH_ROWS = 1000
_UPGRADES = sa.table(
    'rolling_upgrades',
    sa.column('change', sa.String),
    sa.column('ends_at', webhooks_app.db.models.base.UtcDateTime(timezone=True)),
)
_EVENTS = sa.table('events', sa.column('id', sa.String), sa.column('body', sa.LargeBinary))


def upgrade() -> None:
    # The code before would send them as they are stored, and may run though there be no event yet.
    is_new = op.get_context().opts[rolling_upgrades.IS_NEW_DATABASE]
    ends_at = clock.now() + (timedelta(0) if is_new else rolling_upgrades.DURATION)
    op.bulk_insert(_UPGRADES, [{'change': rolling_upgrades.PACKED_BODIES, 'ends_at': ends_at}])


def downgrade() -> None:
    after = ''
    while rows := _bodies_behind(after):
        for row in rows:
            if event_bodies.is_packed(bytes(row.body)):
                whole = sa.update(_EVENTS).where(_EVENTS.c.id == row.id)
                # A damaged one becomes empty, which the code before takes for an erased one and does not send.
                op.get_bind().execute(whole.values(body=bytes(event_bodies.read(bytes(row.body)))))
        after = rows[-1].id
    op.execute(_UPGRADES.delete().where(_UPGRADES.c.change == rolling_upgrades.PACKED_BODIES))


def _bodies_behind(after: str) -> list[Any]:
    statement = sa.select(_EVENTS).where(_EVENTS.c.id > after).order_by(_EVENTS.c.id).limit(_BATCH_ROWS)
    return list(op.get_bind().execute(statement))
