"""no foreign keys of deliveries on PostgreSQL"""

from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

_REFERRED = {'endpoint_id': 'endpoints', 'event_id': 'events'}


def upgrade() -> None:
    # SQLite could drop them by copying the whole table only, and checks them for next to nothing.
    if op.get_bind().dialect.name == 'postgresql':
        for column in _REFERRED:
            op.execute(f'ALTER TABLE deliveries DROP CONSTRAINT fk_deliveries_{column}')


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for column, table in _REFERRED.items():
            # Not checked for the rows that are there, which would take a lock for as long as that takes.
            op.create_foreign_key(
                f'fk_deliveries_{column}', 'deliveries', table, [column], ['id'], postgresql_not_valid=True
            )
