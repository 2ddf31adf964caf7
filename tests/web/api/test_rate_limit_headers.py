"""The rate limit of a token over HTTP: what is counted, what is said, and to whom."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.conftest import TESTER, Workspace
from tests.events.token_clock import TokenClock, hand_in
from tests.reading import json_of
from tests.server.running_server import serving
from tests.web.api.conftest import Api
from webhooks_app.accounts import api_tokens
from webhooks_app.client import Client, NewEvent, Retries
from webhooks_app.db.models import TokenAllowance
from webhooks_app.extensions import services

EVENT: dict[str, Any] = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "queued"}}
POLICY = '"events";q=20;w=20;qu="events"'
_LEFT = re.compile(r'"events";r=(\d+);t=(\d+)')


@pytest.fixture
def token_clock(monkeypatch: pytest.MonkeyPatch) -> TokenClock:
    return hand_in(monkeypatch)


@pytest.fixture
def limited(workspace: Workspace, token_clock: TokenClock) -> Api:
    """A program that may send 20 events at once, and one a second."""
    token = api_tokens.create(
        services().write, workspace.id, "limited", rate_per_second=1, burst=20, actor=TESTER
    )
    return Api(workspace.app, token)


def send(api: Api, count: int = 1, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if count == 1:
        return api.call("POST", "/events", EVENT, named)
    return api.call("POST", "/events/batch", {"events": [EVENT] * count}, named)


def left(answer: TestResponse) -> tuple[int, int]:
    found = _LEFT.fullmatch(answer.headers["RateLimit"])
    assert found
    return int(found[1]), int(found[2])


def test_each_answer_says_what_is_left_and_a_batch_counts_its_events(limited: Api) -> None:
    single = send(limited)
    assert single.status_code == 202
    assert single.headers["RateLimit-Policy"] == POLICY
    assert left(single) == (19, 1)
    batch = send(limited, 12)
    assert batch.status_code == 202
    assert left(batch) == (7, 13)


def test_what_is_beyond_it_is_429_in_either_shape_and_fits_after_the_wait(
    limited: Api, token_clock: TokenClock
) -> None:
    assert send(limited, 20).status_code == 202
    refused = send(limited, 2)
    assert refused.status_code == 429
    error = json_of(refused)["error"]
    assert (error["code"], error["field"]) == ("rate_limited", None)
    assert "1 events a second, 20 at once" in error["message"]
    assert refused.headers["RateLimit-Policy"] == POLICY
    seconds = int(refused.headers["Retry-After"])
    assert seconds == 2
    assert left(refused)[1] == seconds

    problem = send(limited, 15, Accept="application/problem+json")
    assert (problem.status_code, problem.mimetype) == (429, "application/problem+json")
    described: Any = json.loads(problem.data)
    assert (described["status"], described["code"]) == (429, "rate_limited")
    assert int(problem.headers["Retry-After"]) == 15

    token_clock.seconds += seconds
    assert send(limited, 2).status_code == 202


def test_a_batch_that_can_never_fit_is_told_so(limited: Api) -> None:
    refused = send(limited, 21)
    assert refused.status_code == 422
    error = json_of(refused)["error"]
    assert (error["code"], error["field"]) == ("larger_than_rate_limit", "events")
    assert "20 events at once, and the batch has 21" in error["message"]
    assert send(limited, 20).status_code == 202


def test_what_is_wrong_and_what_is_read_counts_for_nothing(limited: Api) -> None:
    event = json_of(send(limited))["id"]
    for _ in range(30):
        assert limited.call("POST", "/events", EVENT | {"data": {}}).status_code == 422
        assert limited.get(f"/events/{event}").status_code == 200
    assert send(limited, 19).status_code == 202


def test_tokens_have_limits_of_their_own_and_others_hear_of_none(limited: Api, workspace: Workspace) -> None:
    assert send(limited, 20).status_code == 202
    other = send(Api(workspace.app, workspace.token), 200)
    assert other.status_code == 202
    assert "RateLimit" not in other.headers
    assert "RateLimit-Policy" not in other.headers


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_holds_an_allowance_keeps_nobody_else_waiting(limited: Api, workspace: Workspace) -> None:
    assert send(limited).status_code == 202
    with services().write.begin() as other:
        other.execute(select(TokenAllowance.token_id).with_for_update())
        refused = send(limited, 15)
        assert send(Api(workspace.app, workspace.token)).status_code == 202
    assert (refused.status_code, json_of(refused)["error"]["code"]) == (503, "unavailable")
    assert send(limited, 15).status_code == 202


def test_refusals_are_counted_by_their_reason(limited: Api) -> None:
    send(limited, 20)
    send(limited, 20)
    send(limited, 21)
    counted = services(limited.app).counters.snapshot()
    assert counted["events_refused\trate_limited"] == 1
    assert counted["events_refused\tlarger_than_rate_limit"] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_client_waits_as_long_as_it_is_asked_and_makes_batches_that_fit(
    limited: Api, workspace: Workspace, token_clock: TokenClock
) -> None:
    def sleep(seconds: float) -> None:
        token_clock.seconds += seconds

    retries = Retries(now=lambda: token_clock.seconds, sleep=sleep)
    events = [NewEvent(EVENT["type"], EVENT["data"], str(number)) for number in range(60)]
    with (
        serving(workspace.app) as server,
        Client(
            f"http://127.0.0.1:{server.port}", limited.token, deadline_seconds=600, retries=retries
        ) as client,
    ):
        results = client.send_many(events)
        single = client.send(EVENT["type"], EVENT["data"])
    assert [each.error for each in results] == [None] * 60
    assert single.deliveries == 0
    assert token_clock.seconds >= 61 - 20
    refused = services(workspace.app).counters.snapshot()
    assert refused["events_refused\trate_limited"] >= 1
    assert refused["events_refused\tlarger_than_rate_limit"] >= 1
