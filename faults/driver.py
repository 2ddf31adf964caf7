"""What people and internal apps do with the platform under test: administer it, and send events."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select

from faults import crash_report, deleted_rows
from faults.checker import Key
from faults.databases import Database
from faults.harness import Nursery, TooSlow
from faults.journal import Journal
from faults.processes import TIMEOUT_MS, Processes
from faults.producer import EVENT_TYPE, new_data
from webhooks_app.accounts import api_tokens, workspaces
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, signing
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries import recoveries, replays
from webhooks_app.deliveries.log import LogFilter, Status
from webhooks_app.endpoints import actions, signing_secrets
from webhooks_app.endpoints.actions import EndpointValues
from webhooks_app.extensions import db, services

TESTER = Actor("faults")

_journal_lock = threading.Lock()


@dataclass
class Answer:
    status: int
    milliseconds: float
    event_ids: list[str] = field(default_factory=list)


class Hands(Processes):
    def __init__(self, folder: Path, nursery: Nursery, database: Database, **environ: str) -> None:
        super().__init__(folder, nursery, database, **environ)
        self.keys: dict[str, list[Key]] = {}
        # The claims that somebody held when a process was killed, and an allowance for kills unseen.
        self.held_at_kills: set[tuple[str, int]] = set()
        self.held_unseen = 0
        self.claims_lost = 0  # an allowance for crashes of the database
        self.poisoned = 0
        self.may_end: dict[str, frozenset[str]] = {}  # by endpoint, where it is not the usual
        self.has_graveyard = False
        self.fan_out: int | None = 0  # None where endpoints come and go
        self.workspace_id = self.token = ""
        self.journals = self.receiver_offset = self.words_offset = 0
        self.last_words = folder / crash_report.FILE

    def new_workspace(self, name: str) -> None:
        """Begins afresh: what comes from here on is judged by itself."""
        self.held_at_kills, self.held_unseen, self.fan_out = set(), 0, 0
        self.claims_lost = self.poisoned = 0
        self.keys, self.may_end = {}, {}
        self.journals += 1
        self.words_offset = self.last_words.stat().st_size if self.last_words.exists() else 0
        if self.receiver_journal.exists():
            self.receiver_offset = self.receiver_journal.stat().st_size
        self.journal = self.folder / f"accepted-{self.journals}.log"
        self.counts, self.sent = self.folder / f"counts-{self.journals}", 0
        self.counts.mkdir()
        with self.app.app_context():
            self.workspace_id = workspaces.create(services().write, name, actor=TESTER)
            self.token = api_tokens.create(services().write, self.workspace_id, "faults", actor=TESTER)

    def endpoint(self, path: str, **values: Any) -> str:
        given: dict[str, Any] = {"all_events": True, "event_types": (), "timeout_ms": TIMEOUT_MS} | values
        url = given.pop("url", f"http://127.0.0.1:{self.receiver_port}/{path}")
        with self.app.app_context():
            cipher = services().cipher
            endpoint_id = actions.create(
                services().write,
                cipher,
                self.workspace_id,
                EndpointValues(name=path[:60], url=url, **given),
                actor=TESTER,
            )
        self.learn_keys(endpoint_id)
        self.fan_out = (self.fan_out or 0) + 1
        return endpoint_id

    def learn_keys(self, endpoint_id: str) -> None:
        """Remembers the endpoint's signing keys and since and until when they sign."""
        with self.admin(endpoint_id) as endpoint:
            secrets = signing_secrets.reveal(services().write, services().cipher, endpoint, actor=TESTER)
        now, in_force = clock.now(), {signing.key_of(secret) for secret in secrets}
        known = self.keys.get(endpoint_id, [])
        new = in_force - {key.secret for key in known}
        self.keys[endpoint_id] = [
            key if key.until or key.secret in in_force else replace(key, until=now) for key in known
        ] + [Key(secret, now) for secret in new]

    @contextmanager
    def admin(self, endpoint_id: str) -> Iterator[Endpoint]:
        with self.app.app_context():
            yield db.session.get_one(Endpoint, endpoint_id)
            db.session.remove()

    def remove(self, endpoint_id: str) -> None:
        with self.admin(endpoint_id) as endpoint:
            actions.remove(services().write, endpoint, actor=TESTER)

    def disable(self, endpoint_id: str) -> None:
        with self.admin(endpoint_id) as endpoint:
            actions.disable(services().write, endpoint, actor=TESTER)

    def enable(self, endpoint_id: str, *, send_held: bool) -> int:
        with self.admin(endpoint_id) as endpoint:
            return actions.enable(services().write, endpoint, send_held=send_held, actor=TESTER)
        raise AssertionError("unreachable")

    def recover(self) -> str:
        """Starts a recovery of everything canceled; its id."""
        with self.app.app_context():
            wake_ups = services().wake_ups
            wanted = LogFilter(status=Status.CANCELED)
            return recoveries.start(services().databases, wake_ups, self.workspace_id, wanted, actor=TESTER)

    def rotate(self, endpoint_id: str, *, overlap: timedelta) -> None:
        with self.admin(endpoint_id) as endpoint:
            cipher = services().cipher
            signing_secrets.rotate(services().write, cipher, endpoint, overlap=overlap, actor=TESTER)
        self.learn_keys(endpoint_id)

    def edit(self, endpoint_id: str, url: str) -> None:
        with self.admin(endpoint_id) as endpoint:
            values = EndpointValues(
                name="edited", url=url, all_events=True, event_types=(), timeout_ms=endpoint.timeout_ms
            )
            actions.change(services().write, services().cipher, endpoint, values, actor=TESTER)

    def replay(self, delivery_id: str) -> None:
        with self.app.app_context():
            replays.start(services().write, services().wake_ups, self.workspace_id, delivery_id, actor=TESTER)

    def send(self, name: str = "", *, timeout: float = 10, **data: Any) -> Answer:
        """One event through the API; its 202 goes into the journal as a producer's would."""
        body = {"type": EVENT_TYPE, "data": new_data(name or self._next_name(), **data)}
        return self._post("/api/v1/events", body, timeout)

    def _next_name(self) -> str:
        self.sent += 1
        return f"one-{self.sent}"

    def send_many(self, count: int, *, name: str, event_type: str = EVENT_TYPE) -> list[str]:
        ids: list[str] = []
        for start in range(0, count, 1000):
            some = range(start, min(start + 1000, count))
            events = [{"type": event_type, "data": new_data(f"{name}-{number}")} for number in some]
            answer = self._post("/api/v1/events/batch", {"events": events}, 60)
            if answer.status != 202:
                raise TooSlow(f"a batch was answered {answer.status}")
            ids += answer.event_ids
        return ids

    def _post(self, path: str, body: dict[str, Any], timeout: float) -> Answer:
        began = time.monotonic()
        try:
            response = requests.post(
                self.base_url + path,
                json=body,
                timeout=timeout,
                headers={"Authorization": f"Bearer {self.token}"},
            )
        except requests.RequestException:
            return Answer(0, (time.monotonic() - began) * 1000)
        taken = (time.monotonic() - began) * 1000
        if response.status_code != 202:
            return Answer(response.status_code, taken)
        said = response.json()
        events = said.get("events", [said])
        with _journal_lock:
            _append(self.journal, events, taken)
        return Answer(202, taken, [event["id"] for event in events])

    def open_graveyard(self) -> None:
        """What retention deletes from here on is kept, and judged with the rest."""
        with self.app.app_context():
            deleted_rows.opened(db.engine)
        self.has_graveyard = True

    def produce(
        self, *, rate: float, seconds: float, seed: str, threads: int = 4, port: int | None = None
    ) -> int:
        """Starts producers in a process of their own; its id."""
        base_url = f"http://127.0.0.1:{port or self.web_port}"
        return self.nursery.call(
            "faults.producer:main",
            *(base_url, self.token, str(self.journal), rate, threads, seconds, seed),
            name="producer",
            env={},
        )

    def answer_with(self, switch: str, answer: str) -> None:
        requests.post(
            f"http://127.0.0.1:{self.receiver_port}/control/{switch}/{answer}", timeout=5
        ).raise_for_status()

    def reset(self) -> None:
        """Back to the usual set-up, with nothing left to be sent."""
        is_changed = self.armed or self.patch or self.clock_moved_seconds or self.clock
        self.armed, self.patch, self.clock_moved_seconds, self.clock = {}, {}, 0.0, None
        if is_changed:
            self.web.kill()
            self.pool.kill()
        self.heal()
        with self.app.app_context():
            for endpoint in db.session.scalars(select(Endpoint).where(Endpoint.deleted_at.is_(None))).all():
                actions.remove(services().write, endpoint, actor=TESTER)
            db.session.remove()
            if self.has_graveyard:
                deleted_rows.closed(db.engine)
        self.has_graveyard = False


def _append(path: Path, events: list[dict[str, Any]], taken: float) -> None:
    journal = Journal(path)
    for event in events:
        journal.write(event=event["id"], deliveries=event["deliveries"], at=time.time(), ms=round(taken, 1))
    journal.close()
