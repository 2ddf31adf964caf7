"""Serve HTTP/2 over TLS: each request that is whole goes to a script of its test's."""

import ssl
import struct
from collections.abc import Callable
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

from tests.transport.scripted_server import Connection

DATA, RST_STREAM, GOAWAY, WINDOW_UPDATE = 0x0, 0x3, 0x7, 0x8  # RFC 9113, section 6
PADDED = 0x8
REFUSED_STREAM = 0x7


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream)
    return head + payload


class Streams:
    """Hold one connection's state, and do on it what a script says."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.open: list[int] = []
        self.protocol = H2Connection(H2Configuration(client_side=False))
        self.protocol.initiate_connection()

    def answer(self, stream: int, status: str = "200", body: bytes = b"ok") -> None:
        self.start(stream, status)
        self.protocol.send_data(stream, body, end_stream=True)
        self.flush()

    def start(self, stream: int, status: str = "200") -> None:
        self.protocol.send_headers(stream, [(":status", status)])
        self.flush()

    def send_frame(self, kind: int, flags: int, stream: int, payload: bytes, *, times: int = 1) -> None:
        """Send it whatever the protocol's state may be."""
        self.connection.send(frame(kind, flags, stream, payload) * times)

    def flush(self) -> None:
        if pending := self.protocol.data_to_send():
            self.connection.send(pending)


React = Callable[[Streams, int], None]


def multiplexing(react: React) -> Callable[[Connection], None]:
    """Call `react` with the stream of each request, in the order in which they end."""

    def script(connection: Connection) -> None:
        streams = Streams(connection)
        streams.flush()
        with suppress(ProtocolError):
            while data := connection.sock.recv(65536):
                _take(streams, data, react)

    return script


def _take(streams: Streams, data: bytes, react: React) -> None:
    for event in streams.protocol.receive_data(data):
        if isinstance(event, RequestReceived):
            streams.open.append(event.stream_id)
            streams.connection.server.requests.append(dict(event.headers)[b":path"])
        elif isinstance(event, DataReceived):
            streams.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            streams.flush()
            react(streams, event.stream_id)
    streams.flush()


def offering_http2(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
