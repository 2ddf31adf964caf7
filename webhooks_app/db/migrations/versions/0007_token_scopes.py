"""what a token may do, until when, and how often"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('api_tokens', sa.Column('scopes', sa.String(length=300), nullable=True))
    op.add_column('api_tokens', sa.Column(
        'expires_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True
    ))
    op.add_column('api_tokens', sa.Column('rate_per_second', sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column('api_tokens', 'rate_per_second')
    op.drop_column('api_tokens', 'expires_at')
    op.drop_column('api_tokens', 'scopes')
