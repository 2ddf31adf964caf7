"""people and recoveries"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

_SQLITE = """CREATE TRIGGER audit_entries_no_{word} BEFORE {word} ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"""
# REPLACE deletes without a delete trigger.
_NO_REPLACE = """CREATE TRIGGER audit_entries_no_replace BEFORE INSERT ON audit_entries
WHEN EXISTS (SELECT 1 FROM audit_entries WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"""
APPEND_ONLY = {
    'sqlite': [*(_SQLITE.format(word=word) for word in ('update', 'delete')), _NO_REPLACE],
    'postgresql': [
        """CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
        """CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON audit_entries
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit()""",
        """CREATE TRIGGER audit_entries_no_truncate BEFORE TRUNCATE ON audit_entries
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()""",
    ],
}
CHANGEABLE = {
    'sqlite': [f'DROP TRIGGER audit_entries_no_{word}' for word in ('update', 'delete', 'replace')],
    'postgresql': [
        'DROP TRIGGER audit_entries_no_truncate ON audit_entries',
        'DROP TRIGGER audit_entries_append_only ON audit_entries',
        'DROP FUNCTION refuse_change_of_audit',
    ],
}


def upgrade() -> None:
    op.create_table('invitations',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('role', sa.Enum('admin', 'viewer', name='role', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('invited_by', sa.String(length=254), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('expires_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('closed_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_invitations_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invitations')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_invitations_token_hash'))
    )
    with op.batch_alter_table('invitations', schema=None) as batch_op:
        batch_op.create_index('uq_invitations_open', ['workspace_id', 'email'], unique=True, sqlite_where=sa.text('closed_at IS NULL'), postgresql_where=sa.text('closed_at IS NULL'))

    op.create_table('recoveries',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('filter', sa.JSON(), nullable=False),
    sa.Column('state', sa.Enum('running', 'done', 'canceled', name='recoverystate', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('cursor', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('total', sa.Integer(), nullable=True),
    sa.Column('replayed', sa.Integer(), nullable=False),
    sa.Column('left_out', sa.Integer(), nullable=False),
    sa.Column('started_by', sa.String(length=254), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('finished_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_recoveries_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recoveries'))
    )
    with op.batch_alter_table('recoveries', schema=None) as batch_op:
        batch_op.create_index('uq_recoveries_running', ['workspace_id'], unique=True, sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'"))
        batch_op.create_index('ix_recoveries_workspace', ['workspace_id', 'id'], unique=False)

    with op.batch_alter_table('audit_entries', schema=None) as batch_op:
        batch_op.create_index('ix_audit_entries_refused_account', ['actor', 'created_at'], unique=False, sqlite_where=sa.text("action = 'session.refuse'"), postgresql_where=sa.text("action = 'session.refuse'"))
        batch_op.create_index('ix_audit_entries_refused_address', ['address', 'created_at'], unique=False, sqlite_where=sa.text("action = 'session.refuse'"), postgresql_where=sa.text("action = 'session.refuse'"))
        batch_op.create_index('ix_audit_entries_workspace', ['workspace_id', 'id'], unique=False)

    with op.batch_alter_table('workspaces', schema=None) as batch_op:
        batch_op.add_column(sa.Column('default_timeout_ms', sa.Integer(), server_default='5000', nullable=False))
        batch_op.add_column(sa.Column('notice_addresses', sa.JSON(), server_default='[]', nullable=False))

    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    for statement in CHANGEABLE[op.get_bind().dialect.name]:
        op.execute(statement)
    # Not as a batch, which on SQLite builds the table anew and takes along whatever refers to it.
    op.drop_column('workspaces', 'notice_addresses')
    op.drop_column('workspaces', 'default_timeout_ms')

    with op.batch_alter_table('audit_entries', schema=None) as batch_op:
        batch_op.drop_index('ix_audit_entries_workspace')
        batch_op.drop_index('ix_audit_entries_refused_address', sqlite_where=sa.text("action = 'session.refuse'"), postgresql_where=sa.text("action = 'session.refuse'"))
        batch_op.drop_index('ix_audit_entries_refused_account', sqlite_where=sa.text("action = 'session.refuse'"), postgresql_where=sa.text("action = 'session.refuse'"))

    with op.batch_alter_table('recoveries', schema=None) as batch_op:
        batch_op.drop_index('ix_recoveries_workspace')
        batch_op.drop_index('uq_recoveries_running', sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'"))

    op.drop_table('recoveries')
    with op.batch_alter_table('invitations', schema=None) as batch_op:
        batch_op.drop_index('uq_invitations_open', sqlite_where=sa.text('closed_at IS NULL'), postgresql_where=sa.text('closed_at IS NULL'))

    op.drop_table('invitations')
