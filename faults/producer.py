"""Internal apps handing over events. Each 202 is noted with its event; what got none is noted as an error.

Even-numbered threads send as the shipped client does, with an idempotency key and repeats; odd ones send
once and never again, so that an event without its 202 stays without.
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
# What is noted where the client only says that the answer was none of the API's.
OTHER_ANSWER = 500

Post = Callable[[dict[str, Any]], tuple[int, str, int]]


def main(
    base_url: str, token: str, journal: str, rate: float, threads: int, seconds: float, seed: str
) -> None:
    notes = Journal(journal)
    until, pause = time.monotonic() + seconds, threads / rate
    workers = [
        threading.Thread(target=_produce, args=(base_url, token, notes, pause, until, f"{seed}-{turn}"))
        for turn in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _produce(base_url: str, token: str, notes: Journal, pause: float, until: float, name: str) -> None:
    dice = random.Random(name)
    post = _with_client(base_url, token) if int(name.rsplit("-", 1)[1]) % 2 == 0 else _once(base_url, token)
    number = 0
    while time.monotonic() < until:
        number += 1
        _note(notes, post, new_data(f"{name}-{number}", dice.randrange(40)))
        time.sleep(pause * dice.uniform(0.5, 1.5))


def new_data(name: str, padding: int = 0, **more: Any) -> dict[str, Any]:
    """What the catalog asks of the event type; `name` tells every event of a run from the others."""
    return {"batch_id": name, "status": "running", "model": "m" + PADDING * (padding % 10)} | more


def _note(notes: Journal, post: Post, data: dict[str, Any]) -> None:
    began = time.monotonic()
    status, event_id, deliveries = post(data)
    taken = {"at": time.time(), "ms": round((time.monotonic() - began) * 1000, 1)}
    if status == 202:
        notes.write(event=event_id, deliveries=deliveries, **taken)
    else:
        notes.write(error=status, **taken)


def _with_client(base_url: str, token: str) -> Post:
    client = Client(base_url, token, timeout=(2, TIMEOUT_SECONDS))

    def post(data: dict[str, Any]) -> tuple[int, str, int]:
        try:
            sent = client.send(EVENT_TYPE, data)
        except Unavailable:
            return 0, "", 0
        except SendError as error:
            return getattr(error, "status", OTHER_ANSWER), "", 0
        return 202, sent.id, sent.deliveries

    return post


def _once(base_url: str, token: str) -> Post:
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
