"""The tables."""

from webhooks_app.models.deliveries import (
    FINAL_STATES,
    Attempt,
    AttemptRollup,
    Delivery,
    DeliveryState,
    PendingDelivery,
)
from webhooks_app.models.endpoints import Endpoint, EndpointHealth, EndpointState, SigningSecret, Subscription
from webhooks_app.models.events import Event
from webhooks_app.models.notices import Heartbeat, Notice, NoticeKind
from webhooks_app.models.recoveries import Recovery, RecoveryState
from webhooks_app.models.workspaces import ApiToken, AuditEntry, Invitation, Member, Role, User, Workspace

__all__ = [
    "FINAL_STATES",
    "ApiToken",
    "Attempt",
    "AttemptRollup",
    "AuditEntry",
    "Delivery",
    "DeliveryState",
    "Endpoint",
    "EndpointHealth",
    "EndpointState",
    "Event",
    "Heartbeat",
    "Invitation",
    "Member",
    "Notice",
    "NoticeKind",
    "PendingDelivery",
    "Recovery",
    "RecoveryState",
    "Role",
    "SigningSecret",
    "Subscription",
    "User",
    "Workspace",
]
