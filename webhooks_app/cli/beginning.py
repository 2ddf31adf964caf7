"""How each long-lived process begins."""

from webhooks_app import config
from webhooks_app.config import Settings
from webhooks_app.core import logging_setup, standard_streams
from webhooks_app.jobs import open_files, process
from webhooks_app.monitoring import tracing


def begin() -> Settings:
    """Return the settings, with the log set up. Raises ConfigError, for `clear_errors`."""
    standard_streams.outlast_full_disk()
    process.end_undisturbed()
    tracing.leave_out()
    open_files.require()
    settings = config.read()
    tracing.check()
    logging_setup.set_up(settings.log_level, is_json=settings.log_format == "json")
    process.print_warnings(settings)
    return settings
