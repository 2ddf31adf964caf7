"""The examples for Django, FastAPI and Celery, each run inside its framework, with what it sends accepted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avra_client.client import Client
from avra_client.relay import Relay
from tests.avra_client.conftest import Store
from tests.conftest import Workspace, unavailable
from tests.test_packages import ROOT
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

CLIENT = ROOT / "clients" / "python"
EXAMPLES = CLIENT / "examples"
SCRIPTS = Path(__file__).with_name("frameworks")
REQUIREMENTS = Path(__file__).with_name("frameworks.txt")
ORDERS = ("order-1", "order-2", "order-1", "order-3")
UV = (sys.executable, "-m", "uv")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment with the frameworks and nothing of the platform's."""
    folder = tmp_path_factory.mktemp("frameworks")
    python = str(folder / "bin" / "python")
    create = [*UV, "venv", "--quiet", "--python", sys.executable, str(folder)]
    subprocess.run(create, check=True, timeout=300)
    install = [*UV, "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
    done = subprocess.run([*install, "--python", python], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        unavailable("What the examples run in", f"connect this machine: {done.stderr[-500:]}")
    return python


def run(python: str, framework: str, folder: Path, **environ: str) -> list[str]:
    """Run the script of a framework; return the lines that it printed."""
    paths = (CLIENT, EXAMPLES, EXAMPLES / "django_shop")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [python, "-B", SCRIPTS / f"run_{framework}.py", *ORDERS],
        cwd=folder,
        env=kept | {"PYTHONPATH": os.pathsep.join(map(str, paths))} | environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def accepted_orders() -> list[str]:
    db.session.rollback()
    return [
        json.loads(event.body)["data"]["batch_id"] for event in db.session.query(Event).order_by(Event.id)
    ]


def hand_over(store: Store, client: Client) -> int:
    return Relay(store.connect, client).run_once()


@pytest.mark.long
def test_a_django_view_sends_in_its_atomic_block(python: str, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    environ = {"DJANGO_SETTINGS_MODULE": "settings", "DJANGO_SECRET_KEY": "x", "DATABASE_PATH": str(path)}
    assert run(python, "django", tmp_path, **environ) == ["201 201 409 201"]
    assert hand_over(Store(f"sqlite:///{path}"), client) == 3
    assert accepted_orders() == ["order-1", "order-2", "order-3"]


def test_a_fastapi_route_sends_in_its_asynchronous_session(
    python: str, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "app.db"
    lines = run(python, "fastapi", tmp_path, DATABASE_URL=f"sqlite+aiosqlite:///{path}")
    assert lines == ["201 201 409 201"]
    assert hand_over(Store(f"sqlite:///{path}"), client) == 3
    assert accepted_orders() == ["order-1", "order-2", "order-3"]


def test_a_celery_worker_is_its_own_relay(
    python: str, platform_url: str, workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "app.db"
    environ = {"AVRA_URL": platform_url, "AVRA_TOKEN": workspace.token, "BROKER_URL": "memory://"}
    lines = run(python, "celery", tmp_path, DATABASE_URL=f"sqlite:///{path}", **environ)
    assert lines == ["SUCCESS SUCCESS FAILURE SUCCESS", "0"]
    assert accepted_orders() == ["order-1", "order-2", "order-3"]
    assert Store(f"sqlite:///{path}").states() == {}
