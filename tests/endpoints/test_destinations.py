"""Where deliveries go: what a worker remembers of endpoints, and when it looks anew."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import TESTER, Workspace
from tests.listeners.listening import begin
from tests.statements import noted_statements
from webhooks_app.core import clock
from webhooks_app.core.text_display import MASK
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import DeliveryState, Endpoint
from webhooks_app.endpoints import actions, destinations
from webhooks_app.endpoints.destinations import Destination, Destinations
from webhooks_app.extensions import db, services

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def load(databases: Databases, cache: Destinations, *names: str) -> dict[str, Destination]:
    with databases.read.connect() as connection:
        return cache.load(connection, names)


def changed_at(name: str) -> datetime:
    db.session.rollback()
    return db.session.scalars(select(Endpoint.updated_at).where(Endpoint.id == name)).one()


@pytest.fixture
def cache(app: Flask) -> Destinations:
    return Destinations(services(app).cipher, cache_size=10)


def test_a_key_signs_until_it_expires_and_not_at_that_moment() -> None:
    a_moment = timedelta(microseconds=1)
    destination = Destination("https://a.example.com/", 1000, ((b"new", None), (b"old", NOW)), (), "", None)
    assert destination.keys_at(NOW - a_moment) == [b"new", b"old"]
    assert destination.keys_at(NOW) == [b"new"]


def test_what_is_known_is_read_again_only_once_it_was_changed(
    workspace: Workspace, databases: Databases, cache: Destinations
) -> None:
    name = workspace.endpoint("https://a.example.com/")
    load(databases, cache, name)
    with noted_statements() as asked:
        load(databases, cache, name)
    assert len([each for each in asked if each.startswith("SELECT")]) == 1  # for the moment of its change
    with databases.write.begin() as connection:
        values = {"url": "https://b.example.com/", "updated_at": clock.now()}
        connection.execute(update(Endpoint).where(Endpoint.id == name).values(values))
    assert load(databases, cache, name)[name].url == "https://b.example.com/"


def test_what_is_known_stays_beside_what_is_read(
    workspace: Workspace, databases: Databases, cache: Destinations
) -> None:
    one, other = (workspace.endpoint(f"https://{name}.example.com/") for name in "ab")
    load(databases, cache, one)
    assert load(databases, cache, one, other).keys() == {one, other}


def test_past_so_many_that_are_known_all_are_forgotten(
    app: Flask, workspace: Workspace, databases: Databases
) -> None:
    small = Destinations(services(app).cipher, cache_size=1)
    one, other, third = (workspace.endpoint(f"https://{name}.example.com/") for name in "abc")
    load(databases, small, one, other)
    assert small.known(one, changed_at(one)) is not None
    load(databases, small, third)
    assert [small.known(each, changed_at(each)) is None for each in (one, other, third)] == [
        True,
        True,
        False,
    ]


def test_of_those_that_accept_nothing_the_deliveries_are_held_canceled_or_stay(
    workspace: Workspace, databases: Databases, cache: Destinations
) -> None:
    enabled, disabled, deleted = (workspace.endpoint(f"https://{name}.example.com/") for name in "abc")
    listener, ended = (begin(workspace, name=name).endpoint_id for name in ("laptop", "ended"))
    actions.disable(databases.write, db.session.get_one(Endpoint, disabled), actor=TESTER)
    for name in (deleted, ended):
        actions.remove(databases.write, db.session.get_one(Endpoint, name), actor=TESTER)
    found = load(databases, cache, enabled, disabled, deleted, listener, ended)
    assert {name: each.not_accepting for name, each in found.items()} == {
        enabled: None,
        disabled: DeliveryState.HELD,
        deleted: DeliveryState.CANCELED,
        listener: DeliveryState.PENDING,
        ended: DeliveryState.CANCELED,
    }


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.example.com", "/"),
        ("https://a.example.com?x=1", f"/?x={MASK}"),
        ("https://a.example.com/hooks", "/hooks"),
    ],
)
def test_the_log_says_where_a_request_goes_as_http_does(url: str, path: str) -> None:
    assert dict(destinations.logged_target(url))[":path"] == path
