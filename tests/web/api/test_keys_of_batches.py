"""Idempotency keys of batches, and of events within them, on both databases."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Workspace
from tests.web.api.events import EVENT, count
from webhooks_app.db.models import AcceptedBatch, Delivery, Event

BATCH = "/api/v1/events/batch"
OTHER = EVENT | {"data": {"batch_id": "b2", "status": "failed"}}


def keyed(event: dict[str, Any], key: str) -> dict[str, Any]:
    return event | {"idempotency_key": key}


def test_a_repeat_of_a_batch_is_answered_as_the_first_and_says_so(
    workspace: Workspace, post: Callable[..., Any]
) -> None:
    workspace.endpoint("https://a.example.com/")
    body = {"events": [EVENT, OTHER]}
    first, second = (post(body, BATCH, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    answers = [[(each["id"], each["deliveries"]) for each in one.json["events"]] for one in (first, second)]
    assert answers[0] == answers[1]
    assert [each["repeated"] for each in first.json["events"] + second.json["events"]] == [
        *(False, False),
        *(True, True),
    ]
    assert count(Event) == count(Delivery) == 2


@pytest.mark.parametrize(
    "events", [[EVENT], [EVENT, EVENT], [OTHER, EVENT], [EVENT, OTHER, EVENT], [EVENT, keyed(OTHER, "a")]]
)
def test_another_batch_under_a_used_key_is_409_and_stores_nothing(
    post: Callable[..., Any], events: list[Any]
) -> None:
    post({"events": [EVENT, OTHER]}, BATCH, **{"Idempotency-Key": "k"})
    refused = post({"events": events}, BATCH, **{"Idempotency-Key": "k"})
    assert refused.status_code == 409
    assert (refused.json["error"]["code"], refused.json["error"]["field"]) == (
        "idempotency_key_reused",
        "Idempotency-Key",
    )
    assert (count(Event), count(AcceptedBatch)) == (2, 1)


def test_one_key_used_by_many_batches_at_once_makes_one(app: Flask, workspace: Workspace) -> None:
    answers: list[Any] = []

    def send() -> None:
        headers = workspace.headers | {"Idempotency-Key": "same"}
        answers.append(app.test_client().post(BATCH, json={"events": [EVENT, OTHER]}, headers=headers))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({each["id"] for answer in answers for each in answer.json["events"]}) == 2
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count(None) == 1
    assert count(Event) == 2


def test_a_key_of_its_own_makes_an_event_one_whichever_batch_it_comes_in(
    workspace: Workspace, post: Callable[..., Any]
) -> None:
    workspace.endpoint("https://a.example.com/")
    first = post({"events": [keyed(EVENT, "a"), EVENT]}, BATCH).json["events"]
    again = post({"events": [OTHER, keyed(EVENT, "a")]}, BATCH)
    alone = post(EVENT, **{"Idempotency-Key": "a"})
    assert [each["repeated"] for each in again.json["events"]] == [False, True]
    assert "Idempotent-Replayed" not in again.headers
    assert again.json["events"][1]["id"] == first[0]["id"] == alone.json["id"]
    assert again.json["events"][1]["deliveries"] == 1
    assert alone.headers["Idempotent-Replayed"] == "true"
    assert count(Event) == count(Delivery) == 3


def test_an_events_key_that_is_another_events_refuses_the_whole_batch(post: Callable[..., Any]) -> None:
    post({"events": [keyed(EVENT, "a")]}, BATCH)
    refused = post({"events": [EVENT, keyed(OTHER, "a"), OTHER]}, BATCH, **{"Idempotency-Key": "k"})
    error = refused.json["error"]
    assert (refused.status_code, error["code"]) == (409, "idempotency_key_reused")
    assert error["field"] == "events[1].idempotency_key"
    assert (count(Event), count(AcceptedBatch)) == (1, 0)
    assert post({"events": [EVENT]}, BATCH, **{"Idempotency-Key": "k"}).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "é", 5, ["a"]])
def test_an_unusable_key_of_an_event_is_refused(post: Callable[..., Any], key: Any) -> None:
    refused = post({"events": [EVENT, keyed(EVENT, key)]}, BATCH)
    assert (refused.status_code, refused.json["error"]["field"]) == (422, "events[1].idempotency_key")


def test_two_events_of_a_batch_have_two_keys(post: Callable[..., Any]) -> None:
    refused = post({"events": [keyed(EVENT, "a"), EVENT, keyed(EVENT, "a")]}, BATCH)
    assert (refused.status_code, refused.json["error"]["field"]) == (422, "events[2].idempotency_key")
    assert count(Event) == 0


def test_a_thousand_repeats_are_answered_at_once(workspace: Workspace, post: Callable[..., Any]) -> None:
    body = {"events": [keyed(EVENT, f"row-{number}") for number in range(1000)]}
    first, second = (post(body, BATCH) for _ in range(2))
    assert [each["id"] for each in first.json["events"]] == [each["id"] for each in second.json["events"]]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert count(Event) == 1000
