from datetime import UTC, datetime, timedelta

import pytest

from webhooks_app.core.outcomes import Outcome, OutcomeClass, classify_status
from webhooks_app.core.retry_schedule import JITTER
from webhooks_app.db.models.delivery_tables import FINAL_STATES, DeliveryState
from webhooks_app.worker.retry_decision import RetryDecision, decide

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DELAYS = (5.0, 300.0, 1_800.0)
FINAL = {OutcomeClass.SUCCESS, OutcomeClass.HTTP_410, OutcomeClass.CRASHED, OutcomeClass.PAYLOAD}
PASSING = [kind for kind in OutcomeClass if kind not in FINAL]


def decided(
    outcome: Outcome, attempts: int = 1, chance: float = 0, delays: tuple[float, ...] = DELAYS
) -> RetryDecision:
    """What becomes of the delivery."""
    decision = decide(outcome, attempts_in_schedule=attempts, delays=delays, chance=chance, now=NOW)
    return RetryDecision(decision.state, decision.next_attempt_at)


def pause(outcome: Outcome, attempts: int = 1) -> timedelta | None:
    """How long the endpoint is left alone."""
    decision = decide(outcome, attempts_in_schedule=attempts, delays=DELAYS, chance=0, now=NOW)
    until = decision.pause_endpoint_until
    return until - NOW if until else None


def due_in(seconds: float) -> RetryDecision:
    return RetryDecision(DeliveryState.PENDING, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("attempts", [1, 2, 3, 4, 100])
def test_a_success_is_delivered_at_whatever_try(attempts: int) -> None:
    assert decided(Outcome(OutcomeClass.SUCCESS, status=204), attempts) == RetryDecision(
        DeliveryState.DELIVERED, None
    )


@pytest.mark.parametrize("kind", [OutcomeClass.HTTP_410, OutcomeClass.CRASHED, OutcomeClass.PAYLOAD])
def test_what_trying_again_would_not_help_fails_at_once(kind: OutcomeClass) -> None:
    assert decided(Outcome(kind)) == RetryDecision(DeliveryState.FAILED, None)


@pytest.mark.parametrize("kind", PASSING)
def test_any_other_failure_is_tried_again_by_the_schedule(kind: OutcomeClass) -> None:
    assert [decided(Outcome(kind), attempts) for attempts in (1, 2, 3)] == [due_in(delay) for delay in DELAYS]


@pytest.mark.parametrize("kind", PASSING)
def test_the_last_failure_of_the_schedule_fails_the_delivery(kind: OutcomeClass) -> None:
    assert decided(Outcome(kind), attempts=len(DELAYS)).state is DeliveryState.PENDING
    for attempts in (len(DELAYS) + 1, len(DELAYS) + 50):
        assert decided(Outcome(kind), attempts) == RetryDecision(DeliveryState.FAILED, None)


def test_chance_spreads_the_retry() -> None:
    assert decided(Outcome(OutcomeClass.TIMEOUT), chance=0.5) == due_in(5 * (1 + JITTER / 2))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("3600", 3_600), ("1", 5), ("0", 5), ("soon", 5), ("-9", 5), ("", 5), ("9" * 30, 86_400)),
        *(("Wed, 04 Mar 2026 05:16:07 GMT", 600), ("Wed, 04 Mar 2026 05:00:00 GMT", 5)),
    ],
)
def test_a_retry_after_is_honoured(status: int, header: str, seconds: int) -> None:
    assert decided(Outcome(classify_status(status), status=status, retry_after=header)) == due_in(seconds)


@pytest.mark.parametrize("status", [0, 301, 400, 404, 408, 425, 500, 502, 504])
def test_a_retry_after_means_nothing_with_another_status(status: int) -> None:
    assert decided(Outcome(classify_status(status), status=status, retry_after="3600")) == due_in(5)


def test_a_retry_after_does_not_lengthen_the_schedule() -> None:
    outcome = Outcome(OutcomeClass.HTTP_429, status=429, retry_after="60")
    assert decided(outcome, attempts=len(DELAYS) + 1) == RetryDecision(DeliveryState.FAILED, None)


@pytest.mark.parametrize("status", [200, 410])
def test_a_retry_after_does_not_reopen_what_is_decided(status: int) -> None:
    assert decided(Outcome(classify_status(status), status=status, retry_after="60")).next_attempt_at is None


@pytest.mark.parametrize("attempts", [1, 3, 4])
@pytest.mark.parametrize("kind", OutcomeClass)
def test_what_is_pending_is_due_and_what_is_final_is_not(kind: OutcomeClass, attempts: int) -> None:
    found = decided(Outcome(kind), attempts)
    assert (found.state in FINAL_STATES) is (found.next_attempt_at is None)
    assert found.next_attempt_at is None or found.next_attempt_at > NOW


@pytest.mark.parametrize("attempts", [1, len(DELAYS) + 1], ids=["pending", "failed"])
@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("3600", 60), ("Wed, 04 Mar 2026 05:06:37 GMT", 30)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_pauses_the_endpoint_for_a_minute_at_most(
    status: int, header: str, seconds: int, attempts: int
) -> None:
    outcome = Outcome(classify_status(status), status=status, retry_after=header)
    assert pause(outcome, attempts) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("status", "header"), [(503, "0"), (503, "soon"), (503, ""), (500, "60"), (200, "60")]
)
def test_without_a_wait_asked_for_the_endpoint_is_not_paused(status: int, header: str) -> None:
    assert pause(Outcome(classify_status(status), status=status, retry_after=header)) is None


def test_a_test_is_attempted_once() -> None:
    failed = Outcome(OutcomeClass.TIMEOUT)
    decision = decide(failed, attempts_in_schedule=1, delays=DELAYS, chance=0, now=NOW, is_test=True)
    assert decision == RetryDecision(DeliveryState.FAILED, None)
