"""A consumer to try deliveries on: checks signatures with the standardwebhooks package, fails when told to.

    WEBHOOK_SECRETS='whsec_…' python examples/consumer.py 8001

It listens on loopback only.   curl -d 500 http://127.0.0.1:8001/mode   makes it answer 500 from then on,
any other status likewise, `hang` makes it never answer, and `ok` makes it accept again.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from standardwebhooks import Webhook, WebhookVerificationError

SECRETS = os.environ.get("WEBHOOK_SECRETS", "").split()
LARGEST_BODY_BYTES = 1024 * 1024

# Anybody may send to this address; of the platform's endpoints, each signs with a secret of its own.
UNKNOWN_SIGNATURE = (
    "not signed with a secret of WEBHOOK_SECRETS, that of the endpoint “Demo consumer” in a demo"
)


class Consumer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1  # head and body leave together: apart, the second would wait 40 ms to be acknowledged
    mode = "ok"
    seen: ClassVar[set[str]] = set()
    lock = threading.Lock()

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > LARGEST_BODY_BYTES:
            self.answer(413, "too large")
            return
        body = self.rfile.read(length)
        if self.path == "/mode":
            self.set_mode(body.decode(errors="replace").strip())
        else:
            self.take_delivery(body)

    def do_GET(self) -> None:
        self.answer(200, f"mode: {Consumer.mode}, deliveries accepted: {len(self.seen)}\n")

    def set_mode(self, mode: str) -> None:
        if mode not in ("ok", "hang") and not (mode.isdecimal() and 200 <= int(mode) <= 599):
            self.answer(422, "mode is ok, hang, or a status from 200 to 599\n")
            return
        Consumer.mode = mode
        self.answer(200, f"mode: {mode}\n")

    def take_delivery(self, body: bytes) -> None:
        delivery = escape(self.headers.get("webhook-id", "?"))
        if not is_authentic(body, dict(self.headers)):
            print(f"{delivery} refused: {UNKNOWN_SIGNATURE}", flush=True)
            self.answer(401, f"{UNKNOWN_SIGNATURE}\n")
        elif Consumer.mode == "hang":
            print(f"{delivery} verified, and left without an answer: {describe(body)}", flush=True)
            time.sleep(60)
            self.close_connection = True
        elif Consumer.mode != "ok":
            print(f"{delivery} verified, answered {Consumer.mode} as told: {describe(body)}", flush=True)
            self.answer(int(Consumer.mode), "failing as told\n")
        else:
            with self.lock:
                word = "again, ignored" if delivery in self.seen else "accepted"
                self.seen.add(delivery)
            print(f"{delivery} verified, {word}: {describe(body)}", flush=True)
            self.answer(200, "thank you\n")

    def answer(self, status: int, text: str) -> None:
        payload = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        pass


def is_authentic(body: bytes, headers: dict[str, str]) -> bool:
    """Whether one of our secrets signed this, within the last five minutes."""
    for secret in SECRETS:
        try:
            Webhook(secret).verify(body, headers)
        except (WebhookVerificationError, ValueError):
            continue
        return True
    return False


def describe(body: bytes) -> str:
    """The type and id of the event in a verified body."""
    event = json.loads(body)
    known = event if isinstance(event, dict) else {}
    return f"{escape(str(known.get('type')))} {escape(str(known.get('id')))}"


def escape(text: str) -> str:
    # Anybody may call, and what is printed here must not steer the terminal.
    return text.encode("unicode_escape").decode()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Consumer)
    server.daemon_threads = True
    print(f"ready, at http://127.0.0.1:{server.server_port}/webhooks", flush=True)
    server.serve_forever()
