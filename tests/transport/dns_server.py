"""Answer DNS queries on 127.0.0.1, send by name, and print what came of it: `python -m` this module.

It runs in namespaces of its own, as the other half of a test in `test_resolved_target`.
"""

import ipaddress
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.transport.scripted_server import OK, Server, answering
from tests.transport.sending import ALWAYS_ASKS
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.transport.sender_limits import SenderLimits
from webhooks_app.transport.target_policy import TargetPolicy


@contextmanager
def name_server(answers: dict[str, list[list[str]]]) -> Iterator[None]:
    """Answer A queries on 127.0.0.1 port 53, each answer of a name in turn; swallow those for other names."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 53))

    def serve() -> None:
        while True:
            query, sender = sock.recvfrom(512)
            if not query:
                return
            if reply := _dns_reply(query, answers):
                sock.sendto(reply, sender)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"", ("127.0.0.1", 53))
    thread.join()
    sock.close()


def _dns_reply(query: bytes, answers: dict[str, list[list[str]]]) -> bytes | None:
    labels, position = [], 12
    while query[position]:
        labels.append(query[position + 1 : position + 1 + query[position]].decode())
        position += 1 + query[position]
    question, (kind,) = query[12 : position + 5], struct.unpack("!H", query[position + 1 : position + 3])
    found = answers.get(".".join(labels).lower())
    if found is None:
        return None
    addresses = (found.pop(0) if len(found) > 1 else found[0]) if kind == 1 else []
    header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(addresses), 0, 0)
    records = [struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(each) for each in addresses]
    return header + question + b"".join(records)


def _main(answers: dict[str, list[list[str]]], names: list[str]) -> None:
    """Send to each name in turn; 127.0.0.1 is permitted, 127.0.0.2 is not, and both listen."""
    limits = SenderLimits(resolver=ALWAYS_ASKS)
    policy = TargetPolicy(allow_http=True, allowed_networks=(ipaddress.ip_network("127.0.0.1/32"),))
    results: list[dict[str, object]] = []
    with (
        name_server(answers),
        Server(answering(OK)) as good,
        Server(answering(OK), "127.0.0.2", port=good.port) as bad,
    ):
        sender = Sender(policy=policy, ca_bundle=None, capacity=10, limits=limits)
        for name in names:
            started_at = time.monotonic()
            timeout_ms = 60_000 if name in answers else 2000
            sender.start(name, Request(good.url_for(name), ["Expect:"], b"{}", timeout_ms))
            while not (finished := sender.poll(50)):
                pass
            [(_, outcome)] = finished
            seconds = time.monotonic() - started_at
            results.append({"kind": outcome.kind, "detail": outcome.detail, "seconds": seconds})
        started_at = time.monotonic()
        sender.close()
        closing = time.monotonic() - started_at
        summary = {"results": results, "good": good.accepted, "bad": bad.accepted, "closing_seconds": closing}
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    _main(*json.loads(sys.argv[1]))
