"""the newest delivery that was attempted at each endpoint"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    op.add_column('endpoint_health', sa.Column('newest_attempted_id', column, nullable=True))


def downgrade() -> None:
    op.drop_column('endpoint_health', 'newest_attempted_id')
