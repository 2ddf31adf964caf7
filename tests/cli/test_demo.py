"""The demo's endpoint follows its consumer, but takes no secret along."""

import json
import shlex
from copy import copy
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask

from tests.conftest import TESTER
from tests.events.test_catalog_files import ORDERS
from tests.reading import captured
from webhooks_app.cli import demo, preparation, run
from webhooks_app.config import ConfigError
from webhooks_app.core.encryption import Cipher
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import actions
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.events import catalog
from webhooks_app.extensions import db, services


def endpoint_of(made: dict[str, str]) -> Endpoint:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Endpoint, made["endpoint"])


def test_it_follows_the_port_of_its_consumer(app: Flask, tmp_path: Path) -> None:
    made = demo.create_demo(services(), tmp_path / "demo.json", 9001)
    demo.create_demo(services(), tmp_path / "demo.json", 9002)
    assert endpoint_of(made).url == "http://127.0.0.1:9002/webhooks"


def test_header_values_of_its_own_go_to_no_other_port(app: Flask, tmp_path: Path) -> None:
    made = demo.create_demo(services(), tmp_path / "demo.json", 9001)
    endpoint = endpoint_of(made)
    values = EndpointValues("Mine", endpoint.url, True, (), headers=[("X-Key", "s3cret")])
    actions.change(services().write, services().cipher, endpoint, values, actor=TESTER)
    db.session.expire_all()

    demo.create_demo(services(), tmp_path / "demo.json", 9002)

    assert endpoint_of(made).url == "http://127.0.0.1:9001/webhooks"


def test_other_keys_than_the_databases_are_refused_in_one_line(app: Flask, tmp_path: Path) -> None:
    demo.create_demo(services(), tmp_path / "demo.json", 9001)
    others = copy(services())
    others.cipher = Cipher([Fernet.generate_key().decode()])
    with pytest.raises(ConfigError, match="encrypted with others"):
        demo.create_demo(others, tmp_path / "demo.json", 9001)


@pytest.mark.parametrize(
    ("named", "operators"), [("", "admin@example.com"), ("me@example.com", "me@example.com")]
)
def test_the_admin_of_the_demo_is_the_operator_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch, named: str, operators: str
) -> None:
    monkeypatch.setenv("WEBHOOKS_OPERATORS", named)
    assert run._with_demo_target()["WEBHOOKS_OPERATORS"] == operators


def test_the_printed_command_sends_an_event_that_the_catalog_has(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    example = '\'{"order_id": "o_1"}\''
    own.write_text(ORDERS.replace(example, '"""{"order_id": "Ada\'s"}"""'))
    assert preparation.example_event(catalog.load(own))["type"] == "batch-lifecycle"
    own.write_text("built_in = false\n" + own.read_text())
    loaded = catalog.load(own)

    shown = {"email": "a@example.com", "password": "x", "token": "tok_1", "secrets": ""}
    shown["example"] = json.dumps(preparation.example_event(loaded))
    text = run._welcome("http://127.0.0.1:8000", 8001, shown)

    command = captured(r"(curl \S+/api/v1/events(?:.*\\\n)+.*)\n", text)
    event = json.loads(shlex.split(command.replace("\\\n", " "))[-1])
    assert event == {"type": "order.paid", "data": {"order_id": "Ada's"}}
    assert loaded.violations(event["type"], event["data"]) == []
