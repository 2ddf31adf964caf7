"""when PostgreSQL vacuums the tables of the log"""

from alembic import op

revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None

# The defaults wait for a fifth of a table: of ten million deliveries, for two million dead rows, in whose place
# new ones could stand. Each round reads all indexes of its table, so that more often would cost more than it
# gives back. Pages of the log read indexes alone where a vacuum has passed behind the inserts.
_SHARE = {
    'autovacuum_vacuum_scale_factor': '0.05',
    'autovacuum_vacuum_insert_scale_factor': '0.05',
    'autovacuum_analyze_scale_factor': '0.02',
}
_TABLES = ('deliveries', 'attempts', 'events')


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        listed = ', '.join(f'{name} = {value}' for name, value in _SHARE.items())
        for table in _TABLES:
            op.execute(f'ALTER TABLE {table} SET ({listed})')


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for table in _TABLES:
            op.execute(f'ALTER TABLE {table} RESET ({", ".join(_SHARE)})')
