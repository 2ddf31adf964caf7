"""The examples for nginx and Caddy, run before two webs, or before one that tells what reached it."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import text

from tests.conftest import Workspace
from tests.deploy import programs
from tests.deploy.programs import DEPLOY, find
from tests.docs_site.code_blocks import block
from tests.free_ports import free_port
from tests.server.running_server import serving
from tests.transport.certificates import Authority
from tests.waiting import wait_for
from webhooks_app.client import Client
from webhooks_app.extensions import services

NAME = "webhooks.example.com"


class Mirror(BaseHTTPRequestHandler):
    """Answers with the headers that reached it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


@pytest.fixture
def mirror() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with server:
        yield server.server_port
        server.shutdown()


class Proxy:
    """A proxy that listens for HTTPS; `session` believes its certificate."""

    def __init__(self, port: int, authority: Authority) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(authority.path)
        self.url = f"https://localhost:{port}"

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=60, **options)


@contextmanager
def running(kind: str, folder: Path, *webs: int) -> Iterator[Proxy]:
    authority, port = Authority(folder), free_port()
    authority.context("localhost")
    [certificate] = (path for path in folder.glob("*.pem") if path != authority.path)
    write = {"nginx": nginx_command, "caddy": caddy_command}[kind]
    addresses = [f"127.0.0.1:{web}" for web in (*webs, *webs)[:2]]
    command = write(folder, port, certificate, addresses)
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    proxy = Proxy(port, authority)
    try:
        wait_for(lambda: process.poll() is not None or answers(proxy))
        assert process.poll() is None, (folder / "output").read_text()
        yield proxy
    finally:
        proxy.session.close()
        process.terminate()
        process.wait(120)


def answers(proxy: Proxy) -> bool:
    try:
        return proxy.session.get(f"{proxy.url}/livez", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def nginx_command(folder: Path, port: int, certificate: Path, addresses: list[str]) -> list[str]:
    content = replace_addresses((DEPLOY / "nginx" / "avra.conf").read_text(), addresses)
    content = content.replace("listen 443", f"listen 127.0.0.1:{port}").replace(NAME, "localhost")
    content = re.sub(r"/etc/ssl/avra/\w+\.pem", str(certificate), content)
    (folder / "avra.conf").write_text(content)
    own_files = "".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user root; daemon off; pid {folder / 'pid'}; error_log stderr; events {{}}"
        f"http {{ access_log off; {own_files} include {folder / 'avra.conf'}; }}"
    )
    return [find("nginx", "nginx-light"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


@pytest.mark.parametrize(
    "location",
    block("docs/production.md", "location /webhooks/ { proxy_pass http://127.0.0.1:8000; }").splitlines(),
)
def test_nginx_takes_the_locations_of_the_documents(location: str, tmp_path: Path) -> None:
    content = (
        f"pid {tmp_path / 'pid'}; events {{}}\nhttp {{ server {{ listen 127.0.0.1:1;\n{location}\n}} }}\n"
    )
    (tmp_path / "nginx.conf").write_text(content)
    programs.run(find("nginx", "nginx-light"), "-t", "-q", "-p", tmp_path, "-c", tmp_path / "nginx.conf")


def caddy_command(folder: Path, port: int, certificate: Path, addresses: list[str]) -> list[str]:
    caddy = find("caddy", "caddy")
    content = replace_addresses((DEPLOY / "caddy" / "Caddyfile").read_text(), addresses)
    served = f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {certificate}"
    # Debian's Caddy is older than the option's present name.
    if subprocess.run([caddy, "version"], capture_output=True, text=True).stdout.startswith("2.6"):
        content = content.replace("request_buffers 4MiB", "buffer_requests")
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + content.replace(f"{NAME} {{", served))
    return [caddy, "run", "--config", str(folder / "Caddyfile")]


def replace_addresses(content: str, addresses: list[str]) -> str:
    found = re.findall(r"10\.0\.0\.\d+:8000", content)
    assert len(found) == len(addresses)
    for there, here in zip(found, addresses, strict=True):
        content = content.replace(there, here)
    return content


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_what_a_client_says_of_itself_is_not_handed_on(kind: str, mirror: int, tmp_path: Path) -> None:
    forged = {
        "X-Request-ID": "1.2.3.4",
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "http",
        "X_Forwarded_For": "1.2.3.4",
    }
    with running(kind, tmp_path, mirror) as proxy:
        seen = proxy.post("/api/v1/events", json={}, headers=forged).json()
        assert seen["x-forwarded-for"] in {"127.0.0.1", "::1"}
        assert seen["x-forwarded-proto"] == "https"
        assert seen["host"].startswith("localhost")
        assert len(seen["x-request-id"]) >= 32
        assert "1.2.3.4" not in {value for name, value in seen.items() if "_" not in name}


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_body_past_the_web_s_own_limit_is_refused_and_a_full_batch_is_not(
    kind: str, mirror: int, tmp_path: Path
) -> None:
    with running(kind, tmp_path, mirror) as proxy:
        assert proxy.post("/", data=b"x" * 3_900_000).status_code == 200
        assert proxy.post("/", data=b"x" * 4_500_000).status_code in {413, 502}


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_while_one_web_is_gone_the_other_takes_everything_once(
    kind: str, app: Flask, workspace: Workspace, tmp_path: Path
) -> None:
    with ExitStack() as staying, ExitStack() as going:
        ports = [stack.enter_context(serving(app)).port for stack in (staying, going)]
        proxy = staying.enter_context(running(kind, tmp_path, *ports))

        def send(number: int) -> str:
            with Client(proxy.url, workspace.token, session=proxy.session) as client:
                data = {"batch_id": f"b{number}", "status": "succeeded"}
                return client.send("batch-lifecycle", data).id

        for number in range(10):
            send(number)
        going.close()
        with ThreadPoolExecutor(4) as senders:
            sent = list(senders.map(send, range(10, 60)))
    assert len(set(sent)) == 50
    with services(app).read.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM events")) == 60
