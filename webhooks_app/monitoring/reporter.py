"""The thread that reports for its process, and does for all processes what one of them has to."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from webhooks_app.db import transient_errors
from webhooks_app.db.engines import Databases
from webhooks_app.monitoring import own_report
from webhooks_app.monitoring.counters import ProcessCounters

log = logging.getLogger(__name__)


class Reporter:
    """One per process. It needs the database only: a Redis that is gone is one of the things to report."""

    def __init__(
        self,
        databases: Databases,
        kind: str,
        counters: ProcessCounters,
        *,
        describe: Callable[[], Mapping[str, Any]] = dict,
        act_for_all: Callable[[Databases], object] = lambda _: None,
        interval_seconds: float = own_report.REPORT_SECONDS,
    ) -> None:
        """`describe` returns what the process is at, and `act_for_all` is called after each report but the
        first; both in the reporter's thread.
        """
        self._databases = databases
        self._kind = kind
        self._counters = counters
        self._describe = describe
        self._act_for_all = act_for_all
        self._interval_seconds = interval_seconds
        self._identity = own_report.identify(kind)
        self._is_first = True
        # What the last report said, and of that what is in the total already.
        self._reported: dict[str, float] = {}
        self._in_total: dict[str, float] = {}
        self._is_failing = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Report at once and from then on; to be called when the process forks no more."""
        self._thread.start()

    def stop(self) -> None:
        """Report for the last time that this process ends of its own accord."""
        self._is_over.set()
        self._thread.join(1.0)  # its write may wait for the database
        if not self._thread.is_alive() and not self._is_first:
            self._try(lambda: self.report(is_last=True))

    def _run(self) -> None:
        self._try(self.report)
        while not self._is_over.wait(self._interval_seconds):
            self._try(self.report)
            self._try(lambda: self._act_for_all(self._databases))

    def report(self, *, is_last: bool = False) -> None:
        """Write this process's report. Raises the errors of the database."""
        state, snapshot = self._describe(), self._counters.snapshot()
        counted = {key: value - self._in_total.get(key, 0) for key, value in snapshot.items()}
        if not self._write(state, counted, is_last=is_last):
            # It was silent for so long that it was taken for dead; it is another one from now on.
            self._identity, self._is_first = own_report.identify(self._kind), True
            self._in_total = self._reported
            counted = {key: value - self._in_total.get(key, 0) for key, value in snapshot.items()}
            self._write(state, counted, is_last=is_last)
        self._reported, self._is_first = dict(snapshot), False

    def _write(self, state: Mapping[str, Any], counted: Mapping[str, float], *, is_last: bool) -> bool:
        return own_report.write(
            self._databases.write,
            self._identity,
            state=state,
            counted=counted,
            is_first=self._is_first,
            is_last=is_last,
        )

    def _try(self, act: Callable[[], object]) -> None:
        """Leave off what the database does not serve now: whoever needs it more says so."""
        try:
            act()
            self._is_failing = False
        except Exception as error:
            if transient_errors.cause_of(error) is None and not self._is_failing:
                self._is_failing = True
                log.exception("report_failed")
