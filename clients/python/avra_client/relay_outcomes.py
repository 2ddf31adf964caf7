"""What follows for rows from what the platform said of them."""

from collections.abc import Mapping, Sequence

from avra_client.claimed_rows import Failing, OutboxRow, Outcomes
from avra_client.client import JsonText, NewEvent, Rejected, Result, SendError
from avra_client.relay_state import RelayLimits

# What the platform says of itself, whatever the row.
_OF_THE_PLATFORM = frozenset({408, 425, 429, 503})
_HOUR_MS = 3_600_000


def events(rows: Sequence[OutboxRow]) -> tuple[list[NewEvent], dict[str, str]]:
    """Return the rows as events, and of those that are none the reasons."""
    found, rejected = list[NewEvent](), dict[str, str]()
    for row in rows:
        try:
            row.data.encode()
            found.append(NewEvent(row.type, JsonText(row.data), row.id))
        except ValueError as error:
            rejected[row.id] = f"data is not the JSON of an object: {error}"
    return found, rejected


def outcomes(rows: Sequence[OutboxRow], results: Sequence[Result], rejected: Mapping[str, str]) -> Outcomes:
    """Return what came of the rows, by the results of those that were sent."""
    by_id = {row.id: row for row in rows}
    failed = [each for each in results if each.error and not is_own_fault(each)]
    return Outcomes(
        accepted={each.idempotency_key: each.sent.id for each in results if each.sent},
        rejected={**rejected, **{e.idempotency_key: str(e.error) for e in results if is_own_fault(e)}},
        released=[by_id[e.idempotency_key] for e in failed if e.error and not e.error.may_be_accepted],
        uncertain=[by_id[e.idempotency_key] for e in failed if e.error and e.error.may_be_accepted],
    )


def is_own_fault(result: Result) -> bool:
    """Return whether the platform refused this event for what it is."""
    return isinstance(result.error, Rejected) and result.error.is_about_event


def may_be_of_a_row(error: BaseException | None) -> bool:
    """Return whether a failure may come of what was sent: an answer such as 500, or none. Pure."""
    if not isinstance(error, SendError) or not error.may_be_accepted:
        return False
    return getattr(error, "status", 0) not in _OF_THE_PLATFORM


def is_suspected(row: OutboxRow, error: SendError | None, *, platform_answers: bool) -> bool:
    """Return whether a row that was sent alone may be why it failed: the platform did answer. Pure."""
    return may_be_of_a_row(error) and (platform_answers or row.failing_since is not None)


def fail(row: OutboxRow, reason: str, now: int, limits: RelayLimits, *, others_accepted_at: int) -> Failing:
    """Return when a suspected row is sent again: as long from now as it has failed so far. Pure.

    Never, once it has failed for `failing_hours` and another row was accepted meanwhile.
    """
    since = row.failing_since or now
    if now - since >= limits.failing_hours * _HOUR_MS and others_accepted_at > since:
        text = f"Not taken for {limits.failing_hours:g} hours, while others were; it may have been accepted"
        return Failing(f"{text}. {reason}", since, None)
    first, longest = limits.failing_pause_seconds, limits.longest_failing_pause_seconds
    return Failing(reason, since, now + int(min(max(first * 1000, now - since), longest * 1000)))
