"""An incident as the console shows it: what fails and why, what changed, and what waits."""

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from webhooks_app.core import text_display
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import failure_groups, health, incidents, waiting_counts
from webhooks_app.endpoints.failure_groups import Failure, FailureGroup
from webhooks_app.endpoints.health import HealthState
from webhooks_app.endpoints.incidents import FailedAttempt, Incident
from webhooks_app.endpoints.waiting_counts import Backlog
from webhooks_app.extensions import db
from webhooks_app.web import response_text

# The rest is one line: whoever reads more than these reads the log.
GROUPS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class IncidentCard:
    """What holds of one endpoint now; `incident` is None where it has none."""

    endpoint: Endpoint
    state: HealthState
    incident: Incident | None
    groups: list[FailureGroup]
    backlog: Backlog
    has_failed: bool

    @property
    def shown_groups(self) -> list[FailureGroup]:
        return self.groups[:GROUPS_SHOWN]

    @property
    def other_count(self) -> int:
        return sum(group.count for group in self.groups[GROUPS_SHOWN:])

    @property
    def failure_count(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def event_type(self) -> str:
        """The event type that a test tries: the newest that failed."""
        return self.incident.failures[0].event_type if self.incident and self.incident.failures else ""

    @property
    def version(self) -> str:
        """Differs whenever the card looks different."""
        groups = [(group.count, group.code, group.text) for group in self.groups]
        change = self.incident.change.at if self.incident and self.incident.change else None
        shown = (self.state, groups, self.backlog, self.has_failed, change, self.endpoint.updated_at)
        return f"{crc32(repr((*shown, self.endpoint.health.last_failure_at)).encode()):08x}"


def load(endpoint: Endpoint) -> IncidentCard:
    session = db.session()
    state = health.read(session, endpoint.id)
    incident = incidents.read(session, endpoint, state)
    return IncidentCard(
        endpoint,
        state,
        incident,
        failure_groups.group(_failures(incident)) if incident else [],
        waiting_counts.read_backlog(session, endpoint.id),
        waiting_counts.has_failed(session, endpoint.id),
    )


def _failures(incident: Incident) -> Iterator[Failure]:
    # Most bodies of an incident are the same to the byte.
    known: dict[tuple[bytes, bytes], str] = {}
    for each in incident.failures:
        key = each.head if _is_packed(each.head) else b"", each.body
        if key not in known:
            known[key] = _text(each)
        text = known[key] or each.detail
        yield Failure(each.delivery_id, each.event_type, each.at, each.outcome, each.status, text)


def _is_packed(head: bytes) -> bool:
    """Return whether the head says how to read the body."""
    lowered = head.lower()
    return b"content-encoding" in lowered or b"charset" in lowered


def _text(failure: FailedAttempt) -> str:
    if not failure.body:
        return ""
    _, headers = text_display.parse_header_block(failure.head)
    content = response_text.decode_body(headers, failure.body, is_cut=failure.is_cut).content
    return failure_groups.find_message(content) if isinstance(content, str) else ""
