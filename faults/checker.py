"""Compares the 202s that producers got, the requests that arrived and the rows in the database. Pure."""

import base64
import hashlib
import hmac
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from faults.evidence import USUAL_ENDS, Arrival, Evidence, Key

# Outcomes after which a delivery fails without a full schedule of attempts.
EARLY_FAILURES = ("http_410", "crashed")
# At most so long after the claim, whose time is in the signature, the keys of its endpoint are read.
CLAIM_SPAN = timedelta(seconds=5)
# Near the end of its time a key may sign or not: timestamps are whole seconds, and a rotation takes a while.
ROTATION_SPAN = timedelta(seconds=2)
# A delivery that is due for longer than this while workers run is stuck.
OVERDUE = timedelta(seconds=30)
# The fields of Findings that hold violations, in words.
VIOLATIONS = ("lost", "stuck", "altered", "unsigned", "doubled", "miscounted", "unexplained")


@dataclass(slots=True)
class Findings:
    """What the checker found: violations in words, and figures."""

    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    events: int = 0
    deliveries: int = 0
    arrivals: int = 0
    states: dict[str, int] = field(default_factory=dict)
    crashed: int = 0
    poisoned: int = 0
    duplicates: int = 0  # requests without a recorded attempt
    curl_repeats: int = 0  # requests that libcurl repeated after a cut connection
    unrecorded_claims: int = 0
    in_flight_at_kills: int = 0
    # Duplicates of deliveries that no killed process had in flight, beyond what is allowed for.
    beyond_kills: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Return a sentence for each violation, at most five of a kind."""
        found = [f"{name}: {each}" for name in VIOLATIONS for each in getattr(self, name)[:5]]
        if self.crashed > self.poisoned:
            found.append(f"given up: {self.crashed} failed as crashed, {self.poisoned} were poisoned")
        found += [f"duplicates: {each}" for each in self.beyond_kills[:5]]
        return found


def check(facts: Evidence) -> Findings:
    """Compare the facts with each other."""
    findings = Findings(
        events=len(facts.accepted),
        deliveries=len(facts.deliveries),
        arrivals=len(facts.arrivals),
        states=dict(Counter(row.state for row in facts.deliveries.values())),
        crashed=sum(row.last_outcome == "crashed" for row in facts.deliveries.values()),
        poisoned=facts.poisoned,
        in_flight_at_kills=facts.unrecorded_at_kills.total() + facts.claims_unseen,
    )
    _check_accepted(facts, findings)
    _check_ends(facts, findings)
    _check_counts(facts, findings)
    _check_queue(facts, findings)
    _check_arrivals(facts, findings)
    _check_duplicates(facts, findings)
    return findings


def _check_accepted(facts: Evidence, findings: Findings) -> None:
    fan_out = Counter(row.event_id for row in facts.deliveries.values())
    for event in facts.accepted:
        if event.event_id not in facts.events:
            findings.lost.append(f"{event.event_id} got its 202 and has no row")
        elif fan_out[event.event_id] != event.deliveries:
            had = fan_out[event.event_id]
            findings.lost.append(f"{event.event_id} has {had} deliveries, its 202 said {event.deliveries}")
    if facts.fan_out is not None:
        findings.lost += [
            f"{event_id} has {fan_out[event_id]} deliveries for {facts.fan_out} endpoints"
            for event_id in facts.events
            if fan_out[event_id] != facts.fan_out
        ]
    batch_ids = Counter(row.batch_id for row in facts.events.values())
    findings.doubled += [
        f"{batch_id} became {count} events" for batch_id, count in batch_ids.items() if count > 1
    ]


def _check_ends(facts: Evidence, findings: Findings) -> None:
    for row in facts.deliveries.values():
        if row.state not in facts.allowed_ends.get(row.endpoint_id, USUAL_ENDS) | {"pending"}:
            findings.lost.append(f"{row.id} ended {row.state}")
        if row.state == "delivered" and row.id not in facts.succeeded:
            findings.lost.append(f"{row.id} is delivered, and no 2xx was ever given for it")
        used = row.attempts_in_schedule
        is_early = used <= facts.schedule_length and row.last_outcome not in EARLY_FAILURES
        if row.state == "failed" and is_early:
            findings.lost.append(f"{row.id} failed with {row.last_outcome} after {used} attempts")


def _check_counts(facts: Evidence, findings: Findings) -> None:
    for row in facts.deliveries.values():
        if row.attempt_count not in (None, facts.attempts[row.id]):
            findings.miscounted.append(
                f"{row.id} counts {row.attempt_count} attempts and has {facts.attempts[row.id]}"
            )


def _check_queue(facts: Evidence, findings: Findings) -> None:
    pending = {row.id for row in facts.deliveries.values() if row.state == "pending"}
    findings.stuck += [f"{each} is pending and not in the queue" for each in pending - facts.queue.keys()]
    findings.stuck += [f"{each} is in the queue and not pending" for each in facts.queue.keys() - pending]
    for delivery_id in sorted(pending & facts.queue.keys()):
        overdue = facts.now - facts.queue[delivery_id].due_at
        if overdue > OVERDUE or not facts.may_be_pending:
            findings.stuck.append(f"{delivery_id} is still pending, due {overdue.total_seconds():.1f} s ago")


def _check_arrivals(facts: Evidence, findings: Findings) -> None:
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
    """Return whether every key in force at the claim has signed it, and no other key."""
    if not arrival.timestamp.isdecimal():
        return False
    at = datetime.fromtimestamp(int(arrival.timestamp), UTC)
    signatures = arrival.signature.split(" ")
    allowed = {
        _signature(arrival, body, key.secret)
        for key in keys
        if key.since - CLAIM_SPAN <= at and (key.until is None or at <= key.until)
    }
    required = {
        _signature(arrival, body, key.secret)
        for key in keys
        if key.since <= at and (key.until is None or at <= key.until - ROTATION_SPAN)
    }
    return signatures != [""] and required <= set(signatures) <= allowed


def _signature(arrival: Arrival, body: bytes, secret: bytes) -> str:
    """Return the `v1` signature as Standard Webhooks 1.0.0 defines it, without the platform's own code."""
    message = f"{arrival.delivery_id}.{arrival.timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()


def _possible_repeats(arrivals: list[Arrival]) -> int:
    """Count the cut requests that came once more as they were: libcurl repeats them, signature and all.

    A delivery that was claimed and not sent hides them from the comparison with its claims.
    """
    copies = Counter(arrival.signature for arrival in arrivals)
    return sum(arrival.answer.endswith("cut") and copies[arrival.signature] > 1 for arrival in arrivals)


def _check_duplicates(facts: Evidence, findings: Findings) -> None:
    """Find requests that no attempt and no claim accounts for.

    Each claim sends one request, which stays unrecorded if its worker dies. There are two exceptions. Where a
    connection was cut before any answer, libcurl itself repeats the request if it had used that connection
    before; such repeats are counted apart, up to the number of cuts. Where the database crashed, the last
    claims before the crash are gone, because workers do not wait for its disk.

    What is unrecorded must have been in flight at a kill, or have come after its lease where the scenario
    excuses that. Each delivery is judged on its own: what others had in flight excuses nothing.
    """
    unclaimed: list[str] = []
    arrivals: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in facts.arrivals:
        arrivals[arrival.delivery_id].append(arrival)
    for row in facts.deliveries.values():
        queued = facts.queue.get(row.id)
        claims = max(row.generation, queued.generation if queued else 0)
        recorded, arrived = facts.attempts[row.id], len(arrivals[row.id])
        findings.unrecorded_claims += claims - recorded
        beyond_claims = max(0, arrived - claims)
        cut = sum(arrival.answer.endswith("cut") for arrival in arrivals[row.id])
        findings.curl_repeats += min(beyond_claims, cut)
        repeats = min(beyond_claims, cut)
        duplicates = max(0, arrived - recorded - repeats)
        findings.duplicates += duplicates
        in_flight = facts.unrecorded_at_kills[row.id]
        if duplicates > in_flight + max(0, _possible_repeats(arrivals[row.id]) - repeats):
            findings.beyond_kills.append(
                f"{row.id} arrived {arrived} times: {claims} claims, {recorded} recorded, "
                f"{in_flight} in flight at a kill"
            )
        if beyond_claims > cut:
            unclaimed.append(
                f"{row.id} arrived {arrived} times: {claims} claims, {recorded} recorded, {cut} cut"
            )
    if len(findings.beyond_kills) <= facts.claims_unseen + facts.claims_lost:
        findings.beyond_kills = []
    if len(unclaimed) > facts.claims_lost:
        findings.unexplained += unclaimed
