import pytest
from sqlalchemy import String

from webhooks_app.core.outcomes import (
    LONGEST_DETAIL,
    Outcome,
    OutcomeClass,
    classify_status,
    latency_bucket,
    response_name,
)
from webhooks_app.db.models import Attempt


def test_what_only_a_newer_version_knows_is_read_as_a_failure_of_the_platform() -> None:
    assert OutcomeClass("of a newer version") is OutcomeClass.PLATFORM


def test_class_names_fit_their_column() -> None:
    assert max(len(kind.value) for kind in OutcomeClass) <= 20


def expected_class(status: int) -> OutcomeClass:
    if status in (410, 429):
        return OutcomeClass(f"http_{status}")
    names = {1: "http_1xx", 2: "success", 3: "http_3xx", 4: "http_4xx", 5: "http_5xx"}
    return OutcomeClass(names.get(status // 100, "invalid_response"))


def test_every_status_maps_to_its_class() -> None:
    for status in range(100, 1000):
        assert classify_status(status) is expected_class(status), status


@pytest.mark.parametrize("status", [0, -1, 99, 1000, 2000, 20_000])
def test_what_is_no_status_is_no_success(status: int) -> None:
    assert classify_status(status) is OutcomeClass.INVALID_RESPONSE


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        (OutcomeClass.SUCCESS, 204, "204"),
        (OutcomeClass.HTTP_4XX, 404, "404"),
        (OutcomeClass.HTTP_4XX, 0, "http_4xx"),
        (OutcomeClass.TIMEOUT, None, "timeout"),
        (OutcomeClass.CONNECTION_LOST, 200, "connection_lost"),  # before the end of the head
    ],
)
def test_an_end_is_counted_by_its_status_where_that_is_final(
    kind: OutcomeClass, status: int | None, name: str
) -> None:
    assert response_name(kind, status) == name


def test_an_outcome_is_whole_and_in_time_unless_it_says_otherwise() -> None:
    outcome = Outcome(OutcomeClass.SUCCESS)
    assert not outcome.truncated and not outcome.reached_deadline


def test_only_2xx_is_success() -> None:
    succeeded = [status for status in range(1000) if Outcome(classify_status(status)).is_success]
    assert succeeded == list(range(200, 300))


@pytest.mark.parametrize("kind", OutcomeClass)
def test_an_outcome_is_a_success_by_its_class_alone(kind: OutcomeClass) -> None:
    assert Outcome(kind, status=200).is_success is (kind is OutcomeClass.SUCCESS)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("quotes ch\udcffnked", r"quotes ch\xffnked"),
        ("NUL \0, escape \x1b[2J, turned \u202e", r"NUL \x00, escape \x1b[2J, turned \u202e"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("\udcff" * 200, r"\xff" * 75),
        ("Größe", "Größe"),
    ],
)
def test_a_detail_is_one_line_that_its_column_takes(given: str, kept: str) -> None:
    column = Attempt.__table__.columns["detail"].type
    detail = Outcome(OutcomeClass.INVALID_RESPONSE, given).detail
    assert detail == kept and detail.isprintable()
    assert isinstance(column, String)
    assert len(detail) <= LONGEST_DETAIL == column.length
    assert detail.encode()


def test_outcomes_do_not_share_their_timings() -> None:
    one, other = Outcome(OutcomeClass.DNS), Outcome(OutcomeClass.DNS)
    one.timings.total_us = 5
    assert other.timings.total_us == 0


@pytest.mark.parametrize(
    ("total_us", "bucket"),
    [
        *((0, 0), (999, 0), (1_000, 1), (1_999, 1), (2_000, 2), (3_999, 2), (4_000, 3)),
        *((7_999, 3), (8_000, 4), (1_023_999, 10), (1_024_000, 11), (30_000_000, 15)),
    ],
)
def test_a_bucket_holds_the_durations_up_to_a_power_of_two(total_us: int, bucket: int) -> None:
    assert latency_bucket(total_us) == bucket


def test_the_longest_deadline_fits_few_buckets() -> None:
    buckets = [latency_bucket(milliseconds * 1000) for milliseconds in range(30_001)]
    assert buckets == sorted(buckets)
    assert set(buckets) == set(range(16))
