"""an index of the endpoints that are not deleted"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

_LIVE = sa.text('deleted_at IS NULL')


def upgrade() -> None:
    op.create_index('ix_endpoints_live', 'endpoints', ['workspace_id', 'id'], sqlite_where=_LIVE, postgresql_where=_LIVE)


def downgrade() -> None:
    op.drop_index('ix_endpoints_live', 'endpoints')
