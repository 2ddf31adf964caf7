"""The consumer to try deliveries on, as whoever starts it sees it."""

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from webhooks_app import config

SECRET = f"whsec_{base64.b64encode(bytes(range(24))).decode()}"
Started = tuple[subprocess.Popen[str], int]


@pytest.fixture
def consumer() -> Iterator[Started]:
    command = [sys.executable, str(config.ROOT / "examples" / "consumer.py"), "0"]
    env = os.environ | {"WEBHOOK_SECRETS": SECRET}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        ready = line_of(process)
        yield process, int(ready.rpartition(":")[2].partition("/")[0])
        process.terminate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def deliver(port: int, delivery: str, body: str) -> bytes:
    """Send a signed delivery; return what one read of its answer brings."""
    now = datetime.now(UTC)
    head = (
        f"POST /webhooks HTTP/1.1\r\nhost: x\r\nwebhook-id: {delivery}\r\n"
        f"webhook-timestamp: {int(now.timestamp())}\r\n"
        f"webhook-signature: {Webhook(SECRET).sign(delivery, now, body)}\r\n"
        f"content-length: {len(body.encode())}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall((head + body).encode())
        return connection.recv(65536)


def test_it_names_the_event_and_answers_in_one_piece(consumer: Started) -> None:
    process, port = consumer
    body = json.dumps({"id": "evt_1", "type": "batch-lifecycle", "data": {}})

    answer = deliver(port, "dlv_1", body)

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\nthank you\n")
    assert line_of(process) == "dlv_1 verified, accepted: batch-lifecycle evt_1\n"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (json.dumps({"id": "e\u001b[2J\n", "type": "t\u202e"}), r"t\u202e e\x1b[2J\n"),
        ("[1]", "None None"),
    ],
    ids=["controls", "no object"],
)
def test_what_an_event_says_does_not_steer_the_terminal(consumer: Started, body: str, named: str) -> None:
    process, port = consumer
    deliver(port, "dlv_1", body)
    assert line_of(process) == f"dlv_1 verified, accepted: {named}\n"
