"""the status of an endpoint's last failure, and what was done to one endpoint"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('endpoint_health', sa.Column('last_failure_status', sa.Integer(), nullable=True))
    op.create_index('ix_audit_entries_target', 'audit_entries', ['target', 'id'])


def downgrade() -> None:
    op.drop_index('ix_audit_entries_target', table_name='audit_entries')
    op.drop_column('endpoint_health', 'last_failure_status')
