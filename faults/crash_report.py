"""What a process of the platform writes down before it is killed at a failpoint: where, and what it held.

A report lists the deliveries that the process had sent and not recorded, by the engine's own account. The
checker takes them for those that may be sent once more. Of a web, it lists the events that it was accepting.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from faults.journal import Journal
from webhooks_app import tasks
from webhooks_app.core import failpoints

FILE = "crash-reports.log"
TIMED_OUT = "job.timed_out"


def install() -> None:
    """Have this process, and those it forks, report what they hold unrecorded before they are killed.

    Reports go into the folder that WEBHOOKS_INSTANCE names. The engine of a process runs in the thread that
    reaches its failpoints, so that nothing is sent between the report and the kill.
    """
    failpoints.before_kill = _report
    tasks.deliver_due = _reporting_time_out(tasks.deliver_due)


def _report(place: str, events: Iterable[str] = ()) -> None:
    journal = Journal(Path(os.environ["WEBHOOKS_INSTANCE"]) / FILE)
    journal.write(at=place, pid=os.getpid(), unrecorded=sorted(tasks.unrecorded()), events=sorted(events))
    journal.close()


def _reporting_time_out(deliver_due: Callable[[], None]) -> Callable[[], None]:
    """Report when a job is interrupted, as it may lose a batch that it was recording."""

    def reporting() -> None:
        try:
            deliver_due()
        except Exception:
            _report(TIMED_OUT)
            raise

    return reporting
