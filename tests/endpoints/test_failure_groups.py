"""Failures that say the same are one group, whatever ids, numbers and times they put in."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.endpoints.failure_groups import (
    READ_CHARACTERS,
    SHOWN_CHARACTERS,
    Failure,
    find_message,
    group,
    normalize,
)

NOW = datetime(2025, 11, 23, 14, 2, tzinfo=UTC)
# So far apart that no pause of the machine makes one way of growing look like the other.
READ_OR_LONGER = (READ_CHARACTERS // 8, READ_CHARACTERS, 100 * READ_CHARACTERS)


def failure(text: str, status: int | None = 404, *, minute: int = 0, event: str = "batch-request") -> Failure:
    kind = {404: OutcomeClass.HTTP_4XX, 403: OutcomeClass.HTTP_4XX, 503: OutcomeClass.HTTP_5XX}
    outcome = kind[status] if status else OutcomeClass.TIMEOUT
    return Failure(f"dlv_{minute}", event, NOW + timedelta(minutes=minute), outcome, status, text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("column batch_status does not exist", "column batch_status does not exist"),
        ("batch_7Q2M91xk not found", "… not found"),
        ("no row with id 018f4e2a-9c1b-7d55-8a11-0242ac120002", "no row with id …"),
        ("trace 9f86d081884c7d65 at 0x7ffe", "trace … at …"),
        ("2025-11-23T14:02:07.123Z: try again", "…: try again"),
        ("took 1,284 ms, of 5.0 s", "took … ms, of … s"),
        ("10.0.0.7:5432 refused", "… refused"),
        ("request-id: dGhpcyBpcyBhIHRva2Vu1Q==", "request-id: …"),
        ("a\n  b\t c", "a b c"),
        ("HTTP/1.1 and utf8 stay as words do", "HTTP/… and utf8 stay as words do"),
    ],
)
def test_what_differs_from_one_to_the_next_is_left_out(text: str, normal: str) -> None:
    assert normalize(text) == normal


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"error": {"code": "x", "message": "no such column"}}', "no such column"),
        ('{"errors": [{"detail": "too old"}, {"detail": "other"}]}', "too old"),
        ('{"Message": "Forbidden"}', "Forbidden"),
        ('{"ok": false, "code": 7}', '{"ok": false, "code": 7}'),
        ('{"message": "cut', '{"message": "cut'),
        ("[" * 5000, "[" * READ_CHARACTERS),
        ("<!doctype html><title>502 Bad Gateway</title><body>x", "502 Bad Gateway"),
        ("<html><style>a{}</style><body>upstream <b>connect</b> error", "upstream connect error"),
        ("plain\r\n text", "plain text"),
        ("\u202egnp\0", "\\u202egnp\\x00"),
        ("", ""),
    ],
)
def test_the_sentence_in_a_body_is_found(body: str, message: str) -> None:
    assert find_message(body) == message


def test_alike_failures_are_one_group_and_the_largest_is_first() -> None:
    failures = [failure("no event evt_1", 503, minute=90)]
    failures += [failure(f"batch_{number:06}a is unknown", minute=number) for number in range(131)]
    failures += [failure("batch_000001a is unknown", 403, event="batch-lifecycle")]

    groups = group(failures)

    assert [(each.count, each.code, each.text) for each in groups] == [
        (131, "404", "… is unknown"),
        (1, "403", "batch_000001a is unknown"),
        (1, "503", "no event evt_1"),
    ]
    assert groups[0].newest.delivery_id == "dlv_130"
    assert groups[0].hint == "Check the URL’s path."
    assert groups[1].event_types == ("batch-lifecycle",)


def test_without_an_answer_the_class_stands_for_the_code() -> None:
    [found] = group([failure("after 5 s", None), failure("after 6 s", None)])
    assert (found.count, found.code, found.text) == (2, "Timed out", "after … s")
    assert found.hint.startswith("Acknowledge first")


def test_a_long_text_is_cut() -> None:
    [found] = group([failure("x" * 10_000)])
    assert len(found.text) == SHOWN_CHARACTERS
    assert found.text.endswith("…")


@pytest.mark.parametrize("unit", ["a1", "a-", "1.", "<", "<title", "{", "a_", "=", "0x", "aaaaaaaa-"])
def test_no_text_takes_long(unit: str) -> None:
    eighth, whole, long = (unit * (characters // len(unit)) for characters in READ_OR_LONGER)
    whole_seconds = seconds_to_group(whole)
    # Eight times an eighth, or 64 times where each unit looks at the others.
    assert whole_seconds < 24 * seconds_to_group(eighth)
    # As much, or a hundred times where what is beyond READ_CHARACTERS is looked at.
    assert seconds_to_group(long) < 24 * whole_seconds


def seconds_to_group(body: str) -> float:
    """Of processor time, which other processes take none of; the least of some."""
    seconds = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(5):
            group([failure(find_message(body)), failure(find_message(f"<html>{body}"))])
        seconds.append(time.process_time() - began)
    return min(seconds)
