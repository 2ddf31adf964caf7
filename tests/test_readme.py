"""The README says what is true: its Python runs, its settings are those there are, its links lead on."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.conftest import TESTER, Workspace
from tests.receivers import Receiver
from tests.served_app import served
from webhooks_app import config
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Event
from webhooks_app.endpoints import signing_secrets
from webhooks_app.extensions import db, services
from webhooks_app.worker.engine import DeliveryEngine

README = (config.ROOT / "README.md").read_text()
DOCUMENTS = sorted([*config.ROOT.glob("*.md"), *config.ROOT.glob("docs/**/*.md")])
PRODUCER, *VERIFIERS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite alone: nothing here depends on the database."""
    return sqlite_url


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def run(source: str) -> dict[str, Any]:
    """What the example defines."""
    names: dict[str, Any] = {}
    exec(compile(source, "README.md", "exec"), names)
    return names


def test_the_producer_example_sends_an_event(url: str, workspace: Workspace) -> None:
    source = PRODUCER.replace("http://127.0.0.1:8000", url).replace("tok_…", workspace.token)
    assert workspace.token in source
    output = io.StringIO()

    with contextlib.redirect_stdout(output):
        run(source)

    event_id, deliveries = output.getvalue().split()
    assert db.session.get_one(Event, event_id).type == "batch-lifecycle"
    assert deliveries == "0"


@pytest.mark.parametrize("source", VERIFIERS, ids=["library", "by hand"])
def test_the_verification_examples_take_a_delivery_and_nothing_else(
    app: Flask,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    source: str,
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    [secret] = signing_secrets.reveal(database, services(app).cipher, endpoint, actor=TESTER)
    [event_id] = workspace.send()
    engine.run(seconds=60)
    [request] = receiver.received
    read_delivery: Callable[..., dict[str, Any]] = run(source)["read_delivery"]

    assert read_delivery(secret, request.body, request.headers)["id"] == event_id

    stale = request.headers | {"webhook-timestamp": str(int(request.headers["webhook-timestamp"]) - 301)}
    for body, headers in ((request.body + b" ", request.headers), (request.body, stale)):
        with pytest.raises(Exception, match=r"old|sign"):
            read_delivery(secret, body, headers)


def test_both_ways_to_verify_are_shown() -> None:
    assert len(VERIFIERS) == 2


def test_the_table_of_settings_is_complete() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)
    assert sorted(listed) == sorted(config.NAMES)


@pytest.mark.parametrize(
    "name", ["PORT", "HOST", "WEBHOOKS_WORKERS", "WEBHOOKS_LEASE_SECONDS", "WEBHOOKS_RETRY_DELAYS"]
)
def test_the_tables_defaults_hold(name: str, tmp_path: Path) -> None:
    [default] = re.findall(rf"^\| `{name}` \| `([^`]+)` \|", README, re.MULTILINE)
    folder = {"WEBHOOKS_INSTANCE": str(tmp_path)}
    assert config.read(folder | {name: default}) == config.read(folder)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(document: Path) -> None:
    links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)#:]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
