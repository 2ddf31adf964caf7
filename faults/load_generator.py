"""Sends events at a steady rate as internal apps do, and writes each 202 and each other answer to a journal.

One kind of producer sends with the shipped client, which sets an idempotency key and repeats; the other sends
once, so that an event that got no 202 never gets one. Where they are mixed, even-numbered threads repeat.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import requests

from faults.journal import Journal
from webhooks_app.client import Client, SendError, Unavailable

EVENT_TYPE = "batch-lifecycle"
PADDING = "padding ünïcödé ✓ "
TIMEOUT_SECONDS = 10.0
# Stands in the journal where the client says no more than that the answer was not one of the API's.
OTHER_ANSWER = 500
# Answers that the client repeats and that say no more than that the platform was not there.
_PASSING = frozenset({429, 502, 503, 504})

# Sends the data of one event; returns the status (0 without a connection), the event's id and its deliveries.
Post = Callable[[dict[str, Any]], tuple[int, str, int]]


def main(
    base_url: str,
    token: str,
    journal: str,
    rate: float,
    threads: int,
    seconds: float,
    seed: str,
    kind: str,
) -> None:
    """Send `rate` events a second from so many threads, and write the answers to the journal at that path.

    `kind` is `mixed`, `repeating` or `once`.
    """
    answers = Journal(journal)
    until, pause = time.monotonic() + seconds, threads / rate
    workers = [
        threading.Thread(
            target=_produce,
            args=(_post_of(kind, turn)(base_url, token), answers, pause, until, f"{seed}-{turn}"),
        )
        for turn in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _post_of(kind: str, turn: int) -> Callable[[str, str], Post]:
    repeats = kind == "repeating" or (kind == "mixed" and turn % 2 == 0)
    return _with_client if repeats else _without_repeats


def _produce(post: Post, journal: Journal, pause: float, until: float, name: str) -> None:
    rng = random.Random(name)
    number = 0
    while time.monotonic() < until:
        number += 1
        _send_one(journal, post, new_data(f"{name}-{number}", rng.randrange(40)))
        time.sleep(pause * rng.uniform(0.5, 1.5))


def new_data(name: str, padding: int = 0, **more: Any) -> dict[str, Any]:
    """Return data that the catalog accepts for EVENT_TYPE; `name` distinguishes every event of a run."""
    return {"batch_id": name, "status": "running", "model": "m" + PADDING * (padding % 10)} | more


def _send_one(journal: Journal, post: Post, data: dict[str, Any]) -> None:
    began = time.monotonic()
    status, event_id, deliveries = post(data)
    taken = {"at": time.time(), "ms": round((time.monotonic() - began) * 1000, 1)}
    if status == 202:
        journal.write(event=event_id, deliveries=deliveries, **taken)
    else:
        journal.write(error=status, **taken)


def _with_client(base_url: str, token: str) -> Post:
    client = Client(base_url, token, timeout=(2, TIMEOUT_SECONDS)).limited_to(tries=4)  # then the next event

    def post(data: dict[str, Any]) -> tuple[int, str, int]:
        try:
            sent = client.send(EVENT_TYPE, data)
        except Unavailable as error:
            return (0 if error.status in _PASSING else error.status), "", 0
        except SendError as error:
            return getattr(error, "status", OTHER_ANSWER), "", 0
        return 202, sent.id, sent.deliveries

    return post


def _without_repeats(base_url: str, token: str) -> Post:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"

    def post(data: dict[str, Any]) -> tuple[int, str, int]:
        try:
            answer = session.post(
                f"{base_url}/api/v1/events",
                json={"type": EVENT_TYPE, "data": data},
                timeout=TIMEOUT_SECONDS,
            )
            body = answer.json() if answer.status_code == 202 else {}
        except requests.RequestException:
            return 0, "", 0
        return answer.status_code, body.get("id", ""), body.get("deliveries", 0)

    return post
