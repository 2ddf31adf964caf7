"""The web's settings for gunicorn, which takes those of the names here that are names of its settings."""

import os
import sys

from webhooks_app.config import ConfigError, read
from webhooks_app.core import logging_setup
from webhooks_app.db import schema_version
from webhooks_app.db.schema_version import WrongSchema
from webhooks_app.jobs import process

try:
    settings = read()
    logging_setup.set_up(settings.log_level)
    # Here and not only in each worker, which gunicorn would replace for ever.
    schema_version.check_at_start(settings.database_url)
except (ConfigError, WrongSchema) as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(os.EX_CONFIG)

bind = settings.bind
worker_class = "gthread"
threads = settings.web_threads
loglevel = "warning"
# Supervisors kill ten seconds after they ask. A worker that was only just forked misses the request and is
# killed at this time; any other has answered long before.
graceful_timeout = 8
control_socket_disable = True


def post_worker_init(worker: object) -> None:
    logging_setup.set_up(settings.log_level)
    process.gc_freeze()
    print("ready", flush=True)
