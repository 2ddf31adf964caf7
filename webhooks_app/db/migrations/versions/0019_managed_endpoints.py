"""what manages an endpoint, such as a file that `avra apply` reads"""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('endpoints', sa.Column('managed_by', sa.String(length=100), nullable=True))


def downgrade() -> None:
    op.drop_column('endpoints', 'managed_by')
