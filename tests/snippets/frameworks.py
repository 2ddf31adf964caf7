"""How the code for each framework is served: by the framework's own server.

The code of a language is laid into one folder and compiled at once. The folders in `servers/` have what a
project of the framework has beside it, with exact versions in the lock file that its tools know.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from tests.free_ports import free_port
from tests.snippets import projects
from tests.snippets.cases import Case
from tests.snippets.projects import CACHE, Command

START_SECONDS = 120
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Project:
    """A folder of `servers/`; `files` says where the code of which template goes."""

    files: Mapping[str, str]
    needs: Mapping[str, str]
    probe: tuple[Command, str] = ((), "")  # fails where these Debian packages are missing
    lock: str = ""
    fetch: Command = ()
    build: Command = ()
    environment: Mapping[str, str] = field(default_factory=dict)


_PACKAGES = "packages"
_PIP: Command = (
    *(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ),
    *("--require-hashes", "--upgrade", "--target", _PACKAGES, "-r", "requirements.txt"),
)
_LARAVEL = "require 'Illuminate/autoload.php';"
_JARS: Command = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib")

PROJECTS = {
    "python": Project(
        {f"python_{name}": f"python_{name}.py" for name in ("flask", "fastapi", "django")},
        {},
        lock="requirements.txt",
        fetch=_PIP,
        environment={"PYTHONPATH": _PACKAGES},
    ),
    "node": Project(
        {
            "javascript_express": "javascript_express.mjs",
            "javascript_fetch": "javascript_fetch.mjs",
            "typescript_express": "typescript_express.mts",
            "typescript_fetch": "typescript_fetch.mts",
            "typescript": "typescript.mts",
            "typescript_library": "typescript_library.mts",
        },
        {"node": "nodejs", "npm": "npm"},
        lock="package-lock.json",
        fetch=("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"),
        build=("node", "node_modules/typescript/bin/tsc", "--project", "."),
    ),
    "go": Project(
        {"go_http": "webhooks/snippet.go"},
        {"go": "golang-go"},
        build=("go", "build", "-o", "server", "."),
    ),
    "java": Project(
        {"java_spring": "WebhookController.java"},
        {"javac": "default-jdk-headless", "mvn": "maven"},
        lock="pom.xml",
        fetch=_JARS,
        build=("javac", "-cp", "lib/*", "-parameters", "WebhookController.java", "Application.java"),
    ),
    "rust": Project(
        {"rust_axum": "src/snippet.rs"},
        {"cargo": "cargo-web"},
        lock="Cargo.lock",
        fetch=("cargo", "fetch", "--quiet", "--locked"),
        build=("cargo", "build", "--quiet", "--locked", "--target-dir", "../target"),
    ),
    "ruby": Project(
        {"ruby_rails": "app/controllers/webhooks_controller.rb"},
        {"ruby": "ruby", "puma": "puma"},
        probe=(("ruby", "-e", "require 'action_controller/railtie'"), "ruby-railties"),
        environment={"RAILS_ENV": "production"},
    ),
    "php": Project(
        {"php_laravel": "php_laravel.php"},
        {"php": "php-cli"},
        probe=(("php", "-r", _LARAVEL), "php-laravel-framework"),
    ),
}


@dataclass(frozen=True)
class Server:
    """`run` serves the template's code on the port that is filled in; `version` prints the framework's.

    It is `pinned` by a lock file, or what Debian brings.
    """

    framework: str
    project: str
    template: str
    run: Command
    version: Command
    path: str = "/webhooks"
    pinned: bool = True


def _module(name: str) -> Command:
    return (sys.executable, "-c", f"from importlib.metadata import version; print(version({name!r}))")


def _node(framework: str, kind: str, template: str) -> Server:
    run = ("node", "serve.mjs", kind, f"./{template}.mjs", "{port}")
    locked = f"require('./package-lock.json').packages['node_modules/{kind}'].version"
    is_node = kind == "node"
    version = "process.version.slice(1)" if is_node else locked
    return Server(framework, "node", template, run, ("node", "-p", version), pinned=not is_node)


SERVERS = (
    Server(
        *("Flask", "python", "python_flask"),
        (sys.executable, "-m", "flask", "--app", "python_flask", "run", "--port", "{port}"),
        _module("flask"),
    ),
    Server(
        *("FastAPI", "python", "python_fastapi"),
        (sys.executable, "-m", "uvicorn", "python_fastapi:app", "--port", "{port}"),
        _module("fastapi"),
    ),
    Server(
        *("Django", "python", "python_django"),
        (sys.executable, "django_site.py", "{port}"),
        _module("django"),
    ),
    _node("Express", "express", "javascript_express"),
    _node("Express", "express", "typescript_express"),
    _node("Hono", "hono", "javascript_fetch"),
    _node("Hono", "hono", "typescript_fetch"),
    _node("Node.js", "node", "javascript_fetch"),
    _node("Node.js", "node", "typescript_fetch"),
    Server(
        *("Go", "go", "go_http"),
        ("./server", "{port}"),
        ("go", "env", "GOVERSION"),
        pinned=False,
    ),
    Server(
        *("Spring Boot", "java", "java_spring"),
        (
            *("java", "-XX:TieredStopAtLevel=1", "-cp", ".:lib/*", "Application"),
            *("--server.address=127.0.0.1", "--server.port={port}"),
        ),
        ("sh", "-c", "ls lib/spring-boot-[0-9]*.jar"),
    ),
    Server(
        *("axum", "rust", "rust_axum"),
        ("../target/debug/axum_server", "{port}"),
        ("sh", "-c", "grep -A1 '^name = \"axum\"' Cargo.lock"),
    ),
    Server(
        *("Rails", "ruby", "ruby_rails"),
        ("puma", "--bind", "tcp://127.0.0.1:{port}", "config.ru"),
        ("ruby", "-e", "require 'rails'; puts Rails::VERSION::STRING"),
        pinned=False,
    ),
    Server(
        *("Laravel", "php", "php_laravel"),
        ("php", "-S", "127.0.0.1:{port}", "index.php"),
        (
            "php",
            "-r",
            "require 'Illuminate/autoload.php'; echo Illuminate\\Foundation\\Application::VERSION;",
        ),
        path="/api/webhooks",
        pinned=False,
    ),
)


def build(name: str, codes: Mapping[str, str]) -> Path:
    """The folder with what a server of this project needs; `codes` by template."""
    project = PROJECTS[name]
    projects.require(project.needs)
    projects.require_library(*project.probe)
    folder = CACHE / f"servers_{name}"
    files = projects.sources(projects.HERE / "servers" / name)
    files |= {path: codes[template] for template, path in project.files.items()}
    projects.lay(folder, files)
    projects.fetch(folder, project.fetch, [files[project.lock]] if project.lock else ())
    projects.build(folder, project.build, files)
    return folder


def version(server: Server, folder: Path) -> tuple[int, ...]:
    """The version of the framework that serves."""
    done = subprocess.run(
        server.version, cwd=folder, env=_environment(server), capture_output=True, text=True, check=True
    )
    return projects.version_in(done.stdout)


@dataclass(frozen=True)
class Running:
    server: Server
    port: int
    log: Path

    def status(self, case: Case) -> int:
        """Send the case as the platform sends it; the status of the answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            headers = {"content-type": "application/json", **case.headers}
            connection.request("POST", self.server.path, case.body, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


@contextmanager
def running(server: Server, folder: Path, secret: str, log: Path) -> Iterator[Running]:
    """The server, with this secret in its environment, once it listens."""
    port = free_port()
    command = [part.format(port=port) for part in server.run]
    environment = _environment(server) | {"WEBHOOK_SECRET": secret}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        _wait_until_it_listens(port, process, log)
        yield Running(server, port, log)
    finally:
        process.terminate()
        process.wait(120)


def _environment(server: Server) -> dict[str, str]:
    return {**os.environ, **PROJECTS[server.project].environment}


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
