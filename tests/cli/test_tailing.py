"""What is accepted and what becomes of it, as `avra events tail` sees it, against a real platform."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from tests.cli.test_api_client import IMPATIENT
from tests.conftest import Workspace
from tests.receivers import Answer, Receiver
from tests.server.running_server import serving
from tests.waiting import wait_for
from tests.web.api.conftest import new_api
from tests.worker.attempted import deliveries, make_due
from webhooks_app.cli import tail_display
from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.api_client import ApiClient
from webhooks_app.cli.profiles import Profile
from webhooks_app.cli.tailing import Tailing, TailLimits, moment_of
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import Delivery
from webhooks_app.worker.engine import DeliveryEngine

Events = list[tuple[str, str, int]]


@pytest.fixture
def client(app: Flask, workspace: Workspace) -> Iterator[ApiClient]:
    token = new_api(workspace).token
    with (
        serving(app) as server,
        ApiClient(Profile("test", f"http://127.0.0.1:{server.port}", token), IMPATIENT) as client,
    ):
        yield client


def read_new(tailing: Tailing) -> Events:
    return [(each["kind"], each["status"], each["attempts"]) for each in tailing.read_new()]


def test_attempts_follow_what_was_accepted(
    client: ApiClient,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
) -> None:
    workspace.endpoint(receiver.url)
    tailing = Tailing(client, {})
    workspace.send()
    assert read_new(tailing) == [("accepted", "pending", 0)]
    receiver.answer = Answer(503, b"down")
    engine.run(seconds=60)
    [failed] = tailing.read_new()
    assert (failed["kind"], failed["last_status"], failed["status"]) == ("attempt", 503, "retrying")
    assert failed["next_attempt_at"] > failed["last_attempt_at"]
    assert read_new(tailing) == []
    receiver.answer = Answer()
    make_due(database)
    engine.run(seconds=60)
    assert read_new(tailing) == [("attempt", "delivered", 2)]
    asked_before = client.requests_sent
    assert read_new(tailing) == []
    assert client.requests_sent == asked_before + 1  # nothing is open any more


def test_what_ended_between_two_looks_has_both_lines(
    client: ApiClient, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    tailing, events_only = Tailing(client, {}), Tailing(client, {}, with_attempts=False)
    workspace.send()
    engine.run(seconds=60)
    assert read_new(tailing) == [("accepted", "delivered", 1), ("attempt", "delivered", 1)]
    assert read_new(events_only) == [("accepted", "delivered", 1)]


def test_what_is_canceled_without_an_attempt_is_told(client: ApiClient, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/hooks")
    tailing = Tailing(client, {})
    workspace.send()
    [row] = tailing.read_new()
    client.request("POST", f"/deliveries/{row['id']}/cancel")
    assert read_new(tailing) == [("state", "canceled", 0)]


def test_the_past_and_filters_are_heeded(client: ApiClient, workspace: Workspace) -> None:
    first, _ = workspace.endpoint("https://a.example.com/"), workspace.endpoint("https://b.example.com/")
    workspace.send(2)
    with_past = Tailing(client, {"endpoint": first}, since_seconds=3600)
    assert [each["endpoint_id"] for each in with_past.read_new()] == [first] * 2
    assert read_new(with_past) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_a_slower_transaction_commits_later_is_not_missed(
    client: ApiClient, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {})
    workspace.send(2)
    first, second = (each.id for each in deliveries())

    def move(to: str) -> None:
        with database.begin() as connection:
            connection.execute(update(Delivery).where(Delivery.id == first).values(workspace_id=to))

    move("ws_other")
    assert [each["id"] for each in tailing.read_new()] == [second]
    move(workspace.id)
    assert [each["id"] for each in tailing.read_new()] == [first]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_committed_late_is_not_missed_though_looks_have_found_nothing(
    client: ApiClient, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {}, limits=TailLimits(overlap_seconds=0.1))
    workspace.send()
    [late] = (each.id for each in deliveries())

    def move(to: str) -> None:
        with database.begin() as connection:
            connection.execute(update(Delivery).where(Delivery.id == late).values(workspace_id=to))

    move("ws_other")
    for _ in range(3):
        assert read_new(tailing) == []
        time.sleep(0.2)
    move(workspace.id)
    assert [each["id"] for each in tailing.read_new()] == [late]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_is_not_missed_behind_however_many_that_came_meanwhile(
    client: ApiClient, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {})
    workspace.send(201)

    def change(**values: Any) -> None:
        with database.begin() as connection:
            connection.execute(update(Delivery).where(Delivery.id == first).values(**values))

    first = deliveries()[0].id
    with database.begin() as connection:
        connection.execute(update(Delivery).values(created_at=clock.now()))
    change(workspace_id="ws_other")
    assert len(read_new(tailing)) == 200
    assert read_new(tailing) == []
    change(workspace_id=workspace.id)
    assert [each["id"] for each in tailing.read_new()] == [first]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_look_that_finds_nothing_is_cheap_once_the_overlap_is_over(
    client: ApiClient, workspace: Workspace
) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {}, with_attempts=False, limits=TailLimits(overlap_seconds=1.0))
    workspace.send(150)
    assert len(read_new(tailing)) == 150

    def requests_of_a_round() -> int:
        before = client.requests_sent
        assert read_new(tailing) == []
        return client.requests_sent - before

    wait_for(lambda: requests_of_a_round() == 1)
    workspace.send()
    assert read_new(tailing) == [("accepted", "pending", 0)]


# How much a request reads is a matter of the machine's speed otherwise.
FEW_ROWS = SearchLimits(rows=20, seconds=60, chunk_rows=20)


@pytest.mark.parametrize("app", [{"search_limits": FEW_ROWS}], indirect=True, ids=["few_rows"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_filter_that_never_matches_is_not_asked_of_what_was_looked_through(
    client: ApiClient, workspace: Workspace
) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {"q": "not there"}, limits=TailLimits(late_seconds=0.5))
    workspace.send(50)

    def requests_of_a_round() -> int:
        before = client.requests_sent
        assert read_new(tailing) == []
        return client.requests_sent - before

    assert requests_of_a_round() > 1
    wait_for(lambda: requests_of_a_round() == 1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_more_than_a_look_shows_is_left_out_for_good(client: ApiClient, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {}, with_attempts=False, limits=TailLimits(most_new=3))
    workspace.send(3)
    assert (len(read_new(tailing)), tailing.has_left_out) == (3, False)
    workspace.send(5)
    assert (len(read_new(tailing)), tailing.has_left_out) == (3, True)
    assert (read_new(tailing), tailing.has_left_out) == ([], False)


@pytest.mark.parametrize(
    ("date", "is_read"),
    [
        ("Thu, 26 Nov 2026 16:00:00 GMT", True),
        ("Thu, 26 Nov 2026 16:00:00 -0000", True),
        ("Thu, 26 Nov 2026 16:00:00 GMT, Thu, 26 Nov 2026 16:00:01 GMT", True),
        ("Thu, 26 Nov 99999999999999999999 16:00:00 GMT", False),
        ("", False),
    ],
)
def test_any_date_of_an_answer_is_read_or_left(date: str, is_read: bool) -> None:
    assert moment_of(date) == (datetime(2026, 11, 26, 16, tzinfo=UTC) if is_read else None)


class Before:
    """The platform as it was before it told what becomes of deliveries."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "ids=" in environ["QUERY_STRING"]:
            environ["QUERY_STRING"] = "unknown=1"
        return self._app(environ, start_response)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_a_platform_of_the_version_before_what_is_accepted_is_shown_still(
    app: Flask, workspace: Workspace
) -> None:
    workspace.endpoint("https://a.example.com/")
    token, told = new_api(workspace).token, list[str]()
    with (
        serving(Before(app)) as server,
        ApiClient(Profile("test", f"http://127.0.0.1:{server.port}", token), IMPATIENT) as client,
    ):
        tailing = Tailing(client, {}, tell=told.append)
        for _ in range(3):
            workspace.send()
            assert read_new(tailing) == [("accepted", "pending", 0)]
    [sentence] = told
    assert "only what is accepted" in sentence


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_look_costs_two_requests_however_much_is_open(client: ApiClient, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {}, limits=TailLimits(overlap_seconds=0.0))
    workspace.send(250)
    assert len(read_new(tailing)) == 250
    assert read_new(tailing) == []
    asked_before = client.requests_sent
    for _ in range(3):
        assert read_new(tailing) == []
    assert client.requests_sent == asked_before + 6
    for each in deliveries():
        client.request("POST", f"/deliveries/{each.id}/cancel")
    found = [event for _ in range(3) for event in read_new(tailing)]
    assert found == [("state", "canceled", 0)] * 250  # each comes to its turn


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_look_that_failed_is_made_up_for(client: ApiClient, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    tailing = Tailing(client, {})
    workspace.send()
    [row] = tailing.read_new()
    url = client.profile.url
    client.request("POST", f"/deliveries/{row['id']}/cancel")
    workspace.send()
    object.__setattr__(client.profile, "url", "http://127.0.0.1:9")
    with pytest.raises(ApiFailure):
        read_new(tailing)
    object.__setattr__(client.profile, "url", url)
    assert read_new(tailing) == [("state", "canceled", 0), ("accepted", "pending", 0)]


ROW: dict[str, Any] = {
    "id": "dlv_1",
    "event_id": "evt_1",
    "event_type": "batch-request",
    "endpoint_name": "Orders\x1b[2J",
    "kind": "attempt",
    "status": "retrying",
    "attempts": 2,
    "last_outcome": "timeout",
    "last_status": None,
    "last_detail": "No answer\x07",
    "last_duration_ms": 5003,
    "created_at": clock.format_rfc3339(clock.now()),
    "last_attempt_at": clock.format_rfc3339(clock.now()),
    "next_attempt_at": clock.format_rfc3339(clock.now() + timedelta(days=2)),
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"kind": "accepted", "status": "held"},
            "batch-request  dlv_1  Orders\\x1b[2J  accepted  evt_1  held, as the endpoint is disabled",
        ),
        (
            {},
            "batch-request  dlv_1  Orders\\x1b[2J  \x1b[31mTimed out\x1b[0m  5003 ms  No answer\\x07"
            "  attempt 2; next at {next}",
        ),
        (
            {
                "status": "failed",
                "next_attempt_at": None,
                "last_status": 410,
                "last_outcome": "http_410",
                "last_detail": None,
            },
            "batch-request  dlv_1  Orders\\x1b[2J  \x1b[31m410 Gone\x1b[0m  5003 ms"
            "  attempt 2; failed, not tried again",
        ),
        (
            {"status": "delivered", "last_outcome": "success", "last_status": 200, "last_detail": None},
            "batch-request  dlv_1  Orders\\x1b[2J  \x1b[32m200\x1b[0m  5003 ms  attempt 2",
        ),
        ({"last_outcome": "new_class", "last_detail": None, "status": "canceled"}, "new_class"),
        ({"kind": "state", "status": "canceled"}, "dlv_1  Orders\\x1b[2J  canceled"),
        (
            {"kind": "state", "status": "\x9b2J", "event_type": "a\x7f", "id": "\u202e1"},
            "a\\x7f  \\u202e1  Orders\\x1b[2J  \\u009b2J",
        ),
        ({"kind": "accepted", "event_id": "evt\x9b"}, "accepted  evt\\u009b"),
    ],
)
def test_a_line_says_what_happened(changes: dict[str, Any], told: str) -> None:
    next_at = datetime.fromisoformat(ROW["next_attempt_at"]).astimezone()
    assert told.format(next=f"{next_at:%Y-%m-%d %H:%M:%S}") in tail_display.line(ROW | changes)


def test_a_platform_that_tells_no_detail_has_its_line_too() -> None:
    row = {name: value for name, value in ROW.items() if name != "last_detail"}
    assert "Timed out\x1b[0m  5003 ms  attempt 2" in tail_display.line(row)
