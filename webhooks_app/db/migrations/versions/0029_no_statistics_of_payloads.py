"""no values of payloads in PostgreSQL's statistics"""

from alembic import op

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None

# Nothing is looked for in these columns, so that the planner needs no samples of them; and what it has of a row
# outlasts the row. ANALYZE passes over a column whose target is 0 and leaves what was sampled before, in
# PostgreSQL 15 and in 18; a change of the type takes it away, to the same type without reading the table.
_COLUMNS = {'body': 'bytea', 'indexed_values': 'json'}


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        targets = [f'ALTER {name} SET STATISTICS 0' for name in _COLUMNS]
        types = [f'ALTER {name} TYPE {type_}' for name, type_ in _COLUMNS.items()]
        op.execute(f'ALTER TABLE events {", ".join(targets + types)}')


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER TABLE events ' + ', '.join(f'ALTER {name} SET STATISTICS -1' for name in _COLUMNS))
