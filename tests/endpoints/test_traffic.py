"""Reading sums of attempts: which bin, which name, and why attempts failed."""

from dataclasses import astuple
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Facet, TrafficCount
from webhooks_app.endpoints import traffic
from webhooks_app.endpoints.charts import PERIODS
from webhooks_app.extensions import db

NOW = datetime(2026, 3, 10, 12, 34, 56, tzinfo=UTC)
SLOT = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
HOUR = datetime(2026, 3, 10, 12, tzinfo=UTC)


def seed(database: WriteDatabase, *some: tuple[datetime, str, int, int], scope_id: str = "ep_1") -> None:
    rows = [
        {"scope_id": scope_id, "facet": Facet.RESPONSE, "starts_at": at, "minutes": 5, "name": name}
        | {"count": count, "failed": failed}
        for at, name, count, failed in some
    ]
    with database.begin() as connection:
        connection.execute(insert(TrafficCount), rows)


@pytest.mark.parametrize("key", PERIODS)
def test_attempts_lie_in_the_bin_of_their_time(database: WriteDatabase, key: str) -> None:
    period = PERIODS[key]
    since = period.since(NOW)
    seed(
        database,
        (SLOT, "200", 5, 0),
        (since, "404", 3, 3),
        (since + period.step - timedelta(minutes=5), "503", 4, 4),
        (since + period.step, "timeout", 2, 2),
        (since - timedelta(minutes=5), "200", 99, 0),
    )
    seed(database, (SLOT, "200", 1000, 0), scope_id="ep_2")

    found = traffic.read(db.session(), "ep_1", Facet.RESPONSE, period, NOW)

    assert {astuple(each)[:4] for each in found.counts} == {
        (0, "404", 3, 3),
        (0, "503", 4, 4),
        (1, "timeout", 2, 2),
        (period.bins - 1, "200", 5, 0),
    }
    assert (found.total, found.failed) == (14, 9)
    assert list(found.sums()) == ["200", "503", "404", "timeout"]
    assert traffic.read(db.session(), "ep_1", Facet.EVENT_TYPE, period, NOW).counts == []


def test_reasons_tell_one_code_from_another(database: WriteDatabase) -> None:
    # `http_4xx` is how attempts were counted by the version before this one.
    seed(
        database,
        (HOUR, "401", 2, 2),
        (SLOT, "404", 3, 3),
        (HOUR, "404", 1, 1),
        (HOUR, "http_4xx", 1, 1),
        (SLOT, "200", 9, 0),
        (SLOT, "timeout", 1, 1),
    )

    found = traffic.read(db.session(), "ep_1", Facet.RESPONSE, PERIODS["24h"], NOW)
    reasons = traffic.reasons(found.counts)

    assert [(each.label, each.count, each.last_at) for each in reasons] == [
        ("404, rejected", 4, SLOT),
        ("401, rejected", 2, HOUR),
        ("Rejected", 1, HOUR),
        ("Timed out", 1, SLOT),
    ]
    assert reasons[0].hint == "Check the URL’s path."
