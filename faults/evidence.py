"""What the checker judges: the 202s, the requests that arrived, and the rows, as plain data."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

# The states in which a delivery may end where nobody disabled or deleted its endpoint.
USUAL_ENDS = frozenset({"delivered", "failed"})


@dataclass(frozen=True, slots=True)
class AcceptedEvent:
    """An event as its 202 described it."""

    event_id: str
    deliveries: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that the receiver read to its end; `answer` is what it answered."""

    delivery_id: str
    sha256: str
    timestamp: str
    signature: str
    answer: str = "200"


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key, certainly in force from `since` on, and never after `until`."""

    secret: bytes
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    body: bytes
    batch_id: str  # unique to the event its producer sent: two rows with one are an event accepted twice


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    id: str
    event_id: str
    endpoint_id: str
    state: str
    generation: int
    attempts_in_schedule: int
    last_outcome: str | None
    attempt_count: int | None = None  # None where it was not kept


@dataclass(frozen=True, slots=True)
class QueueRow:
    due_at: datetime
    generation: int


@dataclass(slots=True)
class Evidence:
    """What happened in one scenario, and what it allows."""

    accepted: list[AcceptedEvent]
    arrivals: list[Arrival]
    succeeded: set[str]  # deliveries that the receiver answered with a 2xx
    events: dict[str, EventRow]
    deliveries: dict[str, StoredDelivery]
    queue: dict[str, QueueRow]
    attempts: "Counter[str]"  # recorded attempts by delivery
    keys: dict[str, list[Key]]
    schedule_length: int
    # How many claims of a delivery a process that was killed had sent, or may have sent, and not recorded.
    unrecorded_at_kills: "Counter[str]"
    now: datetime
    claims_unseen: int = 0  # how many such claims there may be beside those, of whatever delivery
    claims_lost: int = 0  # how many claims a crash of the database may have undone after they were sent
    poisoned: int = 0  # how many deliveries may fail because they kill their workers
    fan_out: int | None = None  # how many deliveries each event must have, whether it got its 202 or not
    # The states in which deliveries to an endpoint may end, in place of USUAL_ENDS.
    allowed_ends: dict[str, frozenset[str]] = field(default_factory=dict)
    may_be_pending: bool = False  # whether deliveries may still be pending, though not overdue
