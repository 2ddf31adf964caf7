"""Send events to an Avra webhook platform: a client, and an outbox in the app's own database."""

from avra_client.client import (
    Client,
    DeliveryStatus,
    EventStatus,
    Forbidden,
    JsonText,
    KeyReused,
    NewEvent,
    NotFound,
    Rejected,
    Result,
    Retries,
    SendError,
    Sent,
    Unauthorized,
    Unavailable,
    __version__,
)

__all__ = [
    "Client",
    "DeliveryStatus",
    "EventStatus",
    "Forbidden",
    "JsonText",
    "KeyReused",
    "NewEvent",
    "NotFound",
    "Rejected",
    "Result",
    "Retries",
    "SendError",
    "Sent",
    "Unauthorized",
    "Unavailable",
    "__version__",
]
