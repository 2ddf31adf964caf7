"""Endpoints put by their names: by many at once, and as they are."""

import threading
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import named_endpoints
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.endpoints.named_endpoints import AmbiguousName, PutResult
from webhooks_app.endpoints.optimistic_lock import ChangedMeanwhile
from webhooks_app.extensions import db, services

VALUES = EndpointValues(
    name="Billing", url="https://a.example.com/", all_events=False, event_types=["batch-request"]
)


def put(app: Flask, workspace: Workspace, values: EndpointValues = VALUES) -> PutResult:
    found = services(app)
    return named_endpoints.put(found.write, found.cipher, workspace.id, values, actor=TESTER)


def test_many_that_put_one_name_at_once_make_one_endpoint(app: Flask, workspace: Workspace) -> None:
    results: list[PutResult] = []
    threads = [threading.Thread(target=lambda: results.append(put(app, workspace))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.is_new for each in results) == [False] * 7 + [True]
    assert len({each.endpoint_id for each in results}) == 1
    db.session.rollback()
    assert len(db.session.scalars(select(Endpoint)).all()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"url": "https://b.example.com/"},
        {"event_types": ["batch-request", "batch-lifecycle"]},
        {"all_events": True},
        {"timeout_ms": 6000},
        {"rate_per_second": 3},
        {"headers": [("X-A", "1")]},
    ],
    ids=str,
)
def test_only_what_differs_is_a_change(app: Flask, workspace: Workspace, other: dict[str, object]) -> None:
    first = put(app, workspace)
    changed = replace(VALUES, **other)  # type: ignore[arg-type]
    assert put(app, workspace) == PutResult(first.endpoint_id, is_new=False, is_changed=False)
    assert put(app, workspace, changed) == PutResult(first.endpoint_id, is_new=False, is_changed=True)
    assert put(app, workspace, changed) == PutResult(first.endpoint_id, is_new=False, is_changed=False)


def test_a_name_is_the_workspaces_own_and_that_of_live_endpoints(
    app: Flask, workspace: Workspace, database: WriteDatabase
) -> None:
    first = put(app, workspace)
    endpoint = db.session.get_one(Endpoint, first.endpoint_id)
    found = services(app)
    with pytest.raises(ChangedMeanwhile):
        named_endpoints.put(
            database,
            found.cipher,
            workspace.id,
            VALUES,
            seen_at=endpoint.created_at.replace(year=2020),
            actor=TESTER,
        )
    workspace.endpoint("https://c.example.com/", name="Billing")
    with pytest.raises(AmbiguousName):
        put(app, workspace)
