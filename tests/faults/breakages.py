"""Ways to break the platform by hand, each of which the fault suite has to find.

`web` and `pool` are what a forked process runs in place of `faults.entry_points`' functions of these names.
They patch the process that they run in, and nothing else.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import requests
from sqlalchemy import Connection, Engine

from faults import entry_points
from webhooks_app import config, tasks
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import bulk_sql
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.worker import claims, delivery_updates, dispatcher, outcome_buffer, signed_requests
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.dispatcher import Dispatcher
from webhooks_app.worker.outcome_buffer import OutcomeBuffer
from webhooks_app.worker.retry_decision import decide

NONE = "none"


def web(breakage: str, workers: int) -> None:
    BREAKAGES_OF_WEB.get(breakage, _change_nothing)()
    entry_points.web(workers)


def pool(breakage: str) -> None:
    BREAKAGES_OF_WORKERS.get(breakage, _change_nothing)()
    entry_points.pool()


def _change_nothing() -> None:
    pass


def _patch(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


def _is_nth(count: int) -> Callable[[], bool]:
    turns = itertools.count(1)
    return lambda: next(turns) % count == 0


def forget_an_accepted_event() -> None:
    """The answer is 202, and nothing is on disk."""
    begin, is_turn = WriteDatabase._begin, _is_nth(5)

    @contextmanager
    def forgetting(database: WriteDatabase, engine: Engine) -> Iterator[Connection]:
        with begin(database, engine) as connection:
            yield connection
            if is_turn():
                connection.rollback()

    _patch(WriteDatabase, "_begin", forgetting)


def record_nothing() -> None:
    _patch(outcome_buffer, "record", lambda *_, **__: [])


def record_twice() -> None:
    """The statement that counts an attempt runs twice."""
    run = bulk_sql.run_with_rows

    def running(connection: Connection, statement: Any, rows: Any, **values: Any) -> Any:
        if statement is delivery_updates._UPDATE_DELIVERIES:
            run(connection, statement, rows, **values)
        return run(connection, statement, rows, **values)

    _patch(bulk_sql, "run_with_rows", running)


def drop_an_outcome() -> None:
    add, is_turn = OutcomeBuffer.add, _is_nth(5)

    def dropping(buffer: OutcomeBuffer, delivery: ClaimedDelivery) -> None:
        if not is_turn():
            add(buffer, delivery)

    _patch(OutcomeBuffer, "add", dropping)


def claim_without_a_lease() -> None:
    claim = claims.claim_due

    def claiming(*arguments: Any, lease: timedelta, **values: Any) -> list[ClaimedDelivery]:
        return claim(*arguments, lease=timedelta(0), **values)

    _patch(claims, "claim_due", claiming)


def release_what_is_in_flight() -> None:
    """A run that ends releases what it has sent with what it has not."""
    drop = Dispatcher.drop_unsent
    _patch(Dispatcher, "drop_unsent", lambda self: [*drop(self), *self._in_flight.values()])
    _patch(tasks, "RUN_SECONDS", 0.1)  # so that each run leaves something in flight


def ignore_the_generation() -> None:
    """A worker that has lost its claim records over the next one."""
    delivery_updates._RESCHEDULE = bulk_sql.prepare_with_rows(
        """
        UPDATE pending_deliveries SET
            next_attempt_at = r.next_at, claimed_at = NULL, tries = tries + 1, lapses = 0
        FROM {rows} WHERE delivery_id = r.id RETURNING delivery_id, pending_deliveries.generation
        """,
        delivery_updates._FIELDS,
    )


def send_another_id_on_a_retry() -> None:
    # Files, as the retry may be another worker's.
    sign, seen = signed_requests.sign, config.read().instance / "signed"
    seen.mkdir(exist_ok=True)

    def signing(delivery_id: str, *arguments: Any, **values: Any) -> tuple[Request, str]:
        is_retry = (seen / delivery_id).exists()
        (seen / delivery_id).touch()
        return sign(delivery_id + ("x" if is_retry else ""), *arguments, **values)

    _patch(signed_requests, "sign", signing)


def alter_the_body() -> None:
    sign = signed_requests.sign

    def signing(
        name: str, destination: Any, keys: list[bytes], body: bytes, *, now: Any
    ) -> tuple[Request, str]:
        return sign(name, destination, keys, body + b" ", now=now)

    _patch(signed_requests, "sign", signing)


def sign_with_another_key() -> None:
    sign = signed_requests.sign

    def signing(
        name: str, destination: Any, keys: list[bytes], *values: Any, now: Any
    ) -> tuple[Request, str]:
        return sign(name, destination, [key[::-1] for key in keys], *values, now=now)

    _patch(signed_requests, "sign", signing)


def send_twice() -> None:
    start = Sender.start

    def starting(sender: Sender, key: Any, request: Request) -> None:
        start(sender, key, request)
        headers = dict(line.split(": ", 1) for line in request.headers if ": " in line)
        post = {"data": request.body, "headers": headers, "timeout": 10}
        threading.Thread(target=requests.post, args=(request.url,), kwargs=post).start()

    _patch(Sender, "start", starting)


def give_up_at_once() -> None:
    _patch(dispatcher, "decide", lambda *some, **named: decide(*some, **named | {"delays": ()}))


def forget_a_retry() -> None:
    """The delivery is still pending, and its row in the queue is gone."""
    delivery_updates._RESCHEDULE = bulk_sql.prepare_with_rows(
        """
        DELETE FROM pending_deliveries
        WHERE (delivery_id, generation) IN (SELECT r.id, r.generation FROM {rows})
        RETURNING delivery_id, generation
        """,
        delivery_updates._FIELDS,
    )


def deliver_what_failed() -> None:
    """A failure is recorded as a success."""
    success = Outcome(OutcomeClass.SUCCESS)
    _patch(dispatcher, "decide", lambda _, **named: decide(success, **named))


BREAKAGES_OF_WEB: dict[str, Callable[[], None]] = {"forgets a 202": forget_an_accepted_event}
BREAKAGES_OF_WORKERS: dict[str, Callable[[], None]] = {
    "records nothing": record_nothing,
    "records twice": record_twice,
    "drops an outcome": drop_an_outcome,
    "claims without a lease": claim_without_a_lease,
    "releases what is in flight": release_what_is_in_flight,
    "ignores the generation": ignore_the_generation,
    "sends another id on a retry": send_another_id_on_a_retry,
    "alters the body": alter_the_body,
    "signs with another key": sign_with_another_key,
    "sends twice": send_twice,
    "gives up at once": give_up_at_once,
    "forgets a retry": forget_a_retry,
    "delivers what failed": deliver_what_failed,
}
