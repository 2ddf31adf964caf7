"""Log lines: time, level, logger, event, then fields as key=value. Never bodies, secrets or tokens."""

import logging
import time

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Formatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return line + "".join(f" {key}={value}" for key, value in fields.items())


def set_up(level: str) -> None:
    """Log to stderr: the platform from `level` up, libraries from WARNING up."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    logging.getLogger("webhooks_app").setLevel(level)
    # Of two schedulers, the one that does not hold the lock would warn of it each second.
    logging.getLogger("rq_scheduler").setLevel("ERROR")
