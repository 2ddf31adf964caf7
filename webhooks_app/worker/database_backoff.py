"""A pause after an error of the database, so that an engine does not wait for it again and again."""

import logging
import time
from collections.abc import Callable

from webhooks_app.db.transient_errors import tolerate_unavailable_database
from webhooks_app.worker.engine_limits import BackoffLimits

log = logging.getLogger(__name__)


class DatabaseBackoff:
    def __init__(self, limits: BackoffLimits) -> None:
        self._limits = limits
        self._paused_until = 0.0
        self._pause_seconds = limits.first_seconds

    def run(self, act: Callable[[], None]) -> bool:
        """Call `act`, unless the database did not answer a moment ago; return whether it answered."""
        if time.monotonic() < self._paused_until:
            return False
        with tolerate_unavailable_database(log):
            act()
            self._pause_seconds = self._limits.first_seconds
            return True
        self._pause()
        return False

    def _pause(self) -> None:
        self._paused_until = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(self._limits.longest_seconds, 2 * self._pause_seconds)
