"""The bench's receiver: a fast HTTP/1.1 server that counts deliveries and notes their ids.

    python -m bench.sink PORT [hang]

`GET /stats` returns what arrived since the last `POST /reset`, `GET /count` only how many. With `hang` it
reads requests and never answers.
"""

import asyncio
import json
import sys
import time


class Arrivals:
    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.received = 0
        self.first_at = self.last_at = 0.0
        self.latencies_ms: list[float] = []

    def add(self, delivery_id: bytes, body: bytes) -> None:
        now = time.time()
        self.first_at = self.first_at or now
        self.last_at = now
        self.received += 1
        self.ids.add(delivery_id)
        found = body.rfind(b'"sent_ns":')
        if found >= 0:
            sent = int(body[found + 10 :].split(b"}", 1)[0].split(b",", 1)[0])
            self.latencies_ms.append((now - sent / 1e9) * 1000)

    def as_json(self) -> bytes:
        return json.dumps(
            {
                "received": self.received,
                "distinct": len(self.ids),
                "first_at": self.first_at,
                "last_at": self.last_at,
                "latencies_ms": self.latencies_ms,
            }
        ).encode()


class Sink(asyncio.Protocol):
    arrivals = Arrivals()
    hangs = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /count"):
            self.write(b"%d" % self.arrivals.received)
        elif head.startswith(b"get /stats"):
            self.write(self.arrivals.as_json())
        elif head.startswith(b"post /reset"):
            Sink.arrivals = Arrivals()
            self.write(b"ok")
        elif not self.hangs:
            at = head.find(b"webhook-id:")
            self.arrivals.add(head[at + 11 :].split(b"\r\n", 1)[0].strip(), body)
            self.write(b"ok")

    def write(self, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    Sink.hangs = "hang" in sys.argv
    asyncio.run(serve(int(sys.argv[1])))
