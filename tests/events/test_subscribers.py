"""Who sends, and who subscribes to that, of a whole group in one statement."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.conftest import TESTER, Workspace
from webhooks_app.accounts.token_scopes import FIRST_SCOPES
from webhooks_app.core import clock, passwords
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import ApiToken, Endpoint
from webhooks_app.endpoints import actions
from webhooks_app.events import subscribers
from webhooks_app.events.subscribers import EventSource, Subscribers
from webhooks_app.extensions import db

A, B = "batch-lifecycle", "batch-request"
URL = "https://hooks.example.com/"
NOBODY = Subscribers({}, {}, frozenset())
Find = Callable[..., Subscribers]


@pytest.fixture
def find(databases: Databases) -> Find:
    def find(*senders: EventSource) -> Subscribers:
        with databases.read.connect() as connection:
            return subscribers.find(connection, senders)

    return find


def hash_of(workspace: Workspace) -> str:
    return passwords.hash_token(workspace.token)


def change(
    databases: Databases, model: type[ApiToken] | type[Endpoint], row_id: str, **values: object
) -> None:
    with databases.write.begin() as connection:
        connection.execute(update(model).where(model.id == row_id).values(values))


def test_each_topic_has_those_that_subscribe_to_it(workspace: Workspace, find: Find) -> None:
    everything = workspace.endpoint(URL)
    first = workspace.endpoint(URL, all_events=False, event_types=(A,))
    second = workspace.endpoint(URL, all_events=False, event_types=(B,))
    workspace.endpoint(URL, all_events=False, event_types=())
    found = find(EventSource(None, workspace.id, A), EventSource(None, workspace.id, B))
    by_topic = {topic: {*endpoints} for topic, endpoints in found.endpoints.items()}
    assert by_topic == {(workspace.id, A): {everything, first}, (workspace.id, B): {everything, second}}
    assert (found.tokens, found.disabled, found.listeners) == ({}, frozenset(), frozenset())


def test_an_endpoint_gets_nothing_of_another_workspace(
    make_workspace: Callable[[str], Workspace], find: Find
) -> None:
    ours, theirs = make_workspace("Ours"), make_workspace("Theirs")
    theirs.endpoint(URL)
    assert find(EventSource(None, ours.id, A)) == NOBODY
    mine = ours.endpoint(URL)
    assert find(EventSource(hash_of(ours), None, A)).endpoints == {(ours.id, A): [mine]}


def test_two_senders_of_a_workspace_find_each_endpoint_once(workspace: Workspace, find: Find) -> None:
    endpoint_id = workspace.endpoint(URL)
    twice = EventSource(None, workspace.id, A)
    found = find(twice, twice, EventSource(hash_of(workspace), None, A))
    assert found.endpoints == {(workspace.id, A): [endpoint_id]}


def test_what_a_deleted_endpoint_subscribed_to_is_nobodys(
    workspace: Workspace, databases: Databases, find: Find
) -> None:
    endpoint_id = workspace.endpoint(URL)
    change(databases, Endpoint, endpoint_id, deleted_at=clock.now())
    assert find(EventSource(None, workspace.id, A)) == NOBODY


def test_disabled_endpoints_and_listeners_are_among_those_that_subscribe(
    workspace: Workspace, databases: Databases, find: Find
) -> None:
    plain, disabled, listener = (workspace.endpoint(URL) for _ in range(3))
    endpoint = db.session.get_one(Endpoint, disabled)
    actions.disable(databases.write, endpoint, actor=TESTER)
    change(databases, Endpoint, listener, is_listener=True)
    found = find(EventSource(None, workspace.id, A))
    assert {*found.endpoints[workspace.id, A]} == {plain, disabled, listener}
    assert found.disabled == {disabled}
    assert found.listeners == {listener}


def test_a_token_comes_with_all_that_is_known_of_it(
    workspace: Workspace, databases: Databases, find: Find
) -> None:
    used_at = clock.now() - timedelta(hours=1)
    with databases.write.begin() as connection:
        connection.execute(update(ApiToken).values(last_used_at=used_at, rate_per_second=7, burst=9))
    # Nobody subscribes.
    [(token_hash, token)] = find(EventSource(hash_of(workspace), None, A)).tokens.items()
    assert token_hash == token.token_hash == hash_of(workspace)
    assert (token.workspace_id, token.name, token.scopes) == (workspace.id, "test", FIRST_SCOPES)
    assert (token.last_used_at, token.limit) == (used_at, RateLimit(7, 9))


def test_a_token_speaks_for_its_own_workspace_alone(
    make_workspace: Callable[[str], Workspace], find: Find
) -> None:
    ours, theirs = make_workspace("Ours"), make_workspace("Theirs")
    mine = ours.endpoint(URL)
    theirs.endpoint(URL)
    found = find(EventSource(hash_of(ours), theirs.id, A))
    assert found.endpoints == {(ours.id, A): [mine]}
    assert found.tokens[hash_of(ours)].workspace_id == ours.id


def test_each_of_several_tokens_is_found(make_workspace: Callable[[str], Workspace], find: Find) -> None:
    ours, theirs = make_workspace("Ours"), make_workspace("Theirs")
    found = find(*(EventSource(hash_of(each), None, kind) for each in (ours, theirs) for kind in (A, B)))
    assert {name: token.workspace_id for name, token in found.tokens.items()} == {
        hash_of(ours): ours.id,
        hash_of(theirs): theirs.id,
    }


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_a_token_that_is_over_is_nobodys(
    workspace: Workspace, databases: Databases, find: Find, column: str
) -> None:
    workspace.endpoint(URL)
    with databases.write.begin() as connection:
        connection.execute(update(ApiToken).values({column: clock.now()}))
    assert find(EventSource(hash_of(workspace), None, A), EventSource("unknown", None, A)) == NOBODY


def test_a_token_is_good_until_it_expires(workspace: Workspace, databases: Databases, find: Find) -> None:
    with databases.write.begin() as connection:
        connection.execute(update(ApiToken).values(expires_at=clock.now() + timedelta(hours=1)))
    assert [*find(EventSource(hash_of(workspace), None, A)).tokens] == [hash_of(workspace)]


def test_of_nobody_nothing_is_found(find: Find) -> None:
    assert find() == NOBODY
