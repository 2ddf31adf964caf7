"""no values of payloads in PostgreSQL's statistics"""

from alembic import op

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None

# Nothing is looked for in these columns, so that the planner needs no samples of them; and what it has of a row
# outlasts the row. ANALYZE passes over a column whose target is 0 and leaves what was sampled before, in
# PostgreSQL 15 and in 18; a change of the type takes it away, to the same type without reading the table.
_COLUMNS = {
    'events': {'body': 'bytea', 'indexed_values': 'json'},
    'attempts': {
        'request_headers': 'text', 'response_headers': 'bytea', 'response_body': 'bytea', 'packed_heads': 'bytea',
    },
}


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for table, columns in _COLUMNS.items():
            targets = [f'ALTER {name} SET STATISTICS 0' for name in columns]
            types = [f'ALTER {name} TYPE {type_}' for name, type_ in columns.items()]
            op.execute(f'ALTER TABLE {table} {", ".join(targets + types)}')


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for table, columns in _COLUMNS.items():
            op.execute(f'ALTER TABLE {table} ' + ', '.join(f'ALTER {name} SET STATISTICS -1' for name in columns))
