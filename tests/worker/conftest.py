from types import SimpleNamespace

import pytest

from tests.worker.attempted import LEASE
from tests.worker.claiming import CAPACITY, LIMITS, Clock, MakeClaimer
from webhooks_app.db.engines import Databases
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claimer as claimer_module
from webhooks_app.worker.claimer import Claimer
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.engine_limits import ClaimLimits, ConcurrencyLimits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(claimer_module, "time", made)
    monkeypatch.setattr(claimer_module, "endpoint_scan", SimpleNamespace(scan=made.scan))
    return made


@pytest.fixture
def make_claimer(databases: Databases, wake_ups: WakeUps, clock: Clock) -> MakeClaimer:
    def make(limits: ClaimLimits = LIMITS, concurrency: Concurrency | None = None) -> Claimer:
        chosen = concurrency or Concurrency(CAPACITY, ConcurrencyLimits(initial=64))
        return Claimer(databases, wake_ups, chosen, lease=LEASE, limits=limits)

    return make
