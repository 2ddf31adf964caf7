"""The client's distribution as its user meets it: in an environment with `requests` and nothing else."""

import email
import os
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path

import pytest

import avra_client
from tests import wheels
from tests.conftest import Workspace
from tests.docs_site.code_blocks import block
from tests.server.running_server import serving
from webhooks_app import client as client_module
from webhooks_app import config
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

PROJECT = config.ROOT / "clients" / "python"
INSTALL = "python3 -m venv venv && venv/bin/pip install /path/to/checkout/clients/python"

PRODUCER = """
import sys
from avra_client import Client, NewEvent, Rejected, Unauthorized

url, token = sys.argv[1:]
data = {"batch_id": "b1", "status": "succeeded"}
with Client(url, token) as client:
    sent = client.send("batch-lifecycle", data)
    good, bad = client.send_many([NewEvent("batch-lifecycle", data), NewEvent("batch-lifecycle", {})])
    assert isinstance(bad.error, Rejected) and bad.error.field.startswith("data"), bad
    assert client.status(sent.id).type == "batch-lifecycle"
    print(sent.id, good.sent.id)
try:
    Client(url, "tok_wrong").send("batch-lifecycle", data)
except Unauthorized:
    print("unauthorized")
"""

APP = """
import sqlite3
from contextlib import closing
from avra_client import outbox

with closing(sqlite3.connect("app.db")) as connection:
    outbox.send(connection, "batch-lifecycle", {"batch_id": "rolled-back", "status": "queued"})
    connection.rollback()
    outbox.send(connection, "batch-lifecycle", {"batch_id": "committed", "status": "queued"})
    connection.commit()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(PROJECT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the documents install it, and what pip would fetch."""
    command = block("docs/producers.md", INSTALL)
    return wheels.install(PROJECT, tmp_path_factory.mktemp("environment"), by=[command])


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite alone: nothing here depends on the database."""
    return sqlite_url


@contextmanager
def platform(workspace: Workspace) -> Iterator[str]:
    with serving(workspace.app) as server:
        yield f"http://127.0.0.1:{server.port}"


def test_it_sends_to_a_running_platform(programs: Path, workspace: Workspace, tmp_path: Path) -> None:
    with platform(workspace) as url:
        command = [str(programs / "python"), "-c", PRODUCER, url, workspace.token]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    *sent, last = done.stdout.split()
    assert {event.id for event in db.session.query(Event)} == set(sent)
    assert (len(sent), last) == (2, "unauthorized")


def test_the_documents_install_it_and_send_a_first_event(programs: Path, workspace: Workspace) -> None:
    folder = programs.parents[1]
    app = block("docs/producers.md", "from avra_client import Client").replace("tok_…", workspace.token)
    with platform(workspace) as url:
        (folder / "app.py").write_text(app.replace("http://127.0.0.1:8000", url))
        sent = run(folder, "sh", "-ec", block("docs/producers.md", "venv/bin/python app.py")).split()
    assert [event.id for event in db.session.query(Event)] == sent[:1]
    assert sent[1] == "0"


def test_without_a_checkout_the_one_file_does_as_the_documents_say(
    programs: Path, workspace: Workspace, tmp_path: Path
) -> None:
    text = (config.ROOT / "docs" / "producers.md").read_text()
    assert "one file\n`webhooks_app/client.py`: save it as *avra_client.py* in your app's folder" in text
    app = block("docs/producers.md", "from avra_client import Client").replace("tok_…", workspace.token)
    shutil.copy(config.ROOT / "webhooks_app" / "client.py", tmp_path / "avra_client.py")
    with platform(workspace) as url:
        (tmp_path / "app.py").write_text(
            app.replace("http://127.0.0.1:8000", url) + "print(Client.__module__)\n"
        )
        event_id, _, module = run(tmp_path, programs / "python", "app.py").split()
    assert [event.id for event in db.session.query(Event)] == [event_id]
    assert module == "avra_client", "the file, as the distribution's has avra_client.client"


def test_its_outbox_and_its_relay_need_no_more(programs: Path, workspace: Workspace, tmp_path: Path) -> None:
    shown = run(tmp_path, programs / "avra-relay", "ddl", "sqlite")
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.executescript(shown)
    run(tmp_path, programs / "python", "-c", APP)
    with platform(workspace) as url:
        settings = {
            "AVRA_URL": url,
            "AVRA_TOKEN": workspace.token,
            "AVRA_OUTBOX_DATABASE": "sqlite:///app.db",
        }
        assert run(tmp_path, programs / "avra-relay", "run", "--once", **settings) == "1 event accepted\n"
    [event] = db.session.query(Event)
    assert b'"batch_id": "committed"' in event.body


def run(folder: Path, *command: str | Path, **environ: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_asks_for_requests_and_for_sqlalchemy_as_an_extra(metadata: Message) -> None:
    assert metadata.get_all("Requires-Dist") == [
        "requests>=2.31",
        "sqlalchemy>=2.0; extra == 'sqlalchemy'",
    ]


def test_its_version_stands_in_one_place(metadata: Message) -> None:
    assert metadata["Version"] == avra_client.__version__ == client_module.__version__


def test_it_holds_the_package_and_says_that_it_is_typed(wheel: Path) -> None:
    files = [path for path in (PROJECT / "avra_client").rglob("*") if path.is_file()]
    expected = {str(path.relative_to(PROJECT)) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        client = archive.read("avra_client/client.py")
    assert names == expected
    assert "avra_client/py.typed" in names
    assert client == (config.ROOT / "webhooks_app" / "client.py").read_bytes()
