"""no values of what attempts sent and got in PostgreSQL's statistics"""

from alembic import op

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None

# As 0029 for events. A revision of its own, as each is a transaction: nobody waits for the locks of both tables.
_COLUMNS = {
    'request_headers': 'text', 'response_headers': 'bytea', 'response_body': 'bytea', 'packed_heads': 'bytea',
}


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        targets = [f'ALTER {name} SET STATISTICS 0' for name in _COLUMNS]
        types = [f'ALTER {name} TYPE {type_}' for name, type_ in _COLUMNS.items()]
        op.execute(f'ALTER TABLE attempts {", ".join(targets + types)}')


def downgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER TABLE attempts ' + ', '.join(f'ALTER {name} SET STATISTICS -1' for name in _COLUMNS))
