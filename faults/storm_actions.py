"""The actions of a storm: seeded kills of every process, several a second, under traffic.

A storm is planned as a whole before it begins: the seed decides the kind of each action, the pause after it,
and what its kind leaves open.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from redis.exceptions import RedisError

from faults.databases import Postgresql, Sqlite
from faults.fork_client import ProcessGroup
from faults.platform_processes import LEASE_SECONDS
from faults.system import System
from faults.waiting import wait_for

FAILPOINTS = (
    *("accept.committing=0.006", "accept.committed=0.006"),
    *("worker.dequeued=0.02", "worker.claimed=0.02", "worker.answered=0.002", "worker.half_recorded=0.02"),
    *("worker.recording=0.02", "worker.recorded=0.02"),
)

# How often each kind of action comes, relative to the others: first those that kill, then those that do not.
KILLS = {"worker": 46, "web": 26, "redis": 5, "scheduler": 5, "pool": 1}
KILLS_ON_POSTGRESQL = {"backend": 8, "postgresql": 1}
DISTURBANCES = {"FLUSHALL": 3, "redis hung": 2, "worker frozen": 2}
DISTURBANCES_ON_SQLITE = {"database locked": 3}
# A killed process is replaced within about a second.
REPLACEMENT_SECONDS = 10.0


@dataclass(frozen=True)
class Action:
    """`seed` decides everything that the kind leaves open: which process, for how long."""

    kind: str
    pause_seconds: float
    seed: str

    def __str__(self) -> str:
        return f"{self.kind} {self.pause_seconds:.2f}"


def plan(seed: str, database: str, kills: int, *, pause_seconds: float = 0.12) -> list[Action]:
    """Return the actions of a storm in order, `kills` of which kill, with a mean pause after each."""
    rng = random.Random(f"storm-{seed}")
    killing = KILLS | (KILLS_ON_POSTGRESQL if database == "postgresql" else {})
    weights = killing | DISTURBANCES | (DISTURBANCES_ON_SQLITE if database == "sqlite" else {})
    actions: list[Action] = []
    while kills:
        [kind] = rng.choices(list(weights), list(weights.values()))
        pause = pause_seconds * rng.uniform(0.3, 1.7)
        actions.append(Action(kind, pause, f"{seed}-{len(actions)}"))
        kills -= kind in killing
    return actions


@dataclass
class Storm:
    """Performs actions on a system and counts them by kind."""

    system: System
    kills: Counter[str] = field(default_factory=Counter)
    disturbances: Counter[str] = field(default_factory=Counter)

    def run(self, actions: list[Action], *, seconds: float) -> int:
        """Perform the actions until `seconds` are over, and return how many were performed."""
        until = time.monotonic() + seconds
        for number, action in enumerate(actions):
            if time.monotonic() > until:
                return number
            self._rng = random.Random(action.seed)
            self._perform(action.kind)
            time.sleep(action.pause_seconds)
        return len(actions)

    def _perform(self, kind: str) -> None:
        database = self.system.database
        by_kind: dict[str, Callable[[], None]] = {
            "worker": self._kill_worker,
            "web": self._kill_web_process,
            "redis": self._kill_redis,
            "scheduler": self._kill_scheduler,
            "pool": self._kill_pool,
            "FLUSHALL": self._flush_redis,
            "redis hung": self._hang_redis,
            "worker frozen": self._freeze_worker,
            "backend": self._cut_connections,
        }
        if isinstance(database, Sqlite):
            by_kind["database locked"] = lambda: self._lock(database)
        if isinstance(database, Postgresql):
            by_kind["postgresql"] = lambda: self._restart(database)
        # A server that others use too cannot be restarted; its connections are cut instead.
        by_kind.get(kind, self._cut_connections)()

    @property
    def total(self) -> int:
        """Count the processes killed, by actions and at failpoints."""
        return sum(self.summary().values())

    def summary(self) -> dict[str, int]:
        """Count the kills by kind of action and by failpoint."""
        return dict(self.kills) | {f"at {place}": count for place, count in self.system.deaths().items()}

    def _kill_worker(self) -> None:
        self.system.note_claims()
        self._kill_child(self.system.pool)
        self.system.note_claims()  # what it claimed between the first note and its death
        self.kills["worker"] += 1

    def _kill_web_process(self) -> None:
        self._kill_child(self.system.web)
        self.kills["web"] += 1

    def _kill_child(self, group: ProcessGroup) -> None:
        while not group.signal_child(self._child(group), signal.SIGKILL):
            """The chosen process died of something else meanwhile; another one is chosen."""

    def _child(self, group: ProcessGroup) -> int:
        wait_for(group.children, REPLACEMENT_SECONDS, "a child process")
        children = sorted(group.children())
        return self._rng.choice(children) if children else self._child(group)

    def _kill_pool(self) -> None:
        """Kill the pool's parent process alone: its workers have to notice that they are orphans."""
        self.system.note_claims()
        self.system.fork_client.signal(self.system.pool.pid, signal.SIGKILL)
        self.system.fork_client.wait(self.system.pool.pid, 5)
        self.kills["pool"] += 1
        self.system.pool.start()

    def _kill_scheduler(self) -> None:
        [scheduler, *_] = self.system.schedulers
        scheduler.kill()
        self.kills["scheduler"] += 1
        scheduler.start()

    def _kill_redis(self) -> None:
        self.system.redis.kill(delete_file=self._rng.random() < 0.5)
        self.kills["redis"] += 1
        time.sleep(self._rng.choice((0, 0.1, 0.5)))
        self.system.redis.start()

    def _flush_redis(self) -> None:
        with suppress(RedisError), self.system.redis.client() as client:
            client.flushall()
            self.disturbances["FLUSHALL"] += 1

    def _hang_redis(self) -> None:
        self.system.redis.signal(signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.2, 0.8))
        self.system.redis.signal(signal.SIGCONT)
        self.disturbances["redis hung"] += 1

    def _freeze_worker(self) -> None:
        """Stop a worker for longer than its lease, so that another one takes over what it holds."""
        pid = self._child(self.system.pool)
        self.system.note_claims()
        self.system.pool.signal_child(pid, signal.SIGSTOP)
        self.system.note_claims()
        time.sleep(LEASE_SECONDS + 0.5)
        self.system.pool.signal_child(pid, signal.SIGCONT)
        self.disturbances["worker frozen"] += 1

    def _lock(self, database: Sqlite) -> None:
        with database.locked():
            time.sleep(self._rng.uniform(0.1, 0.8))
        self.disturbances["database locked"] += 1

    def _cut_connections(self) -> None:
        self.system.note_claims()
        with suppress(psycopg.Error):
            self.kills["backend"] += self.system.database.cut_connections(self._rng.randint(1, 3))

    def _restart(self, database: Postgresql) -> None:
        self.system.note_claims()
        how = self._rng.choice((signal.SIGINT, signal.SIGQUIT))
        database.stop(how)
        if how is signal.SIGQUIT:
            self.system.note_database_crash()
        self.kills["postgresql"] += 1
        time.sleep(self._rng.choice((0, 0.3)))
        database.start()
