"""The delivery log: filters, pages, attempts, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from webhooks_app.core import clock, ids, text_display
from webhooks_app.core.outcomes import OutcomeClass, Timings
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Delivery, DeliveryState, Event, PendingDelivery
from webhooks_app.deliveries import cancellations, log, replays
from webhooks_app.deliveries.cancellations import CancelResult
from webhooks_app.deliveries.log import FilterError, LogFilter, LogPage, search
from webhooks_app.deliveries.log.attempts import Phase, phases
from webhooks_app.deliveries.log.filters import cursor
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine


def page(
    workspace: Workspace, before: str = "", after: str = "", limit: int = 25, **arguments: str
) -> LogPage:
    db.session.rollback()
    wanted = log.parse(arguments)
    return log.page(
        db.session(), workspace.id, wanted, now=clock.now(), before=before, after=after, limit=limit
    )


def found(workspace: Workspace, **arguments: str) -> list[str]:
    """All pages of a filter, newest first."""
    seen, before = [], ""
    while True:
        got = page(workspace, before, limit=3, **arguments)
        seen += [row.id for row in got.rows]
        if not got.older:
            return seen
        before = got.older


def change(database: WriteDatabase, delivery_id: str, **values: object) -> None:
    with database.begin() as connection:
        connection.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def claim(database: WriteDatabase, delivery_id: str, *, lease: timedelta = timedelta(minutes=1)) -> None:
    """As a worker does that is sending it now; with a lease in the past, as one did that died since."""
    now = clock.now()
    with database.begin() as connection:
        mine = update(PendingDelivery).where(PendingDelivery.delivery_id == delivery_id)
        connection.execute(mine.values(claimed_at=now, next_attempt_at=now + lease))


def newest_ids(workspace: Workspace) -> list[str]:
    db.session.rollback()
    mine = select(Delivery.id).where(Delivery.workspace_id == workspace.id)
    return list(db.session.scalars(mine.order_by(Delivery.id.desc())))


# ---- Pages


def test_pages_show_every_delivery_once_while_others_come_in(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(17)
    expected = newest_ids(workspace)

    seen, before = [], ""
    while True:
        got = page(workspace, before, limit=5)
        seen += [row.id for row in got.rows]
        workspace.send(2)
        if not got.older:
            break
        before = got.older

    assert seen == expected


def test_newer_leads_back_over_the_same_pages(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(12)
    first = page(workspace, limit=5)
    second = page(workspace, first.older, limit=5)
    third = page(workspace, second.older, limit=5)

    assert (first.newer, third.older) == ("", "")
    assert [row.id for row in page(workspace, after=third.newer, limit=5).rows] == [
        row.id for row in second.rows
    ]
    back = page(workspace, after=second.newer, limit=5)
    assert ([row.id for row in back.rows], back.newer) == ([row.id for row in first.rows], "")


def test_a_workspace_sees_only_its_own(
    workspace: Workspace, make_workspace: Callable[[str], Workspace]
) -> None:
    other = make_workspace("Other")
    for each in (workspace, other):
        each.endpoint("https://a.example.com/")
        each.send(2)

    mine, theirs = newest_ids(workspace), newest_ids(other)
    assert found(workspace) == mine
    assert found(workspace, q=theirs[0]) == []
    assert found(workspace, status="pending") == mine
    assert log.read_rows(db.session(), workspace.id, theirs) == []


# ---- Filters


def test_filters_find_what_they_name_and_combine(workspace: Workspace, database: WriteDatabase) -> None:
    first = workspace.endpoint("https://a.example.com/")
    workspace.endpoint("https://b.example.com/", name="Other")
    workspace.send(3)
    rows = newest_ids(workspace)
    db.session.rollback()
    owner = dict(db.session.execute(select(Delivery.id, Delivery.endpoint_id)).all())
    timed_out, refused = [each for each in rows if owner[each] == first][:2]
    change(database, timed_out, last_outcome="timeout", attempt_count=1, last_status=200)
    change(database, refused, state=DeliveryState.FAILED, last_outcome="http_410", last_status=410)
    with database.begin() as connection:
        connection.execute(update(Delivery).where(Delivery.id == rows[-1]).values(event_type="batch-request"))

    assert found(workspace, status="retrying") == [timed_out]
    assert found(workspace, status="failed") == [refused]
    assert found(workspace, endpoint=first) == [each for each in rows if owner[each] == first]
    assert found(workspace, event_type="batch-request") == [rows[-1]]
    assert found(workspace, response="timeout") == [timed_out]
    assert found(workspace, response="4xx") == [refused]
    assert found(workspace, response="http_410") == [refused]
    assert found(workspace, response="2xx") == []
    assert found(workspace, status="failed", endpoint=first, response="4xx") == [refused]
    assert found(workspace, status="failed", response="5xx") == []
    assert found(workspace, q=timed_out) == [timed_out]
    assert found(workspace, q=f"att_{timed_out.removeprefix('dlv_')}0001") == [timed_out]
    assert found(workspace, q=timed_out, status="failed") == []
    assert set(found(workspace, status="pending")) == set(rows) - {refused}


def test_an_event_id_finds_its_deliveries(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.endpoint("https://b.example.com/")
    event_id = workspace.send(3)[1]

    rows = page(workspace, q=event_id).rows

    assert [row.event_id for row in rows] == [event_id] * 2
    assert log.count_of_event(db.session(), workspace.id, event_id) == 2


@pytest.mark.parametrize("text", ["nächtlich", '"note": "nächtlich', "50%_'"])
def test_payload_text_is_found_as_typed(workspace: Workspace, text: str) -> None:
    workspace.endpoint("https://a.example.com/")
    [event_id] = workspace.send(1, note="nächtlich, 50%_'")
    workspace.send(1, note="Nächtlic 50x")

    assert [row.event_id for row in page(workspace, q=text).rows] == [event_id]


def test_a_claimed_delivery_is_sending(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(2)
    claimed, waiting = newest_ids(workspace)
    claim(database, claimed)

    assert found(workspace, status="sending") == [claimed]
    assert [row.status for row in page(workspace).rows] == ["sending", "pending"]
    versions = {row.id: row.version for row in page(workspace).rows}
    assert versions[claimed] != versions[waiting].replace(waiting, claimed)


def test_the_time_range_bounds_the_ids(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    [event_id] = workspace.send()
    [recent] = newest_ids(workspace)
    at = clock.now() - timedelta(days=3)
    old = ids.floor("dlv", at)
    values = {"id": old, "workspace_id": workspace.id, "endpoint_id": endpoint_id, "event_id": event_id}
    with database.begin() as connection:
        connection.execute(
            insert(Delivery).values(
                **values, event_type="batch-request", state=DeliveryState.DELIVERED, created_at=at
            )
        )

    assert found(workspace, range="24h") == [recent]
    assert found(workspace, range="7d") == [recent, old]
    before, after = (f"{at + timedelta(minutes=shift):%Y-%m-%dT%H:%M}" for shift in (-2, 2))
    assert found(workspace, **{"from": before, "until": after}) == [old]


def test_a_rare_match_is_searched_for_in_steps(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BUDGET_SECONDS", 60)  # a busy machine must not cut it shorter
    monkeypatch.setattr(search, "LOOKED_AT", 4)
    monkeypatch.setattr(search, "PAYLOAD_WINDOW", 2)
    workspace.endpoint("https://a.example.com/")
    [event_id] = workspace.send(1, note="needle")
    workspace.send(9)

    steps = [page(workspace, q="needle")]
    while steps[-1].older:
        steps.append(page(workspace, steps[-1].older, q="needle"))

    assert [len(step.rows) for step in steps] == [0, 0, 1]
    assert steps[0].searched_to is not None
    assert steps[-1].rows[0].event_id == event_id
    assert steps[-1].searched_to is None


def test_new_deliveries_are_counted_up_to_a_bound(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    [newest] = newest_ids(workspace)

    def count(**arguments: str) -> int:
        db.session.rollback()
        return log.count_newer(db.session(), workspace.id, log.parse(arguments), newest, now=clock.now())

    assert count() == 0
    workspace.send(3)
    assert (count(), count(event_type="batch-request"), count(q="nothing")) == (3, 0, 0)
    workspace.send(40)
    assert count() == log.NEW_COUNTED + 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"status": "gone"},
        {"endpoint": "ep_1"},
        {"event_type": "<b>"},
        {"response": "6xx"},
        {"range": "1y"},
        {"from": "yesterday"},
        {"from": "0001-01-01T00:00+23:00"},
        {"from": "2025-01-02T00:00", "until": "2025-01-01T00:00"},
        {"q": "dlv_123"},
        {"q": "x" * 201},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(FilterError) as refused:
        log.parse(arguments)
    assert refused.value.field in arguments


@pytest.mark.parametrize(
    "value", ["x", "dlv_", "dlv_" + "z" * 26, "evt_" + "0" * 26, "dlv_" + "0" * 25 + "1\0"]
)
def test_a_tampered_cursor_is_refused(value: str) -> None:
    with pytest.raises(FilterError):
        cursor({"before": value})


def test_a_filter_survives_its_own_arguments() -> None:
    wanted = LogFilter(
        q="text",
        status=log.Status.HELD,
        endpoint=ids.new("ep"),
        event_type="batch-request",
        response="5xx",
        range="custom",
        since=datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
        until=datetime(2025, 1, 2, 3, 5, 6, tzinfo=UTC),
    )
    assert log.parse(wanted.arguments) == wanted
    assert log.parse(replace(wanted, range="7d", since=None, until=None).arguments).range == "7d"
    assert log.parse({}).arguments == {}


# ---- Attempts and payload


def test_attempts_come_newest_first_with_their_phases(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(503, b"\x00\xff", {"X-Trace": "abc"}, delay_seconds=0.05)
    engine.run(seconds=5)
    row = page(workspace).rows[0]

    [attempt] = log.read_attempts(db.session(), row.id, row.attempt_count, full=True)

    assert (attempt.number, attempt.response, attempt.died) == (1, "503", False)
    assert {phase.name: phase.ms for phase in attempt.phases}["Wait"] >= 45
    assert abs(sum(phase.ms for phase in attempt.phases) - attempt.total_ms) < 0.01
    assert (attempt.response_body, attempt.is_truncated) == (b"\x00\xff", False)
    assert attempt.id == f"att_{row.id.removeprefix('dlv_')}0001"
    db.session.rollback()
    body = db.session.scalars(select(Event.body)).one()
    assert log.read_payload(db.session(), row.event_id, limit=10) == (body[:10], len(body))
    assert (row.status, row.response, row.tries) == ("retrying", "503", 1)


def timings(**values: object) -> object:
    return type("Row", (), {"status": None, "remote_address": None, **vars_of(Timings()), **values})


def vars_of(item: Timings) -> dict[str, int]:
    return {name: getattr(item, name) for name in Timings.__slots__}


@pytest.mark.parametrize(
    ("outcome", "values", "names"),
    [
        ("success", {"first_byte_us": 900, "total_us": 1000, "status": 200}, ["Wait", "Download"]),
        ("dns", {"total_us": 1000}, ["DNS"]),
        ("connect", {"dns_us": 10, "total_us": 1000}, ["DNS", "Connect"]),
        ("tls", {"dns_us": 10, "connect_us": 20, "total_us": 1000}, ["DNS", "Connect", "TLS"]),
        ("timeout", {"dns_us": 10, "total_us": 1000}, ["DNS", "Connect"]),
        ("timeout", {"remote_address": "::1", "total_us": 1000}, ["Wait"]),
        (
            "timeout",
            {"connect_us": 5, "first_byte_us": 9, "total_us": 1000, "status": 200},
            ["Connect", "Wait", "Download"],
        ),
        ("secret", {}, []),
    ],
)
def test_the_last_phase_is_where_it_ended(outcome: str, values: dict[str, object], names: list[str]) -> None:
    result = phases(timings(**values), OutcomeClass(outcome))
    assert [phase.name for phase in result] == names
    assert all(isinstance(phase, Phase) and phase.ms > 0 for phase in result)


def test_unseen_bytes_become_escapes() -> None:
    content = "a\u202eb\u200f\r\nc\td".encode() + b"\x00\xff\x9b"
    assert text_display.flatten(content) == "a\\u202eb\\u200f\nc\td\\x00\\xff\\x9b"
    assert [part.text for part in text_display.display_parts(content) if part.is_escape][:1] == ["\\u202e"]
    assert text_display.flatten("日本語 ünïcode 👩‍👩".encode()).startswith("日本語 ünïcode")


def test_indenting_changes_no_token() -> None:
    sent = '{"a":1.10,"b":[],"c":{"d":[1,{"e":"x: {,}\\""}]},"big":12345678901234567890,"f":{}}'
    shown = text_display.indent_json(sent)
    assert shown.splitlines()[:3] == ["{", '  "a": 1.10,', '  "b": [],']
    assert '"e": "x: {,}\\""' in shown
    assert shown.replace("\n", "").replace(" ", "") == sent.replace(" ", "")


def test_curl_quotes_for_the_shell_and_leaves_masked_values_out() -> None:
    command = text_display.curl_command(
        "https://a.example.com/", [("a", "b"), ("X-Key", "***")], "{'$(id)'}", mask="***"
    )
    assert "-H 'X-Key: YOUR X-Key VALUE'" in command
    assert command.endswith("""--data-raw '{'\\''$(id)'\\''}'""")


# ---- Cancel and replay


def test_cancel_ends_a_waiting_delivery_and_says_why_not(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(2)
    claimed, waiting = newest_ids(workspace)
    claim(database, claimed)

    assert cancellations.cancel(database, workspace.id, waiting, actor=TESTER) is CancelResult.CANCELED
    assert cancellations.cancel(database, workspace.id, waiting, actor=TESTER) is CancelResult.FINISHED
    assert cancellations.cancel(database, workspace.id, claimed, actor=TESTER) is CancelResult.IN_FLIGHT
    db.session.rollback()
    assert db.session.get_one(Delivery, waiting).state is DeliveryState.CANCELED
    audited = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "delivery.cancel")).all()
    assert [entry.target for entry in audited] == [waiting]


def test_what_a_dead_worker_held_can_be_canceled_and_replayed(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(2)
    first, second = newest_ids(workspace)
    for delivery_id in (first, second):
        claim(database, delivery_id)
        assert (
            replays.start(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
            is ReplayResult.IN_FLIGHT
        )
        assert found(workspace, status="sending") == [delivery_id]
        claim(database, delivery_id, lease=timedelta(seconds=-1))

    assert found(workspace, status="sending") == []
    assert [(row.status, row.can_cancel, row.can_send_now) for row in page(workspace).rows] == [
        ("pending", True, True)
    ] * 2
    assert replays.start(database, wake_ups, workspace.id, first, actor=TESTER) is ReplayResult.SENT_NOW
    assert cancellations.cancel(database, workspace.id, second, actor=TESTER) is CancelResult.CANCELED


def test_several_replays_are_one_action_with_a_result_each(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(2)
    engine.run(seconds=5)
    workspace.send()

    results = replays.start_several(database, wake_ups, workspace.id, newest_ids(workspace), actor=TESTER)

    assert results == {ReplayResult.STARTED: 2, ReplayResult.SENT_NOW: 1}
    engine.run(seconds=5)
    assert len(receiver.received) == 5
