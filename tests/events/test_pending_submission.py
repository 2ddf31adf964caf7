"""A submission that waits: who sends it, and that its producer is told once."""

import time

import pytest

from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.events.pending_submission import PendingSubmission, UnknownToken
from webhooks_app.events.submissions import NewEvent, Submission, SubmissionResult
from webhooks_app.events.subscribers import EventSource

EVENTS = [NewEvent.of("a", {}), NewEvent.of("b", {})]
TOKEN = LiveToken("tok_1", "ws_token", None)


class Pending(PendingSubmission):
    """One that notes what its producer is told."""

    def __init__(self, token_hash: str | None = None) -> None:
        self.told: list[SubmissionResult] = []
        super().__init__(Submission("ws_1", EVENTS), self.told.append, until=0.0, token_hash=token_hash)


def test_without_a_token_the_workspace_is_the_sender_of_each_event() -> None:
    assert [*Pending().senders()] == [EventSource(None, "ws_1", "a"), EventSource(None, "ws_1", "b")]


def test_with_a_token_that_is_the_sender() -> None:
    assert [*Pending("hash").senders()] == [EventSource("hash", None, "a"), EventSource("hash", None, "b")]


def test_a_token_that_may_send_gives_its_workspace() -> None:
    pending = Pending("hash")
    assert pending.identify({"hash": TOKEN, "other": LiveToken("tok_2", "ws_2", None)})
    assert (pending.token, pending.submission) == (TOKEN, Submission("ws_token", EVENTS))
    assert pending.told == []


@pytest.mark.parametrize(
    "tokens",
    [
        {},
        {"other": TOKEN},
        {"hash": LiveToken("tok_1", "ws_token", None, scopes=frozenset())},
        {"hash": LiveToken("tok_1", "ws_token", None, scopes=frozenset({TokenScope.EVENTS_READ}))},
    ],
)
def test_a_token_that_is_unknown_or_may_not_send_is_refused(tokens: dict[str, LiveToken]) -> None:
    pending = Pending("hash")
    assert not pending.identify(tokens)
    assert [type(each) for each in pending.told] == [UnknownToken]
    assert (pending.token, pending.submission.workspace_id) == (None, "ws_1")


def test_where_no_token_is_asked_for_none_is_looked_up() -> None:
    pending = Pending()
    assert pending.identify({})
    assert (pending.token, pending.submission.workspace_id, pending.told) == (None, "ws_1", [])


def test_a_refusal_is_kept_and_told() -> None:
    pending, refusal = Pending(), ValueError("no")
    assert pending.refusal is None
    pending.refuse(refusal)
    assert pending.refusal is refusal
    assert pending.told == [refusal]


def test_its_producer_is_told_once() -> None:
    pending = Pending()
    assert not pending.is_resolved
    pending.resolve([])
    pending.resolve(ValueError("late"))
    assert (pending.told, pending.is_resolved) == ([[]], True)


def test_a_producer_that_cannot_be_told_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_outcome: SubmissionResult) -> None:
        raise ValueError("gone")

    pending = PendingSubmission(Submission("ws_1", EVENTS), fail, until=0.0)
    pending.resolve([])
    pending.resolve([])
    assert [record.message for record in caplog.records] == ["outcome_callback_failed"]


def test_it_waits_since_it_was_made() -> None:
    before = time.monotonic()
    pending = Pending()
    assert before <= pending.since <= time.monotonic()
