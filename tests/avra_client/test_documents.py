"""What the documents of the client and its outbox say is true: their code runs, their commands are there."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from avra_client import relay_command, relay_health
from avra_client.relay_state import RelayState
from tests.avra_client.conftest import Store
from tests.conftest import Workspace
from tests.test_packages import ROOT
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

README = (ROOT / "clients" / "python" / "README.md").read_text()
OUTBOX = (ROOT / "docs" / "outbox.md").read_text()
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_the_readmes_code_sends_an_event(platform_url: str, workspace: Workspace) -> None:
    [source] = PYTHON.findall(README)
    source = source.replace("https://webhooks.example.com", platform_url).replace("tok_…", workspace.token)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "README.md", "exec"), {})
    event_id, deliveries = output.getvalue().split()
    assert (db.session.get_one(Event, event_id).type, deliveries) == ("batch-lifecycle", "0")


def test_the_outboxs_code_writes_an_order_and_its_event(store: Store) -> None:
    engine = create_engine(store.url)
    Base.metadata.create_all(engine)
    [source] = PYTHON.findall(OUTBOX)
    names: dict[str, Any] = {"Session": Session, "engine": engine, "order": Order(id=7)}
    exec(compile(source, "outbox.md", "exec"), names)
    assert store.run("SELECT id FROM orders") == [(7,)]
    assert store.run("SELECT type FROM avra_outbox") == [("order-created",)]
    Base.metadata.drop_all(engine)
    engine.dispose()


def test_its_commands_and_options_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"`?avra-relay ([a-z-]+)", OUTBOX))
    assert commands == {"ddl", "run", "counts", "set-aside", "failing", "retry", "discard", "resend"}
    known = ""
    for command in commands:
        with pytest.raises(SystemExit):
            relay_command.main([command, "--help"])
        known += capsys.readouterr().out
    with pytest.raises(SystemExit):
        relay_command.main(["--help"])
    known += capsys.readouterr().out
    assert {option for option in re.findall(r"--[a-z][a-z-]+", OUTBOX) if option not in known} == set()


def test_its_metrics_are_there() -> None:
    names = set(re.findall(r"`(?:avra_relay|…)_([a-z_]+)`", OUTBOX))
    text = relay_health.metrics(RelayState(), (0, 0.0, 0))
    assert len(names) == 10
    assert {name for name in names if f"avra_relay_{name} " not in text} == set()


@pytest.mark.parametrize("document", [README], ids=["readme"])
def test_the_links_lead_somewhere(document: str) -> None:
    folder: Path = ROOT / "clients" / "python"
    links = re.findall(r"\]\(([^)#:]+)\)", document)
    assert [link for link in links if not (folder / link).exists()] == []
