"""What a worker need not read before it sends."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import Workspace
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints.destinations import Destinations
from webhooks_app.extensions import services
from webhooks_app.worker import send_data
from webhooks_app.worker.claimed_delivery import ClaimedDelivery


@pytest.mark.parametrize(
    ("changes", "is_known"),
    [
        ({}, True),
        ({"body": None}, False),
        ({"changed_at": None}, False),
        ({"changed_at": timedelta(seconds=-1)}, False),  # as it was read before the last change
        ({"endpoint_id": "ep_other"}, False),
    ],
)
def test_what_the_claim_and_this_process_hold_is_known(
    app: Flask, workspace: Workspace, databases: Databases, changes: dict[str, Any], is_known: bool
) -> None:
    name = workspace.endpoint("https://a.example.com/")
    destinations = Destinations(services(app).cipher, cache_size=10)
    with databases.read.connect() as connection:
        loaded = destinations.load(connection, [name])
        changed_at = connection.scalars(select(Endpoint.updated_at)).one()
    if isinstance(earlier := changes.get("changed_at"), timedelta):
        changes = {"changed_at": changed_at + earlier}
    claimed = ClaimedDelivery("dlv_1", name, "evt_1", 1, 0, 0, changed_at=changed_at, body=b"{}")
    found = send_data.known(destinations, [replace(claimed, **changes), claimed])
    assert found == ((loaded, {}) if is_known else None)
