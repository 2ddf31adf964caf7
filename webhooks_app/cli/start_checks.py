"""What keeps workers and the scheduler from starting, found before they do."""

from webhooks_app.config import Settings
from webhooks_app.db import schema_version
from webhooks_app.jobs import redis_start
from webhooks_app.jobs.process import exit_on_start_error


def check(settings: Settings) -> None:
    """Print one line, and end this process, for a catalog, a schema or a Redis that they cannot work with."""
    with exit_on_start_error():
        if settings.catalog:
            from webhooks_app.events import catalog  # loads JSON Schema

            catalog.load(settings.catalog)
        schema_version.require_by_url(settings.database_url)
        redis_start.wait_until_ready(settings.redis_url)
