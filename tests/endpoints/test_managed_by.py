"""What manages an endpoint stays until somebody says otherwise, and is let go of once."""

import json
from dataclasses import replace
from typing import Any

from flask import Flask
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.web.endpoints import audited_actions, load
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry
from webhooks_app.endpoints import actions, managed_by
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.extensions import db, services

VALUES = EndpointValues(name="Orders", url="https://a.example.com/", all_events=True, event_types=())


def details() -> list[dict[str, Any]]:
    db.session.rollback()
    entries = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    return [json.loads(entry.details or "{}") for entry in entries if entry.action.startswith("endpoint.")]


def test_what_manages_an_endpoint_is_in_the_audit_log(
    app: Flask, workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(VALUES.url, managed_by="a.yaml")

    def change(**values: Any) -> None:
        cipher = services(app).cipher
        actions.change(database, cipher, load(endpoint_id), replace(VALUES, **values), actor=TESTER)

    change(timeout_ms=6000)
    change(timeout_ms=6000, managed_by="b.yaml")
    change(timeout_ms=6000, managed_by=None)
    change(timeout_ms=7000)

    url = {"url": VALUES.url}
    assert details() == [
        url | {"managed_by": "a.yaml"},
        url | {"changed": ["time-out"], "managed_by": "a.yaml"},
        url | {"changed": [], "managed_by": "b.yaml", "managed_by_before": "a.yaml"},
        url | {"changed": [], "managed_by": None, "managed_by_before": "b.yaml"},
        url | {"changed": ["time-out"]},
    ]


def test_an_endpoint_is_let_go_of_once(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint(VALUES.url, managed_by="a.yaml")
    seen = load(endpoint_id)
    before = seen.updated_at

    assert managed_by.release(database, seen, actor=TESTER)
    assert (load(endpoint_id).managed_by, details()[-1]) == (None, {"managed_by_before": "a.yaml"})
    assert load(endpoint_id).updated_at > before  # so that a change upon what was seen is refused
    assert not managed_by.release(database, load(endpoint_id), actor=TESTER)
    assert audited_actions().count("endpoint.release") == 1
