"""first schema"""

import sqlalchemy as sa
from alembic import op

import webhooks_app.db.models.base

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('attempts',
    sa.Column('delivery_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('started_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('detail', sa.String(length=300), nullable=True),
    sa.Column('status', sa.Integer(), nullable=True),
    sa.Column('dns_us', sa.Integer(), nullable=False),
    sa.Column('connect_us', sa.Integer(), nullable=False),
    sa.Column('tls_us', sa.Integer(), nullable=False),
    sa.Column('first_byte_us', sa.Integer(), nullable=False),
    sa.Column('total_us', sa.Integer(), nullable=False),
    sa.Column('remote_address', sa.String(length=64), nullable=True),
    sa.Column('request_headers', sa.Text(), nullable=False),
    sa.Column('response_headers', sa.LargeBinary(), nullable=True),
    sa.Column('response_body', sa.LargeBinary(), nullable=True),
    sa.Column('response_truncated', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('delivery_id', 'generation', name=op.f('pk_attempts'))
    )
    op.create_table('pending_deliveries',
    sa.Column('delivery_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('endpoint_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('event_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('next_attempt_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('claimed_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('tries', sa.SmallInteger(), nullable=False),
    sa.Column('lapses', sa.SmallInteger(), nullable=False),
    sa.PrimaryKeyConstraint('delivery_id', name=op.f('pk_pending_deliveries'))
    )
    with op.batch_alter_table('pending_deliveries', schema=None) as batch_op:
        batch_op.create_index('ix_pending_deliveries_due', ['endpoint_id', 'next_attempt_at'], unique=False)

    op.create_table('users',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('password_hash', sa.String(length=200), nullable=False),
    sa.Column('session_key', sa.String(length=64), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_users')),
    sa.UniqueConstraint('email', name=op.f('uq_users_email'))
    )
    op.create_table('workspaces',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('retention_days', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_workspaces'))
    )
    op.create_table('api_tokens',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('hint', sa.String(length=12), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('last_used_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_api_tokens_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_tokens')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_api_tokens_token_hash'))
    )
    with op.batch_alter_table('api_tokens', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_api_tokens_workspace_id'), ['workspace_id'], unique=False)

    op.create_table('audit_entries',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=True),
    sa.Column('actor', sa.String(length=254), nullable=False),
    sa.Column('action', sa.String(length=60), nullable=False),
    sa.Column('target', sa.String(length=200), nullable=False),
    sa.Column('details', sa.Text(), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_audit_entries_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entries'))
    )
    op.create_table('endpoints',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('url', sa.String(length=2048), nullable=False),
    sa.Column('all_events', sa.Boolean(), nullable=False),
    sa.Column('state', sa.Enum('enabled', 'disabled', name='endpointstate', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('disabled_reason', sa.String(length=300), nullable=True),
    sa.Column('disabled_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('timeout_ms', sa.Integer(), nullable=False),
    sa.Column('rate_per_second', sa.Integer(), nullable=True),
    sa.Column('headers_encrypted', sa.Text(), nullable=True),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('updated_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('deleted_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_endpoints_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_endpoints'))
    )
    with op.batch_alter_table('endpoints', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_endpoints_workspace_id_id'), ['workspace_id', 'id'], unique=False)

    op.create_table('events',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('type', sa.String(length=64), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=255), nullable=True),
    sa.Column('request_hash', sa.String(length=64), nullable=True),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_events_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_events'))
    )
    with op.batch_alter_table('events', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_events_workspace_id_id'), ['workspace_id', 'id'], unique=False)
        batch_op.create_index('uq_events_idempotency', ['workspace_id', 'idempotency_key'], unique=True, sqlite_where=sa.text('idempotency_key IS NOT NULL'), postgresql_where=sa.text('idempotency_key IS NOT NULL'))

    op.create_table('members',
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('user_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('role', sa.Enum('admin', 'viewer', name='role', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_members_user_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['workspace_id'], ['workspaces.id'], name=op.f('fk_members_workspace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('workspace_id', 'user_id', name=op.f('pk_members'))
    )
    with op.batch_alter_table('members', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_members_user_id'), ['user_id'], unique=False)

    op.create_table('attempt_rollups',
    sa.Column('endpoint_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('hour_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('latency_bucket', sa.SmallInteger(), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_attempt_rollups_endpoint_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('endpoint_id', 'hour_at', 'outcome', 'latency_bucket', name=op.f('pk_attempt_rollups'))
    )
    op.create_table('deliveries',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('workspace_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('endpoint_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('event_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('event_type', sa.String(length=64), nullable=False),
    sa.Column('state', sa.Enum('pending', 'held', 'delivered', 'failed', 'canceled', name='deliverystate', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('next_attempt_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('attempt_count', sa.Integer(), nullable=False),
    sa.Column('tries', sa.SmallInteger(), nullable=False),
    sa.Column('last_attempt_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('last_outcome', sa.String(length=20), nullable=True),
    sa.Column('last_status', sa.Integer(), nullable=True),
    sa.Column('last_duration_ms', sa.Integer(), nullable=True),
    sa.Column('finished_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('trouble', sa.String(length=20), sa.Computed("CASE\n    WHEN state = 'pending' AND last_outcome IS NOT NULL THEN 'retrying'\n    WHEN state IN ('held', 'failed', 'canceled') THEN state\nEND", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_deliveries_endpoint_id')),
    sa.ForeignKeyConstraint(['event_id'], ['events.id'], name=op.f('fk_deliveries_event_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deliveries'))
    )
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.create_index('ix_deliveries_endpoint', ['endpoint_id', 'id'], unique=False)
        batch_op.create_index('ix_deliveries_endpoint_trouble', ['endpoint_id', 'trouble', 'id'], unique=False, postgresql_where=sa.text('trouble IS NOT NULL'), sqlite_where=sa.text('trouble IS NOT NULL'))
        batch_op.create_index('ix_deliveries_event', ['event_id'], unique=False)
        batch_op.create_index('ix_deliveries_type', ['workspace_id', 'event_type', 'id'], unique=False)
        batch_op.create_index('ix_deliveries_workspace', ['workspace_id', 'id'], unique=False)
        batch_op.create_index('ix_deliveries_workspace_trouble', ['workspace_id', 'trouble', 'id'], unique=False, postgresql_where=sa.text('trouble IS NOT NULL'), sqlite_where=sa.text('trouble IS NOT NULL'))

    op.create_table('endpoint_health',
    sa.Column('endpoint_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('last_success_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('last_failure_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('last_failure_outcome', sa.String(length=20), nullable=True),
    sa.Column('failing_since', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('failure_count', sa.Integer(), nullable=False),
    sa.Column('rate_free_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_endpoint_health_endpoint_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('endpoint_id', name=op.f('pk_endpoint_health'))
    )
    with op.batch_alter_table('endpoint_health', schema=None) as batch_op:
        batch_op.create_index('ix_endpoint_health_failing', ['failing_since'], unique=False, sqlite_where=sa.text('failing_since IS NOT NULL'), postgresql_where=sa.text('failing_since IS NOT NULL'))

    op.create_table('notices',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('endpoint_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('kind', sa.Enum('warning', 'final_warning', 'disabled', 'gone', name='noticekind', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('streak_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('disable_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('mail_due_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.Column('mail_tries', sa.SmallInteger(), nullable=False),
    sa.Column('mailed_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_notices_endpoint_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notices'))
    )
    with op.batch_alter_table('notices', schema=None) as batch_op:
        batch_op.create_index('uq_notices_streak', ['endpoint_id', 'kind', 'streak_at'], unique=True)
        batch_op.create_index('ix_notices_mail', ['created_at'], unique=False, sqlite_where=sa.text('mail_due_at IS NOT NULL'), postgresql_where=sa.text('mail_due_at IS NOT NULL'))

    op.create_table('heartbeats',
    sa.Column('name', sa.String(length=20), nullable=False),
    sa.Column('at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_heartbeats'))
    )
    op.create_table('signing_secrets',
    sa.Column('id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('endpoint_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('ciphertext', sa.Text(), nullable=False),
    sa.Column('created_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=False),
    sa.Column('expires_at', webhooks_app.db.models.base.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_signing_secrets_endpoint_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_signing_secrets'))
    )
    with op.batch_alter_table('signing_secrets', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_signing_secrets_endpoint_id'), ['endpoint_id'], unique=False)

    op.create_table('subscriptions',
    sa.Column('endpoint_id', sa.String(length=32).with_variant(sa.String(length=32, collation='C'), 'postgresql'), nullable=False),
    sa.Column('event_type', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['endpoint_id'], ['endpoints.id'], name=op.f('fk_subscriptions_endpoint_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('endpoint_id', 'event_type', name=op.f('pk_subscriptions'))
    )
    if op.get_bind().dialect.name == "postgresql":
        _tune_postgresql()


def _tune_postgresql() -> None:
    # Room on each page for new row versions, so that recording an outcome need not touch the indexes (HOT).
    op.execute("ALTER TABLE deliveries SET (fillfactor = 80)")
    # Every row of the queue is rewritten and deleted within seconds: vacuum it often and without pauses.
    op.execute(
        "ALTER TABLE pending_deliveries SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,"
        " autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)"
    )


def downgrade() -> None:
    op.drop_table('subscriptions')
    with op.batch_alter_table('signing_secrets', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_signing_secrets_endpoint_id'))

    op.drop_table('signing_secrets')
    op.drop_table('heartbeats')
    with op.batch_alter_table('notices', schema=None) as batch_op:
        batch_op.drop_index('ix_notices_mail', sqlite_where=sa.text('mail_due_at IS NOT NULL'), postgresql_where=sa.text('mail_due_at IS NOT NULL'))
        batch_op.drop_index('uq_notices_streak')

    op.drop_table('notices')
    with op.batch_alter_table('endpoint_health', schema=None) as batch_op:
        batch_op.drop_index('ix_endpoint_health_failing', sqlite_where=sa.text('failing_since IS NOT NULL'), postgresql_where=sa.text('failing_since IS NOT NULL'))

    op.drop_table('endpoint_health')
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.drop_index('ix_deliveries_workspace_trouble', postgresql_where=sa.text('trouble IS NOT NULL'), sqlite_where=sa.text('trouble IS NOT NULL'))
        batch_op.drop_index('ix_deliveries_workspace')
        batch_op.drop_index('ix_deliveries_type')
        batch_op.drop_index('ix_deliveries_event')
        batch_op.drop_index('ix_deliveries_endpoint_trouble', postgresql_where=sa.text('trouble IS NOT NULL'), sqlite_where=sa.text('trouble IS NOT NULL'))
        batch_op.drop_index('ix_deliveries_endpoint')

    op.drop_table('deliveries')
    op.drop_table('attempt_rollups')
    with op.batch_alter_table('members', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_members_user_id'))

    op.drop_table('members')
    with op.batch_alter_table('events', schema=None) as batch_op:
        batch_op.drop_index('uq_events_idempotency', sqlite_where=sa.text('idempotency_key IS NOT NULL'), postgresql_where=sa.text('idempotency_key IS NOT NULL'))
        batch_op.drop_index(batch_op.f('ix_events_workspace_id_id'))

    op.drop_table('events')
    with op.batch_alter_table('endpoints', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_endpoints_workspace_id_id'))

    op.drop_table('endpoints')
    op.drop_table('audit_entries')
    with op.batch_alter_table('api_tokens', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_api_tokens_workspace_id'))

    op.drop_table('api_tokens')
    op.drop_table('workspaces')
    op.drop_table('users')
    with op.batch_alter_table('pending_deliveries', schema=None) as batch_op:
        batch_op.drop_index('ix_pending_deliveries_due')

    op.drop_table('pending_deliveries')
    op.drop_table('attempts')
