"""The services that a process works with: settings, keys and connections; no Flask."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import engines
from webhooks_app.db.database_limits import worker_limits
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.monitoring.problem_memory import ProblemMemory

if TYPE_CHECKING:
    from webhooks_app.events.catalog import Catalog


@dataclass
class Services:
    """What one process works with."""

    settings: Settings
    cipher: Cipher
    wake_ups: WakeUps
    databases: Databases
    started_at: datetime = field(default_factory=clock.now)
    counters: ProcessCounters = field(default_factory=ProcessCounters)
    problem_memory: ProblemMemory = field(default_factory=ProblemMemory)

    @cached_property
    def catalog(self) -> "Catalog":
        """The event types of this deployment, read at first use. Raises CatalogError."""
        from webhooks_app.events import catalog  # loads JSON Schema, which workers hardly ever need

        return catalog.load(self.settings.catalog)

    @property
    def read(self) -> ReadDatabase:
        return self.databases.read

    @property
    def write(self) -> WriteDatabase:
        return self.databases.write


def open_services(settings: Settings, *, waits_for_disk: bool) -> Services:
    """Open what a worker process needs; see `engines.prepare` for `waits_for_disk`."""
    limits = worker_limits(settings.lease_seconds)
    engine = engines.open_engine(settings.database_url, waits_for_disk=waits_for_disk, limits=limits)
    return Services(
        settings=settings,
        cipher=Cipher(settings.encryption_keys),
        wake_ups=WakeUps(settings.redis_url),
        databases=engines.databases_of(engine),
    )
