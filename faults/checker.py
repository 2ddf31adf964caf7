"""Compares what was promised (the 202s), what arrived (the receiver's journal) and the rows. Pure."""

import base64
import hashlib
import hmac
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

# Ends of a delivery that need no full schedule behind them.
EARLY_ENDS = ("http_410", "crashed")
# How a delivery may end where nobody disabled or deleted its endpoint.
USUAL_ENDS = frozenset({"delivered", "failed"})
# From a claim, whose moment the request is signed with, to the look at its endpoint's keys.
CLAIM_SPAN = timedelta(seconds=5)
# Around the end of a key's time, as timestamps count whole seconds and a rotation takes its moment.
ROTATION_SPAN = timedelta(seconds=2)
# Past its due time by more than this, with workers running, a delivery is stuck.
OVERDUE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Promise:
    """A 202."""

    event_id: str
    deliveries: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that the receiver read to its end; `answer` is what it then did."""

    delivery_id: str
    sha256: str
    timestamp: str
    signature: str
    answer: str = "200"


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key, in force for certain from `since` on, and never after `until`."""

    secret: bytes
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    body: bytes
    name: str  # as the producer called it: two rows of one name are one event accepted twice


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    id: str
    event_id: str
    endpoint_id: str
    state: str
    generation: int
    tries: int
    last_outcome: str | None


@dataclass(frozen=True, slots=True)
class QueueRow:
    due_at: datetime
    generation: int


@dataclass(slots=True)
class Facts:
    promises: list[Promise]
    arrivals: list[Arrival]
    succeeded: set[str]  # deliveries that the receiver answered with a 2xx
    events: dict[str, EventRow]
    deliveries: dict[str, DeliveryRow]
    queue: dict[str, QueueRow]
    attempts: "Counter[str]"  # recorded attempts by delivery
    keys: dict[str, list[Key]]
    schedule_length: int
    in_flight_at_kills: int
    now: datetime
    claims_lost: int = 0  # those that a crash of the database may have taken back after they were sent
    poisoned: int = 0  # the deliveries that may be given up because they kill their workers
    fan_out: int | None = None  # the deliveries that each event must have, promised or not
    may_end: dict[str, frozenset[str]] = field(default_factory=dict)  # by endpoint; else USUAL_ENDS
    may_wait: bool = False  # whether what is pending and not overdue is as it should be


@dataclass(slots=True)
class Findings:
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    events: int = 0
    deliveries: int = 0
    arrivals: int = 0
    states: dict[str, int] = field(default_factory=dict)
    crashed: int = 0
    poisoned: int = 0
    # Requests that no recorded attempt stands for.
    duplicates: int = 0
    curl_repeats: int = 0
    lapsed_claims: int = 0
    in_flight_at_kills: int = 0

    def violations(self) -> list[str]:
        named = ("lost", "stuck", "altered", "unsigned", "doubled", "unexplained")
        found = [f"{name}: {each}" for name in named for each in getattr(self, name)[:5]]
        if self.crashed > self.poisoned:
            found.append(f"given up: {self.crashed} failed as crashed, {self.poisoned} were poisoned")
        if self.duplicates > self.in_flight_at_kills:
            found.append(
                f"duplicates: {self.duplicates} with {self.in_flight_at_kills} in flight at the kills"
            )
        return found


def check(facts: Facts) -> Findings:
    findings = Findings(
        events=len(facts.promises),
        deliveries=len(facts.deliveries),
        arrivals=len(facts.arrivals),
        states=dict(Counter(row.state for row in facts.deliveries.values())),
        crashed=sum(row.last_outcome == "crashed" for row in facts.deliveries.values()),
        poisoned=facts.poisoned,
        in_flight_at_kills=facts.in_flight_at_kills,
    )
    _check_promises(facts, findings)
    _check_ends(facts, findings)
    _check_queue(facts, findings)
    _check_arrivals(facts, findings)
    _check_duplicates(facts, findings)
    return findings


def _check_promises(facts: Facts, findings: Findings) -> None:
    fan_out = Counter(row.event_id for row in facts.deliveries.values())
    for promise in facts.promises:
        if promise.event_id not in facts.events:
            findings.lost.append(f"{promise.event_id} got its 202 and has no row")
        elif fan_out[promise.event_id] != promise.deliveries:
            had = fan_out[promise.event_id]
            findings.lost.append(f"{promise.event_id} has {had} deliveries, promised {promise.deliveries}")
    if facts.fan_out is not None:
        findings.lost += [
            f"{event_id} has {fan_out[event_id]} deliveries for {facts.fan_out} endpoints"
            for event_id in facts.events
            if fan_out[event_id] != facts.fan_out
        ]
    names = Counter(row.name for row in facts.events.values())
    findings.doubled += [f"{name} became {count} events" for name, count in names.items() if count > 1]


def _check_ends(facts: Facts, findings: Findings) -> None:
    for row in facts.deliveries.values():
        if row.state not in facts.may_end.get(row.endpoint_id, USUAL_ENDS) | {"pending"}:
            findings.lost.append(f"{row.id} ended {row.state}")
        if row.state == "delivered" and row.id not in facts.succeeded:
            findings.lost.append(f"{row.id} is delivered, and no 2xx was ever given for it")
        is_early = row.tries <= facts.schedule_length and row.last_outcome not in EARLY_ENDS
        if row.state == "failed" and is_early:
            findings.lost.append(f"{row.id} failed with {row.last_outcome} after {row.tries} tries")


def _check_queue(facts: Facts, findings: Findings) -> None:
    pending = {row.id for row in facts.deliveries.values() if row.state == "pending"}
    findings.stuck += [f"{each} is pending and not in the queue" for each in pending - facts.queue.keys()]
    findings.stuck += [f"{each} is in the queue and not pending" for each in facts.queue.keys() - pending]
    for delivery_id in sorted(pending & facts.queue.keys()):
        overdue = facts.now - facts.queue[delivery_id].due_at
        if overdue > OVERDUE or not facts.may_wait:
            findings.stuck.append(f"{delivery_id} still pends, due {overdue.total_seconds():.1f} s ago")


def _check_arrivals(facts: Facts, findings: Findings) -> None:
    hashes = {event_id: hashlib.sha256(row.body).hexdigest() for event_id, row in facts.events.items()}
    for arrival in facts.arrivals:
        row = facts.deliveries.get(arrival.delivery_id)
        if row is None:
            findings.altered.append(f"{arrival.delivery_id} arrived and has no row")
        elif hashes[row.event_id] != arrival.sha256:
            findings.altered.append(f"{arrival.delivery_id} arrived with other bytes than its event's")
        elif not _is_signed(arrival, facts.events[row.event_id].body, facts.keys.get(row.endpoint_id, [])):
            findings.unsigned.append(f"{arrival.delivery_id} arrived without a valid signature")


def _is_signed(arrival: Arrival, body: bytes, keys: list[Key]) -> bool:
    """By every key that was in force when it was claimed, and by none that was not."""
    if not arrival.timestamp.isdecimal():
        return False
    at = datetime.fromtimestamp(int(arrival.timestamp), UTC)
    given = arrival.signature.split(" ")
    allowed = {
        _signature(arrival, body, key.secret)
        for key in keys
        if key.since - CLAIM_SPAN <= at and (key.until is None or at <= key.until)
    }
    demanded = {
        _signature(arrival, body, key.secret)
        for key in keys
        if key.since <= at and (key.until is None or at <= key.until - ROTATION_SPAN)
    }
    return given != [""] and demanded <= set(given) <= allowed


def _signature(arrival: Arrival, body: bytes, secret: bytes) -> str:
    """Written from the Standard Webhooks specification, not with the platform's own code."""
    message = f"{arrival.delivery_id}.{arrival.timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()


def _check_duplicates(facts: Facts, findings: Findings) -> None:
    """A request beyond the recorded attempts needs a claim whose worker died, and each claim sends once.

    Except where a connection was cut before any answer: libcurl then sends again by itself when it had used
    that connection before. Those are counted apart, and only what exceeds the claims can be one. And except
    where the database crashed: workers do not wait for the disk, so the last claims before it are forgotten.
    """
    unclaimed: list[str] = []
    arrivals: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in facts.arrivals:
        arrivals[arrival.delivery_id].append(arrival)
    for row in facts.deliveries.values():
        waiting = facts.queue.get(row.id)
        claims = max(row.generation, waiting.generation if waiting else 0)
        recorded, came = facts.attempts[row.id], len(arrivals[row.id])
        findings.lapsed_claims += claims - recorded
        beyond_claims = max(0, came - claims)
        cut = sum(arrival.answer.endswith("cut") for arrival in arrivals[row.id])
        findings.curl_repeats += min(beyond_claims, cut)
        findings.duplicates += max(0, came - recorded - min(beyond_claims, cut))
        if beyond_claims > cut:
            unclaimed.append(
                f"{row.id} arrived {came} times: {claims} claims, {recorded} recorded, {cut} cut"
            )
    if len(unclaimed) > facts.claims_lost:
        findings.unexplained += unclaimed
