"""A delivery on its way through a worker, from its claim to its recorded attempt."""

from dataclasses import dataclass, field
from datetime import datetime

from webhooks_app.core.outcomes import Outcome
from webhooks_app.worker.retry_decision import RetryDecision

# A delivery's id and the generation of the claim. A process may hold two claims of one delivery, if the lease
# of the first ended before its outcome came.
ClaimKey = tuple[str, int]

# A delivery whose worker died is sent once more together with others, as workers die for many reasons. After
# its second expired lease it is a suspect, sent in isolation, so that one which kills its workers takes no
# other along. Six expired leases in isolation give it up: with three, one innocent delivery of 15,000 was
# given up while something else killed each worker after a second or two; with six, that happens about once in
# 500 such times.
EXPIRED_LEASES_TO_ISOLATE = 2
EXPIRED_LEASES_TO_GIVE_UP = EXPIRED_LEASES_TO_ISOLATE + 6


@dataclass(slots=True, eq=False)
class ClaimedDelivery:
    """One claim of a delivery, and the attempt that is made of it.

    The first eight fields come from the claim. `scheduled_at` is set for a manual attempt: when the schedule
    goes on. `changed_at` (the endpoint's moment of change) and `body` are None unless the claim brought them;
    sending takes the body away, which nobody needs any more. Sending sets `started_at`, `request_headers`
    (JSON, custom values masked) and `constant_headers` (those behind the signature, which all requests of the
    endpoint carry; None where they are not known), the answer sets `outcome` and `decision`, the outcome
    buffer `buffered_at`, by the monotonic clock; reading one of these before it is set raises AttributeError.
    `attempts_in_schedule` counts the attempts before this one.
    """

    delivery_id: str
    endpoint_id: str
    event_id: str
    generation: int
    attempts_in_schedule: int
    expired_leases: int
    scheduled_at: datetime | None = None
    is_test: bool = False
    changed_at: datetime | None = None
    body: bytes | None = field(default=None, repr=False)
    started_at: datetime = field(init=False, repr=False)
    request_headers: str = field(init=False, repr=False)
    constant_headers: str | None = field(default=None, init=False, repr=False)
    outcome: Outcome = field(init=False, repr=False)
    decision: RetryDecision = field(init=False, repr=False)
    buffered_at: float = field(init=False, repr=False)

    @property
    def key(self) -> ClaimKey:
        return self.delivery_id, self.generation

    @property
    def is_manual(self) -> bool:
        """Whether a person asked for this attempt: it uses up none of the schedule."""
        return self.scheduled_at is not None

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what its workers died of."""
        return self.expired_leases >= EXPIRED_LEASES_TO_ISOLATE
