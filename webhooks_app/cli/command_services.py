"""How each command begins that works on the database of a deployment."""

from collections.abc import Iterator
from contextlib import contextmanager

from webhooks_app.app import create_app
from webhooks_app.db import schema_version
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.extensions import services
from webhooks_app.jobs.process import clear_errors
from webhooks_app.services import Services


@contextmanager
def begin_command() -> Iterator[Services]:
    """Yield the services of an application whose database has a schema that this code runs on.

    What a person has to put right ends the process with one line: see `clear_errors`.
    """
    with clear_errors(), create_app(database_limits=COMMAND_LIMITS).app_context():
        schema_version.check(services().read)
        yield services()
