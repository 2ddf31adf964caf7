"""The set-up that all long-lived processes share: streams, limits, settings, log."""

from webhooks_app import config
from webhooks_app.cli import standard_streams
from webhooks_app.config import Settings
from webhooks_app.core import logging_setup
from webhooks_app.jobs import open_files, process
from webhooks_app.monitoring import tracing


def begin() -> Settings:
    """Return the settings, with the log set up. Raises ConfigError, for `exit_on_start_error`."""
    standard_streams.outlast_full_disk()
    process.ignore_stop_signals_at_exit()
    tracing.block_import_unless_enabled()
    open_files.require()
    settings = config.read()
    tracing.check()
    logging_setup.set_up(settings.log_level, is_json=settings.log_format == "json")
    process.print_warnings(settings)
    return settings
