"""rate limits of API tokens"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade() -> None:
    public_id = sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql')
    op.add_column('api_tokens', sa.Column('burst', sa.Integer(), nullable=True))
    op.create_table('token_allowances',
    sa.Column('token_id', public_id, nullable=False),
    sa.Column('full_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('refused_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['token_id'], ['api_tokens.id'], name=op.f('fk_token_allowances_token_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('token_id', name=op.f('pk_token_allowances'))
    )


def downgrade() -> None:
    op.drop_table('token_allowances')
    op.drop_column('api_tokens', 'burst')
