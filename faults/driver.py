"""Does to the platform what admins and internal apps do: administers endpoints and sends events."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select

from faults import api_requests, crash_report, deleted_rows
from faults.api_requests import ApiResponse
from faults.databases import Database
from faults.evidence import Key
from faults.fork_client import ForkClient
from faults.load_generator import EVENT_TYPE, new_data
from faults.platform_processes import TIMEOUT_MS, PlatformProcesses
from webhooks_app.accounts import api_tokens, workspaces
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, signing
from webhooks_app.db.models import Endpoint, RecoveryAction
from webhooks_app.deliveries import recoveries, replays
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.endpoints import actions, signing_secrets
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.extensions import db, services

TESTER = Actor("faults")


class Driver(PlatformProcesses):
    """The platform with one workspace at a time, and what the checker has to know of what was done to it."""

    def __init__(self, folder: Path, fork_client: ForkClient, database: Database, **environ: str) -> None:
        super().__init__(folder, fork_client, database, **environ)
        self.keys: dict[str, list[Key]] = {}
        # The claims that stood when a process was killed, and an allowance where they could not be read.
        self.claims_at_kills: set[tuple[str, int]] = set()
        self.claims_unseen = 0
        # Whether claims may be sent once more whose leases ended before their outcomes came.
        self.excuses_ended_leases = False
        self.claims_lost = 0  # an allowance for claims that a crash of the database undid
        self.poisoned = 0
        self.allowed_ends: dict[str, frozenset[str]] = {}  # by endpoint, where more is allowed than usual
        self.keeps_deleted_rows = False
        self.fan_out: int | None = 0  # None where endpoints come and go
        self.workspace_id = self.token = ""
        self.scenario_number = self.receiver_offset = self.crash_reports_offset = 0
        self.crash_reports = folder / crash_report.FILE

    def new_workspace(self, name: str) -> None:
        """Create a workspace and begin new journals, so that what comes is judged without what was before."""
        self.claims_at_kills, self.claims_unseen, self.fan_out = set(), 0, 0
        self.excuses_ended_leases = False
        self.claims_lost = self.poisoned = 0
        self.keys, self.allowed_ends = {}, {}
        self.scenario_number += 1
        self.crash_reports_offset = _size(self.crash_reports)
        self.receiver_offset = _size(self.receiver_journal)
        self.journal = self.folder / f"accepted-{self.scenario_number}.log"
        self.failpoint_counts = self.folder / f"counts-{self.scenario_number}"
        self.failpoint_counts.mkdir()
        self.sent = 0
        with self.app.app_context():
            self.workspace_id = workspaces.create(services().write, name, actor=TESTER)
            self.token = api_tokens.create(services().write, self.workspace_id, "faults", actor=TESTER)

    def endpoint(self, path: str, **values: Any) -> str:
        """Create an endpoint at a path of the scripted receiver; `values` are fields of EndpointValues."""
        given: dict[str, Any] = {"all_events": True, "event_types": (), "timeout_ms": TIMEOUT_MS} | values
        url = given.pop("url", f"{self.receiver_url}/{path}")
        with self.app.app_context():
            cipher = services().cipher
            endpoint_id = actions.create(
                services().write,
                cipher,
                self.workspace_id,
                EndpointValues(name=path[:60], url=url, **given),
                actor=TESTER,
            )
        self.remember_keys(endpoint_id)
        self.fan_out = (self.fan_out or 0) + 1
        return endpoint_id

    def remember_keys(self, endpoint_id: str) -> None:
        """Note the endpoint's signing keys and the times from and until which they sign."""
        with self.loaded(endpoint_id) as endpoint:
            secrets = signing_secrets.reveal(services().write, services().cipher, endpoint, actor=TESTER)
        now, in_force = clock.now(), {signing.key_of(secret) for secret in secrets}
        known = self.keys.get(endpoint_id, [])
        new = in_force - {key.secret for key in known}
        self.keys[endpoint_id] = [
            key if key.until or key.secret in in_force else replace(key, until=now) for key in known
        ] + [Key(secret, now) for secret in new]

    @contextmanager
    def loaded(self, endpoint_id: str) -> Iterator[Endpoint]:
        """Yield the endpoint in a session of its own."""
        with self.app.app_context():
            yield db.session.get_one(Endpoint, endpoint_id)
            db.session.remove()

    def remove(self, endpoint_id: str) -> None:
        with self.loaded(endpoint_id) as endpoint:
            actions.remove(services().write, endpoint, actor=TESTER)

    def disable(self, endpoint_id: str) -> None:
        with self.loaded(endpoint_id) as endpoint:
            actions.disable(services().write, endpoint, actor=TESTER)

    def enable(self, endpoint_id: str, *, send_held: bool) -> int:
        """Enable the endpoint and return how many held deliveries were sent or discarded."""
        with self.app.app_context():
            endpoint = db.session.get_one(Endpoint, endpoint_id)
            return actions.enable(services().write, endpoint, send_held=send_held, actor=TESTER)

    def recover(self, status: Status, action: RecoveryAction = RecoveryAction.REPLAY) -> str:
        """Start a recovery of every delivery with that status and return its id."""
        with self.app.app_context():
            databases, wake_ups = services().databases, services().wake_ups
            wanted = LogFilter(status=status)
            return recoveries.start(
                databases, wake_ups, self.workspace_id, wanted, action=action, actor=TESTER
            )

    def rotate(self, endpoint_id: str, *, overlap: timedelta) -> None:
        with self.loaded(endpoint_id) as endpoint:
            cipher = services().cipher
            signing_secrets.rotate(services().write, cipher, endpoint, overlap=overlap, actor=TESTER)
        self.remember_keys(endpoint_id)

    def edit(self, endpoint_id: str, url: str) -> None:
        with self.loaded(endpoint_id) as endpoint:
            values = EndpointValues(
                name="edited", url=url, all_events=True, event_types=(), timeout_ms=endpoint.timeout_ms
            )
            actions.change(services().write, services().cipher, endpoint, values, actor=TESTER)

    def replay(self, delivery_id: str) -> None:
        with self.app.app_context():
            replays.replay(
                services().write, services().wake_ups, self.workspace_id, delivery_id, actor=TESTER
            )

    def send(self, name: str = "", *, timeout: float = 10, **data: Any) -> ApiResponse:
        """Send one event through the API; its 202 goes into the journal as a producer's would."""
        body = {"type": EVENT_TYPE, "data": new_data(name or self._next_name(), **data)}
        return self._post("/api/v1/events", body, timeout)

    def _next_name(self) -> str:
        self.sent += 1
        return f"one-{self.sent}"

    def send_many(self, count: int, *, name: str, event_type: str = EVENT_TYPE) -> list[str]:
        """Send events in batches and return their ids. Raises RuntimeError where a batch is not accepted."""
        ids: list[str] = []
        for start in range(0, count, 1000):
            some = range(start, min(start + 1000, count))
            events = [{"type": event_type, "data": new_data(f"{name}-{number}")} for number in some]
            answer = self._post("/api/v1/events/batch", {"events": events}, 60)
            if answer.status != 202:
                raise RuntimeError(f"a batch was answered {answer.status}")
            ids += answer.event_ids
        return ids

    def _post(self, path: str, body: dict[str, Any], timeout: float) -> ApiResponse:
        return api_requests.post(
            self.base_url + path, body, token=self.token, journal=self.journal, timeout=timeout
        )

    def keep_deleted_rows(self) -> None:
        """Keep what retention deletes from here on, for the checker to judge with the rest."""
        with self.app.app_context():
            deleted_rows.install_triggers(db.engine)
        self.keeps_deleted_rows = True

    def produce(
        self,
        *,
        rate: float,
        seconds: float,
        seed: str,
        threads: int = 4,
        port: int | None = None,
        kind: str = "mixed",
        journal: Path | None = None,
    ) -> int:
        """Start producers in a process of their own and return its id; `rate` is in events a second.

        `kind` is the load generator's; the answers go to the scenario's journal or the one that is named.
        """
        answers = str(journal or self.journal)
        return self.fork_client.call(
            "faults.load_generator:main",
            *(self.url_of(port), self.token, answers, rate, threads, seconds, seed, kind),
            name="producer",
            env={},
        )

    def set_switch(self, switch: str, response: str) -> None:
        """Set what the scripted receiver answers under `/switch/<switch>`."""
        requests.post(f"{self.receiver_url}/control/{switch}/{response}", timeout=5).raise_for_status()

    def reset(self) -> None:
        """Return to the usual set-up, with nothing left to be sent."""
        changes = (self.extra_environ, self.patch, self.clock_offset_seconds, self.clock_file)
        is_changed = any(changes) or self.database_url is not None
        self.database_url = None
        self.extra_environ, self.patch, self.clock_offset_seconds, self.clock_file = {}, {}, 0.0, None
        self.pool_wrapper = ()  # both scenarios that set it change the environment as well
        if is_changed:
            self.web.kill()
            self.pool.kill()
        self.ensure_running()
        self.remove_endpoints()

    def remove_endpoints(self) -> None:
        """Remove every endpoint, and with them what was still to be sent."""
        with self.app.app_context():
            for endpoint in db.session.scalars(select(Endpoint).where(Endpoint.deleted_at.is_(None))).all():
                actions.remove(services().write, endpoint, actor=TESTER)
            db.session.remove()
            if self.keeps_deleted_rows:
                deleted_rows.remove_triggers(db.engine)
        self.keeps_deleted_rows = False


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
