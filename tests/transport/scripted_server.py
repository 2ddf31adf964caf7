"""Serve on loopback whatever a receiver can do wrong: each connection runs a script of its test's."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    def __init__(self, server: "Server", sock: socket.socket) -> None:
        self.server, self.sock = server, sock

    def read(self) -> bytes:
        """Return one whole request, which the server remembers; empty when the client closed."""
        head = self._until_blank_line()
        if not head:
            return b""
        length = next(
            int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"
        )
        body = b""
        while len(body) < length and (chunk := self.sock.recv(length - len(body))):
            body += chunk
        self.server.requests.append(head + body)
        return head + body

    def _until_blank_line(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.sock.recv(1)
            if not byte:
                return b""
            head += byte
        return head

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, every_seconds: float = 0.05) -> None:
        for position in range(len(data)):
            self.send(data[position : position + 1])
            time.sleep(every_seconds)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.sock.close()

    def wait_until_closed(self) -> None:
        with suppress(OSError):
            while self.sock.recv(65536):
                pass


Script = Callable[[Connection], None]


def answering(response: bytes) -> Script:
    """Send this to each request, and keep the connection."""

    def script(connection: Connection) -> None:
        while connection.read():
            connection.send(response)

    return script


def closing_after(response: bytes, *, reset: bool = False) -> Script:
    """Read the request, send this and close, with a reset if so told."""

    def script(connection: Connection) -> None:
        connection.read()
        connection.send(response)
        if reset:
            connection.reset()

    return script


def silence(connection: Connection) -> None:
    connection.read()
    connection.wait_until_closed()


class Server:
    """Count the connections that it accepts, and keep what was sent to it."""

    def __init__(
        self, script: Script, ip: str = "127.0.0.1", *, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.ip, self.tls, self.script = ip, tls, script
        self.accepted = self.closed = 0
        self.requests: list[bytes] = []
        self.open: set[socket.socket] = set()
        self.is_over = threading.Event()
        self._listener = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((ip, port))
        self._listener.listen(512)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def authority(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}/hooks"

    def url_for(self, name: str) -> str:
        return self.url.replace(self.authority, f"{name}:{self.port}")

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(120)
        self._listener.close()
        for sock in list(self.open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self.is_over.is_set():
                    return
                time.sleep(0.01)  # Linux takes a descriptor before it waits, and a test may have left it none
                continue
            self.accepted += 1
            self.open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        sock = raw
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(raw, server_side=True)
                self.open.add(sock)
            self.script(Connection(self, sock))
        except OSError:
            pass  # what the client did is its test's business
        finally:
            self.open -= {raw, sock}
            sock.close()
            raw.close()
            self.closed += 1


Serve = Callable[..., Server]
