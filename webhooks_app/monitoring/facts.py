"""Everything that metrics, health and the operators' page say, read in a handful of cheap statements.

None of them counts what waits or what was ever delivered: see `backlog` for the first, `counters` for the
second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from webhooks_app.db import index_builds
from webhooks_app.db.models import FanOut, Heartbeat, Recovery, RecoveryState
from webhooks_app.monitoring import backlog, reports
from webhooks_app.monitoring.backlog import Sample
from webhooks_app.monitoring.reports import Reports

# The name of the heartbeat that the sweep leaves.
SWEEP_HEARTBEAT = "sweep"
# And of that which retention leaves.
RETENTION = "retention"


@dataclass(frozen=True, slots=True)
class Facts:
    """`samples`: of the backlog, the oldest first. `heartbeats`: when each periodic job last ran, by name.

    `recoveries`, `fan_outs`: how many are being worked on. `indexes_unfinished_since`: since when an
    upgrade's indexes wait to be built, or those that they replace to be dropped, which may lie ahead.
    """

    reports: Reports
    samples: Sequence[Sample]
    heartbeats: Mapping[str, datetime]
    recoveries: int
    fan_outs: int
    indexes_unfinished_since: datetime | None = None

    @property
    def now(self) -> datetime:
        """The moment of all this, by the database's clock."""
        return self.reports.now

    @property
    def swept_at(self) -> datetime | None:
        """When the sweep ran last; None if it never did."""
        return self.heartbeats.get(SWEEP_HEARTBEAT)


def read(connection: Connection) -> Facts:
    heartbeats = connection.execute(select(Heartbeat.name, Heartbeat.at)).all()
    running = select(func.count()).select_from(Recovery).where(Recovery.state == RecoveryState.RUNNING)
    return Facts(
        reports=reports.read(connection),
        samples=backlog.read(connection),
        heartbeats={row.name: row.at for row in heartbeats},
        recoveries=connection.execute(running).scalar_one(),
        fan_outs=connection.execute(select(func.count()).select_from(FanOut)).scalar_one(),
        indexes_unfinished_since=index_builds.unfinished_since(connection),
    )
