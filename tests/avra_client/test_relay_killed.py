"""A relay that is killed while the platform has its batch, again and again: nothing is lost or doubled.

The random kills, with transactions that roll back and apps that are killed too, are the fault suite's.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.avra_client import relay_process
from tests.avra_client.conftest import Store, accepted_keys
from tests.conftest import Workspace
from tests.server.running_server import serving

KILLS, ROWS = 6, 200
# The next relay waits for what the dead one claimed.
SHORT_LEASE = ("--lease-seconds", "0.5", "--send-seconds", "0.25")


class Killing:
    """The application; it kills the process that sends, in turn before and after it accepted the batch."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app, self._lock = app, threading.Lock()
        self.pid, self.kills = 0, 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            if not self.pid or not environ["PATH_INFO"].endswith("/batch"):
                return self._app(environ, start_response)
            pid, self.pid = self.pid, 0
            self.kills += 1
            if self.kills % 2:
                os.kill(pid, signal.SIGKILL)
                start_response("503 Service Unavailable", [])
                return []
            answer = list(self._app(environ, start_response))
            os.kill(pid, signal.SIGKILL)
            return answer


@pytest.mark.long
def test_each_row_becomes_one_event_wherever_its_relay_is_killed(store: Store, workspace: Workspace) -> None:
    ids, killing = store.fill(ROWS), Killing(workspace.app)
    with serving(killing) as server:
        environ = relay_process.environment(store, f"http://127.0.0.1:{server.port}", workspace.token)
        for _ in range(KILLS):
            relay = relay_process.start(environ, *SHORT_LEASE)
            killing.pid = relay.pid
            relay.communicate(timeout=300)
            assert relay.returncode == -signal.SIGKILL
        assert 0 < len(accepted_keys()) < ROWS
        assert len(store.states()) > 0
        store.run("UPDATE avra_outbox SET due_at = 1")  # the leases of the dead, without waiting for them
        relay = relay_process.start(environ, "--once")
        said = relay.communicate(timeout=300)[1]
        assert relay.returncode == 0, said
    assert killing.kills == KILLS
    assert sorted(accepted_keys()) == ids
    assert store.states() == {}
