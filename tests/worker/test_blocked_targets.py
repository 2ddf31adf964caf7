"""The guard of addresses where it counts: what a worker records that may deliver to public addresses only."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace, make_settings
from webhooks_app import tasks
from webhooks_app.config import Settings
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Attempt, Delivery, Endpoint
from webhooks_app.deliveries import cancellations, replays
from webhooks_app.deliveries.cancellations import CancelResult
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.events import test_events
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

HOSTS = [
    ("127.0.0.1", "127.0.0.1 is a loopback address (RFC 1122). Deliveries only go to public addresses."),
    ("localhost", "is a loopback address"),
    ("10.0.0.5", "10.0.0.5 is a private address (RFC 1918). Deliveries only go to public addresses."),
    ("169.254.169.254", "cloud metadata included (RFC 3927). No setting opens it."),
]


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """As in production: no private target is allowed. Only the scheme is, for want of certificates."""
    return make_settings(database_url, redis_url, tmp_path, WEBHOOKS_ALLOWED_TARGETS="")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


Way = Callable[[Workspace, WriteDatabase, WakeUps, Endpoint], None]


def accept(workspace: Workspace, _database: WriteDatabase, _wake_ups: WakeUps, _endpoint: Endpoint) -> None:
    workspace.send()


def try_out(_workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, endpoint: Endpoint) -> None:
    data = {"batch_id": "b1", "status": "succeeded"}
    test_events.send_test(database, wake_ups, endpoint, NewEvent.of("batch-lifecycle", data), actor=TESTER)


def replay(workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, _endpoint: Endpoint) -> None:
    workspace.send()
    db.session.rollback()
    delivery_id = db.session.scalars(select(Delivery.id)).one()
    assert cancellations.cancel(database, workspace.id, delivery_id, actor=TESTER) is CancelResult.CANCELED
    assert replays.replay(database, wake_ups, workspace.id, delivery_id, actor=TESTER) is ReplayResult.STARTED


def assert_blocked(listener: socket.socket, words: str) -> None:
    db.session.rollback()
    attempt = db.session.scalars(select(Attempt)).one()
    assert attempt.outcome == "blocked"
    assert words in (attempt.detail or "")
    assert (attempt.connect_us, attempt.status, attempt.remote_address) == (0, None, None)
    assert db.session.scalars(select(Delivery.last_outcome)).one() == "blocked"
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("way", [accept, try_out, replay])
@pytest.mark.parametrize(("host", "words"), HOSTS, ids=[host for host, _ in HOSTS])
def test_nothing_is_sent_to_a_forbidden_address_and_the_log_says_why(
    workspace: Workspace,
    database: WriteDatabase,
    wake_ups: WakeUps,
    engine: DeliveryEngine,
    listener: socket.socket,
    way: Way,
    host: str,
    words: str,
) -> None:
    url = f"http://{host}:{listener.getsockname()[1]}/hooks"
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(url))
    way(workspace, database, wake_ups, endpoint)

    engine.run(seconds=60)

    assert_blocked(listener, words)


@pytest.mark.usefixtures("job_app")
def test_the_jobs_engine_has_the_policy_of_the_settings(
    workspace: Workspace, listener: socket.socket
) -> None:
    workspace.endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}/hooks")
    workspace.send()

    tasks.deliver_due()

    assert_blocked(listener, "is a loopback address")
