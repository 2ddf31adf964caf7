"""Servers on loopback that do whatever a receiver can do wrong: each connection runs a script of ours.

`python -m tests.hostile` is the other half of a test: in namespaces of its own it answers DNS queries on
127.0.0.1 as told, sends by name, and prints what came of it.
"""

import datetime
import ipaddress
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    def __init__(self, server: "Server", sock: socket.socket) -> None:
        self.server, self.sock = server, sock

    def read(self) -> bytes:
        """One whole request, which the server remembers; empty when the client closed."""
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
        for place in range(len(data)):
            self.send(data[place : place + 1])
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
    """Gives this to each request, and keeps the connection."""

    def script(connection: Connection) -> None:
        while connection.read():
            connection.send(response)

    return script


class Server:
    """Counts the connections that it accepts; keeps what was sent to it."""

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
        self._threads[0].join(30)
        self._listener.close()
        for sock in list(self.open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
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


class Authority:
    """A private CA: `path` holds its certificate, `context` serves with one that it issues."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self.path = folder / "ca.pem"
        own = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None), [])
        self.path.write_bytes(own)

    def context(self, *names: str, days: int = 1, self_signed: bool = False) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        made = self._certificate(subject, key, constraints, list(names), days=days, self_signed=self_signed)
        path = self._folder / f"{time.monotonic_ns()}.pem"
        path.write_bytes(made + _pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        names: list[str],
        *,
        days: int = 1,
        self_signed: bool = False,
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        is_root = not names
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=5))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(constraints, critical=True)
        )
        if not is_root:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in names]), False
            )
        signed = builder.sign(key if self_signed else self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@contextmanager
def name_server(answers: dict[str, list[list[str]]]) -> Iterator[None]:
    """Answers A queries on 127.0.0.1 port 53, each answer of a name in turn; swallows other names'."""
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
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode())
        place += 1 + query[place]
    question, (kind,) = query[12 : place + 5], struct.unpack("!H", query[place + 1 : place + 3])
    found = answers.get(".".join(labels).lower())
    if found is None:
        return None
    addresses = (found.pop(0) if len(found) > 1 else found[0]) if kind == 1 else []
    header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(addresses), 0, 0)
    records = [struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(each) for each in addresses]
    return header + question + b"".join(records)


def _main(answers: dict[str, list[list[str]]], names: list[str]) -> None:
    """Sends to each name in turn; 127.0.0.1 is permitted, 127.0.0.2 is not, and both listen."""
    from webhooks_app.transport import resolver as lookups
    from webhooks_app.transport.request import Request
    from webhooks_app.transport.sender import Sender
    from webhooks_app.transport.target_policy import TargetPolicy

    lookups.KEPT_SECONDS = 0.0
    policy = TargetPolicy(allow_http=True, allowed_networks=(ipaddress.ip_network("127.0.0.1/32"),))
    told: list[dict[str, object]] = []
    with (
        name_server(answers),
        Server(answering(OK)) as good,
        Server(answering(OK), "127.0.0.2", port=good.port) as bad,
    ):
        sender = Sender(policy=policy, ca_bundle=None, capacity=10)
        for name in names:
            started_at = time.monotonic()
            sender.start(name, Request(good.url_for(name), ["Expect:"], b"{}", 1000))
            while not (finished := sender.poll(50)):
                pass
            [(_, outcome)] = finished
            seconds = time.monotonic() - started_at
            told.append({"kind": outcome.kind, "detail": outcome.detail, "seconds": seconds})
        started_at = time.monotonic()
        sender.close()
        closing = time.monotonic() - started_at
        result = {"told": told, "good": good.accepted, "bad": bad.accepted, "closing_seconds": closing}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    _main(*json.loads(sys.argv[1]))
