"""The compose file and the settings that it reads."""

import yaml

from tests.deploy.programs import DEPLOY, run, tool
from webhooks_app import config
from webhooks_app.cli.main import main

COMPOSE = DEPLOY / "compose.yaml"


def test_the_compose_file_is_one() -> None:
    run(*tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE))


def test_its_services_run_commands_that_there_are() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    own = {name: service for name, service in services.items() if service["image"] == "avra"}
    assert set(own) == {"web", "worker", "scheduler", "migrate"}
    for name, service in own.items():
        assert service["command"] == [name]
        assert name in main.list_commands(None)  # type: ignore[arg-type]  # it needs no context
        assert service["read_only"] is True


def test_up_can_wait_for_every_service_that_goes_on() -> None:
    """Compose 2.40 ends `up --wait` with an error where a check that an image has is switched off."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, service in services.items():
        check = service.get("healthcheck", {})
        assert not check.get("disable") or name == "migrate", name
        assert check.get("test") != ["NONE"], name


def test_metrics_are_on_an_address_of_this_host_and_known_to_workers() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    listen = {services[name]["environment"]["WEBHOOKS_METRICS_LISTEN"] for name in ("web", "worker")}
    assert listen == {"0.0.0.0:9464"}
    assert "127.0.0.1:${METRICS_PORT:-9464}:9464" in services["web"]["ports"]


def test_the_example_of_settings_names_settings_that_there_are() -> None:
    lines = (DEPLOY / "avra.env.example").read_text().splitlines()
    names = {line.split("=")[0] for line in lines if line and not line.startswith("#")}
    assert names <= config.NAMES
    assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "WEBHOOKS_ENCRYPTION_KEYS"} <= names
