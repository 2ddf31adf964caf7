"""Limits that a busy machine keeps, too, or one that stands still for some seconds."""

from typing import Any

from flask import Flask

from webhooks_app.app import create_app
from webhooks_app.config import Settings
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.events.group_commit import GroupLimits
from webhooks_app.jobs.wake_limits import WakeLimits
from webhooks_app.worker.engine_limits import EngineLimits

PATIENT_TIMEOUT_MS = 30_000
PATIENT_LIMITS = DatabaseLimits(
    lock_seconds=60,
    pool_seconds=60,
    connect_seconds=60,
    reach_seconds=60,
    peer_silence_seconds=60,
    statement_seconds=60,
    answer_seconds=90,
    rollback_seconds=60,
    idle_transaction_seconds=300,
    idle_check_seconds=3600,
    request_seconds=90,
)
PATIENT_GROUPS = GroupLimits(answer_seconds=90, least_seconds=60)
# What says in Redis for some seconds that a wake-up is under way, or a run awake, lasts for a test. A Redis
# that a busy machine lets wait is none that is down.
PATIENT_WAKE_LIMITS = WakeLimits(
    flag_ttl_seconds=600, awake_seconds=600, answer_seconds=30, patience_seconds=30
)
PATIENT_ENGINE = EngineLimits(stop_grace_seconds=60)


def patient_app(settings: Settings, **options: Any) -> Flask:
    """Return an application that waits for what a busy machine is slow at; `options` are `create_app`'s."""
    patient: dict[str, Any] = {
        "database_limits": PATIENT_LIMITS,
        "wake_limits": PATIENT_WAKE_LIMITS,
        "group_limits": PATIENT_GROUPS,
    }
    return create_app(settings, **patient | options)
