"""The tables."""

from webhooks_app.db.models.account_tables import (
    ApiToken,
    AuditEntry,
    Invitation,
    LogInTries,
    Member,
    Role,
    TokenAllowance,
    User,
    Workspace,
)
from webhooks_app.db.models.base import Base
from webhooks_app.db.models.delivery_tables import (
    FINAL_STATES,
    Attempt,
    AttemptRollup,
    Delivery,
    DeliveryState,
    PendingDelivery,
)
from webhooks_app.db.models.endpoint_tables import (
    Endpoint,
    EndpointHealth,
    EndpointState,
    SigningSecret,
    Subscription,
)
from webhooks_app.db.models.event_tables import AcceptedBatch, Event, LatePayload, ValueBackfill
from webhooks_app.db.models.fan_out_tables import FanOut
from webhooks_app.db.models.header_tables import ConstantHeaders
from webhooks_app.db.models.listener_tables import Listener
from webhooks_app.db.models.monitoring_tables import TOTAL_ID, BacklogSample, ProcessReport
from webhooks_app.db.models.notice_tables import Heartbeat, Notice, NoticeKind
from webhooks_app.db.models.recovery_tables import Recovery, RecoveryAction, RecoveryState
from webhooks_app.db.models.rolling_upgrade_tables import RollingUpgrade
from webhooks_app.db.models.saved_filter_tables import SavedFilter
from webhooks_app.db.models.sign_in_tables import (
    ExternalIdentity,
    Passkey,
    RecoveryCode,
    SecurityMail,
    SignInMethod,
    TotpSecret,
    UserSession,
)
from webhooks_app.db.models.traffic_tables import Facet, TrafficCount

# Of every table, for those who want none by its name.
METADATA = Base.metadata

__all__ = [
    "FINAL_STATES",
    "METADATA",
    "TOTAL_ID",
    "AcceptedBatch",
    "ApiToken",
    "Attempt",
    "AttemptRollup",
    "AuditEntry",
    "BacklogSample",
    "ConstantHeaders",
    "Delivery",
    "DeliveryState",
    "Endpoint",
    "EndpointHealth",
    "EndpointState",
    "Event",
    "ExternalIdentity",
    "Facet",
    "FanOut",
    "Heartbeat",
    "Invitation",
    "LatePayload",
    "Listener",
    "LogInTries",
    "Member",
    "Notice",
    "NoticeKind",
    "Passkey",
    "PendingDelivery",
    "ProcessReport",
    "Recovery",
    "RecoveryAction",
    "RecoveryCode",
    "RecoveryState",
    "Role",
    "RollingUpgrade",
    "SavedFilter",
    "SecurityMail",
    "SignInMethod",
    "SigningSecret",
    "Subscription",
    "TokenAllowance",
    "TotpSecret",
    "TrafficCount",
    "User",
    "UserSession",
    "ValueBackfill",
    "Workspace",
]
