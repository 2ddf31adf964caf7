"""What `run` does before it starts the processes: Redis, the database's schema, the demo."""

import json
from importlib import import_module
from typing import Any

from webhooks_app.app import create_app
from webhooks_app.cli import demo
from webhooks_app.cli.command_services import exit_on_command_error
from webhooks_app.cli.maintenance import bring_up_to_date
from webhooks_app.config import ConfigError, Settings
from webhooks_app.core import logging_setup
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.events.catalog import Catalog
from webhooks_app.extensions import db, services
from webhooks_app.jobs import embedded_redis, redis_start

# A person sits before it and waits.
_REDIS_PATIENCE_SECONDS = 5
_SHORT: dict[str, Any] = {
    "type": "batch-lifecycle",
    "data": {"batch_id": "batch_7Q2M", "status": "succeeded"},
}


def prepare(settings: Settings, consumer_port: int) -> str:
    """Bring the database up to date; return the command of an embedded Redis, and what to show of the demo.

    As JSON: `redis`, null where REDIS_URL names one that runs, and `shown`. What a person has to put right
    ends the process with one line.
    """
    with exit_on_command_error():
        redis = _redis_command(settings)
        _require_consumer()
        shown = _prepare_database(settings, consumer_port)
    return json.dumps({"redis": redis, "shown": shown})


def _redis_command(settings: Settings) -> list[str] | None:
    if settings.embedded_redis:
        return embedded_redis.command(settings)
    redis_start.wait_until_ready(settings.redis_url, seconds=_REDIS_PATIENCE_SECONDS)
    return None


def _require_consumer() -> None:
    try:
        import_module("standardwebhooks")  # an extra, which production does without
    except ImportError:
        raise ConfigError("No demo consumer to start: pip install 'webhooks-app[embedded]'.") from None


def _prepare_database(settings: Settings, consumer_port: int) -> dict[str, str]:
    app = create_app(settings, database_limits=COMMAND_LIMITS)
    logging_setup.set_up("WARNING")
    with app.app_context():
        bring_up_to_date()
        print("Starting …", flush=True)
        shown = demo.create_demo(services(), settings.instance / "demo.json", consumer_port)
        example = json.dumps(example_event(services().catalog))
        db.engine.dispose()
    return shown | {"example": example}


def example_event(catalog: Catalog) -> dict[str, Any]:
    """Return an event to send: a short one of the built-in catalog, or else what a deployment has first."""
    if not catalog.violations(_SHORT["type"], _SHORT["data"]):
        return _SHORT
    first = catalog.event_types[0]
    return {"type": first.name, "data": first.example}
