"""A worker whose Redis is found by Sentinels, when these make another server the primary."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Workspace, deployed
from tests.reading import output_of
from tests.receivers import Receiver
from tests.redis_servers import client, is_primary, redis_server, sentinel
from tests.waiting import wait_for
from tests.worker.attempted import deliveries
from webhooks_app.config import ROOT
from webhooks_app.db.models import DeliveryState


@dataclass
class Sentinels:
    """Three of them before a primary and its replica."""

    url: str
    primary: subprocess.Popen[bytes]
    replica_port: int


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    with ExitStack() as running:
        first, primary = running.enter_context(redis_server(tmp_path / "one"))
        options = ("--replicaof", "127.0.0.1", str(first), "--repl-diskless-sync-delay", "0")
        second, _ = running.enter_context(redis_server(tmp_path / "two", *options))
        with client(second) as redis:
            wait_for(lambda: redis.info("replication")["master_link_status"] == "up")
        ports = [running.enter_context(sentinel(tmp_path / "watch", primary_port=first)) for _ in range(3)]
        for port in ports:
            with client(port) as watcher:
                wait_for(lambda: watcher.sentinel_master("main")["num-other-sentinels"] == 2)
                wait_for(lambda: watcher.sentinel_master("main")["num-slaves"] == 1)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield Sentinels(f"redis+sentinel://{hosts}/main/0", primary, second)


@pytest.fixture
def redis_url(sentinels: Sentinels) -> str:
    """That of the application, too, which wakes the worker."""
    return sentinels.url


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_deliveries_go_on_after_a_failover(
    workspace: Workspace, receiver: Receiver, sentinels: Sentinels, database_url: str, tmp_path: Path
) -> None:
    workspace.endpoint(receiver.url)
    settings = deployed(database_url, sentinels.url, tmp_path) | {"WEBHOOKS_WORKERS": "2"}
    worker = subprocess.Popen(
        [sys.executable, "worker.py"],
        env={"PATH": "/usr/bin:/bin", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        assert output_of(worker).readline() == "ready\n"
        workspace.send(20)
        wait_for(lambda: states() == {DeliveryState.DELIVERED}, 60)

        sentinels.primary.kill()
        workspace.send(20)  # accepted while nobody can be woken
        wait_for(lambda: is_primary(sentinels.replica_port), 60)
        # No scheduler runs that would sweep, so only a wake-up through the new primary leads to these.
        wait_for(lambda: states() == {DeliveryState.DELIVERED} or not workspace.send(), 90)
        assert worker.poll() is None
    finally:
        worker.terminate()
        worker.communicate(timeout=180)
    assert len(receiver.received) == len(deliveries()) >= 40


def states() -> set[DeliveryState]:
    return {each.state for each in deliveries()}
