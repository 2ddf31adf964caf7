"""How each command begins that works on the database of a deployment."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from webhooks_app import config
from webhooks_app.app import create_app
from webhooks_app.db import schema_version, transient_errors
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.extensions import db, services
from webhooks_app.jobs.process import exit_on_start_error
from webhooks_app.services import Services


@contextmanager
def begin_command(*, may_be_older: bool = False) -> Iterator[Services]:
    """Yield the services of an application whose database has a schema that this code runs on.

    With `may_be_older` also one from before this code. What a person has to put right ends the process with
    one line: see `exit_on_command_error`.
    """
    with (
        exit_on_command_error(),
        create_app(config.read_existing(), database_limits=COMMAND_LIMITS).app_context(),
    ):
        try:
            if not (may_be_older and schema_version.is_older(services().read)):
                schema_version.require_current_or_newer(services().read)
            yield services()
        finally:
            db.engine.dispose()


@contextmanager
def exit_on_command_error() -> Iterator[None]:
    """End the process with one line, as `exit_on_start_error` does, also for a database that cannot serve."""
    try:
        with exit_on_start_error():
            yield
    except transient_errors.DATABASE_ERRORS as error:
        transient_errors.raise_unless_transient(error)
        reason = transient_errors.reason(error)
        print(f"error: The database does not answer as it should: {reason}", file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)
