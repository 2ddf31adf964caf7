"""How the producer client tries again, and when it gives up."""

import logging
import time
import traceback
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.answering_platform import (
    DATA,
    TOKEN,
    Answer,
    Clock,
    Handler,
    Platform,
    accept,
    answer,
    busy,
    hang,
    hang_up,
    hang_up_midway,
    refuse,
    serving,
    speak_no_http,
)
from tests.answering_platform import client as client
from tests.answering_platform import clock as clock
from tests.answering_platform import platform as platform
from tests.free_ports import free_port
from webhooks_app.client import (
    Client,
    NewEvent,
    SendError,
    Unavailable,
)


@pytest.mark.parametrize(
    "trouble",
    [
        *(answer(status) for status in (408, 425, 500, 502, 504, 507, 520)),
        *(busy, answer(429, Retry_After="0"), hang_up, hang_up_midway, speak_no_http),
    ],
    ids=[
        "408",
        "425",
        "500",
        "502",
        "504",
        "507",
        "520",
        "503",
        "429",
        "hang-up",
        "hang-up-midway",
        "no-http",
    ],
)
def test_trouble_that_passes_is_tried_again_as_the_same_event(
    client: Client, platform: Platform, trouble: Answer
) -> None:
    platform.script = [trouble, accept]
    assert client.send("batch-lifecycle", DATA).id == "evt_1"
    first, second = platform.requests
    assert first[1]["Idempotency-Key"] == second[1]["Idempotency-Key"]
    assert first[2] == second[2]


def test_what_is_waited_for_is_logged_once(
    client: Client, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    client.send("batch-lifecycle", DATA)
    assert caplog.record_tuples == []
    platform.script = [busy, busy, busy, accept]
    client.send("batch-lifecycle", DATA)
    said = f"The platform at {platform.url} cannot take it now (503). Trying again for up to 30 s."
    assert caplog.record_tuples == [("avra_client", logging.WARNING, said)]
    caplog.clear()
    platform.script = [busy, busy, accept]
    client.limited_to(tries=3).send("batch-lifecycle", DATA)
    assert caplog.record_tuples == [], "whoever limits it says what it waits for"


def test_trouble_that_stays_is_tried_until_the_deadline_with_pauses_that_grow(
    client: Client, platform: Platform, clock: Clock
) -> None:
    platform.script = [busy]
    with pytest.raises(Unavailable, match=f"{platform.url} cannot take it now \\(503\\)") as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.status == 503
    assert caught.value.__notes__ == [f"Tried {len(platform.keys)} times in {clock.seconds:.0f} s."]
    assert len(set(platform.keys)) == 1
    assert 27 <= clock.seconds < 30, "what is left is less than a pause"
    longest = [min(0.2 * 2**turn, 3) for turn in range(len(clock.pauses))]
    assert all(most / 2 <= pause <= most for pause, most in zip(clock.pauses, longest, strict=True))


def test_a_caller_that_goes_on_by_itself_has_it_tried_a_few_times(
    client: Client, platform: Platform, clock: Clock
) -> None:
    platform.script = [busy]
    with pytest.raises(Unavailable):
        client.limited_to(tries=4).send("batch-lifecycle", DATA)
    assert len(platform.keys) == 4 and len(clock.pauses) == 3


def test_a_platform_that_comes_up_within_the_deadline_gets_the_event(clock: Clock) -> None:
    port = free_port()
    with ExitStack() as running, Client(f"http://127.0.0.1:{port}", TOKEN, retries=clock.retries) as client:
        clock.events[10] = lambda: running.enter_context(serving(port))
        assert client.send("batch-lifecycle", DATA).id == "evt_1"
        assert 10 <= clock.seconds < 13


def test_a_connection_that_the_platform_closed_meanwhile_is_replaced(
    client: Client, platform: Platform
) -> None:
    def accept_and_leave(handler: Handler) -> None:
        accept(handler)
        handler.close_connection = True

    platform.script = [accept_and_leave]
    for _ in range(3):
        client.send("batch-lifecycle", DATA)
    assert len(set(platform.keys)) == 3


def test_retry_after_is_waited_for(client: Client, platform: Platform, clock: Clock) -> None:
    platform.script = [answer(429, Retry_After="7"), accept]
    client.send("batch-lifecycle", DATA)
    assert clock.pauses == [7]


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_past_the_deadline_is_left_to_the_caller(
    client: Client, platform: Platform, status: int
) -> None:
    platform.script = [answer(status, Retry_After="60")]
    started_at = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.retry_after == 60
    assert len(platform.requests) == 1
    assert time.monotonic() - started_at < 30


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("9" * 400, 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00", 0),
        ("7", 7),
    ],
)
def test_any_retry_after_is_understood_or_ignored(
    client: Client, platform: Platform, value: str, seconds: float | None
) -> None:
    platform.script = [answer(429, Retry_After=value)]
    with pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.retry_after == seconds


def test_a_retry_after_may_be_a_date(client: Client, platform: Platform) -> None:
    asked = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    platform.script = [answer(503, Retry_After=asked)]
    with pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.retry_after is not None
    assert 3000 < caught.value.retry_after <= 3600


def test_a_platform_that_hangs_is_given_up_after_the_timeout(platform: Platform) -> None:
    platform.script = [hang, accept]
    started_at = time.monotonic()
    with Client(platform.url, TOKEN, timeout=(5, 0.5)) as client:
        assert client.send("batch-lifecycle", DATA).id == "evt_1"
    assert 0.5 <= time.monotonic() - started_at < 30


def test_all_tries_together_end_at_the_deadline(platform: Platform) -> None:
    platform.script = [hang]
    started_at = time.monotonic()
    with (
        Client(platform.url, TOKEN, timeout=(60, 60), deadline_seconds=0.3) as client,
        pytest.raises(Unavailable, match=f"{platform.url} does not answer: it took too long"),
    ):
        client.send("batch-lifecycle", DATA)
    assert time.monotonic() - started_at < 30


def test_https_where_http_is_spoken_is_said(platform: Platform, clock: Clock) -> None:
    with (
        Client(platform.url.replace("http:", "https:"), TOKEN, retries=clock.retries) as client,
        pytest.raises(Unavailable, match=r"is it http://\?$"),
    ):
        client.send("batch-lifecycle", DATA)
    assert clock.pauses == [], "it is not going to change"


@pytest.mark.parametrize(
    ("host", "why"), [("127.0.0.1", "connection refused"), ("nowhere.invalid", "there is no such host")]
)
def test_a_platform_that_is_not_there_is_unavailable_and_named(clock: Clock, host: str, why: str) -> None:
    port = free_port()
    with (
        Client(f"http://user:secret@{host}:{port}/hooks", TOKEN, retries=clock.retries) as client,
        pytest.raises(Unavailable, match=f"platform at http://{host}:{port}/hooks does not .*: {why}"),
    ):
        client.send("batch-lifecycle", DATA)


def test_what_was_not_handed_over_when_the_platform_broke_is_not_accepted(
    client: Client, platform: Platform
) -> None:
    platform.script = [hang_up]
    results = client.limited_to(tries=1).send_many([NewEvent("batch-lifecycle", DATA) for _ in range(1500)])
    errors = [each.error for each in results]
    assert [error.may_be_accepted for error in errors if error] == [True] * 1000 + [False] * 500
    assert {str(error) for error in errors[1000:]} == {"Not sent: the platform was unavailable."}


def test_a_failure_is_one_exception(clock: Clock) -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", TOKEN, retries=clock.retries) as client,
        pytest.raises(Unavailable) as caught,
    ):
        client.send("batch-lifecycle", DATA)
    assert (caught.value.status, caught.value.retry_after) == (0, None)
    assert not caught.value.may_be_accepted
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1


def test_a_failure_names_the_key_with_which_to_send_again(client: Client, platform: Platform) -> None:
    platform.script = [answer(429, Retry_After="60"), accept]
    with pytest.raises(Unavailable) as caught:
        client.send("batch-lifecycle", DATA)
    client.send("batch-lifecycle", DATA, idempotency_key=caught.value.idempotency_key)
    assert platform.keys[0] == platform.keys[1]


@pytest.mark.parametrize(
    ("script", "may_be_accepted"),
    [
        ([hang_up], True),
        ([answer(503, Retry_After="60")], True),
        ([answer(429, Retry_After="60")], False),
        ([refuse(422, "invalid_data", "This is why.", "data.batch_id")], False),
        ([hang_up, refuse(401, "unauthorized", "It was revoked meanwhile.")], True),
        ([answer(202, b"<html>")], True),
    ],
    ids=["no-answer", "503", "429", "422", "no-answer-then-401", "another-202"],
)
def test_a_failure_says_whether_the_event_may_be_accepted_all_the_same(
    client: Client, platform: Platform, script: list[Answer], may_be_accepted: bool
) -> None:
    platform.script = script
    with pytest.raises(SendError) as caught:
        client.send("batch-lifecycle", DATA)
    assert caught.value.may_be_accepted is may_be_accepted
