from datetime import UTC, datetime, timedelta

import pytest

from webhooks_app.core.outcomes import Outcome, OutcomeClass, classify_status
from webhooks_app.core.retry_schedule import JITTER
from webhooks_app.db.models.delivery_tables import FINAL_STATES, DeliveryState
from webhooks_app.worker.retry_decision import RetryDecision, decide

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DELAYS = (5.0, 300.0, 1_800.0)
FINAL = {OutcomeClass.SUCCESS, OutcomeClass.HTTP_410, OutcomeClass.CRASHED}
PASSING = [kind for kind in OutcomeClass if kind not in FINAL]


def verdict(
    outcome: Outcome, tries: int = 1, chance: float = 0, delays: tuple[float, ...] = DELAYS
) -> RetryDecision:
    return decide(outcome, tries=tries, delays=delays, chance=chance, now=NOW)


def due_in(seconds: float) -> RetryDecision:
    return RetryDecision(DeliveryState.PENDING, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("tries", [1, 2, 3, 4, 100])
def test_a_success_is_delivered_at_whatever_try(tries: int) -> None:
    assert verdict(Outcome(OutcomeClass.SUCCESS, status=204), tries) == RetryDecision(
        DeliveryState.DELIVERED, None
    )


@pytest.mark.parametrize("kind", [OutcomeClass.HTTP_410, OutcomeClass.CRASHED])
def test_what_trying_again_would_not_help_fails_at_once(kind: OutcomeClass) -> None:
    assert verdict(Outcome(kind)) == RetryDecision(DeliveryState.FAILED, None)


@pytest.mark.parametrize("kind", PASSING)
def test_any_other_failure_is_tried_again_by_the_schedule(kind: OutcomeClass) -> None:
    assert [verdict(Outcome(kind), tries) for tries in (1, 2, 3)] == [due_in(delay) for delay in DELAYS]


@pytest.mark.parametrize("kind", PASSING)
def test_the_last_failure_of_the_schedule_fails_the_delivery(kind: OutcomeClass) -> None:
    assert verdict(Outcome(kind), tries=len(DELAYS)).state is DeliveryState.PENDING
    for tries in (len(DELAYS) + 1, len(DELAYS) + 50):
        assert verdict(Outcome(kind), tries) == RetryDecision(DeliveryState.FAILED, None)


def test_chance_spreads_the_retry() -> None:
    assert verdict(Outcome(OutcomeClass.TIMEOUT), chance=0.5) == due_in(5 * (1 + JITTER / 2))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("3600", 3_600), ("1", 5), ("0", 5), ("soon", 5), ("-9", 5), ("", 5), ("9" * 30, 86_400)),
        *(("Wed, 04 Mar 2026 05:16:07 GMT", 600), ("Wed, 04 Mar 2026 05:00:00 GMT", 5)),
    ],
)
def test_a_retry_after_is_honoured(status: int, header: str, seconds: int) -> None:
    assert verdict(Outcome(classify_status(status), status=status, retry_after=header)) == due_in(seconds)


@pytest.mark.parametrize("status", [0, 301, 400, 404, 408, 425, 500, 502, 504])
def test_a_retry_after_means_nothing_with_another_status(status: int) -> None:
    assert verdict(Outcome(classify_status(status), status=status, retry_after="3600")) == due_in(5)


def test_a_retry_after_does_not_lengthen_the_schedule() -> None:
    outcome = Outcome(OutcomeClass.HTTP_429, status=429, retry_after="60")
    assert verdict(outcome, tries=len(DELAYS) + 1) == RetryDecision(DeliveryState.FAILED, None)


@pytest.mark.parametrize("status", [200, 410])
def test_a_retry_after_does_not_reopen_what_is_decided(status: int) -> None:
    assert verdict(Outcome(classify_status(status), status=status, retry_after="60")).next_attempt_at is None


@pytest.mark.parametrize("tries", [1, 3, 4])
@pytest.mark.parametrize("kind", OutcomeClass)
def test_what_is_pending_is_due_and_what_is_final_is_not(kind: OutcomeClass, tries: int) -> None:
    found = verdict(Outcome(kind), tries)
    assert (found.state in FINAL_STATES) is (found.next_attempt_at is None)
    assert found.next_attempt_at is None or found.next_attempt_at > NOW
